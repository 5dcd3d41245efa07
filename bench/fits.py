"""What the studies in bench/ share: the usual parameters of mk, and a fit by latgrad. LATGRAD: the tool (default build/latgrad)."""
import json
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LATGRAD = os.environ.get("LATGRAD", os.path.join(ROOT, "build", "latgrad"))
PATTERN = {"D_A": 0.1, "D_B": 0.4, "k1": 0.98, "k2": 0.1, "k3": 0.2}


def fit(settings, config):
    """The JSON object that `latgrad fit` prints for these keys, which are left in the file `config`."""
    with open(config, "w") as out:
        out.writelines("%s: %s\n" % item for item in settings.items())
    done = subprocess.run([LATGRAD, "fit", config, "--json", "--quiet", "--force"], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("%s: %s ended with status %d" % (os.path.basename(sys.argv[0]), LATGRAD, done.returncode))
    return json.loads(done.stdout)
