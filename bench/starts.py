#!/usr/bin/env python3
"""From how many random starts does a fit arrive?  LATGRAD=build/latgrad python3 bench/starts.py [CASE...]

Each case is one `latgrad fit` of an ensemble whose starts are uniform in the bounds, with the default optimiser or, with
--published, that of Schering et al. 2024. Prints a row of a table: fits that arrived, the median and the largest number of
iterations from which on they stay there, mean and standard deviation of their ends, processor time of a fit.

SI: arrived is within 3 % of the true beta. PRW: both parameters within 0.03 of the least-squares point of the closed form. MK, five parameters: all
within 15 % of the truth.
"""
import argparse
import csv
import json
import os
import resource
import statistics
import tempfile

import fits
from fits import PATTERN, ROOT

SYNTHETIC = {"data.generate.params.p_center": 0.2, "data.generate.params.p_resample": 0.1}


def news(size, beta, **more):
    return {"model": "si", "lattice.height": size, "lattice.width": size, "data.generate.params.beta": beta,
            "params.beta.start": 0.5, **more}


def walk(**data):
    logit = {"params.p_%s.%s" % (p, key): value for p in ("center", "resample")
             for key, value in (("start", 0.5), ("transform", "logit"))}
    return {"model": "prw", "steps": 10, "replicates": 1500, **logit, **data}


def cells(name):
    return walk(**{"data.msd": os.path.join(ROOT, "data", "msd_%s.csv" % name), "data.spacing2": 10})


BETAS = (0.05, 0.2, 0.4, 0.8)
CASES = {"si-%d-%g" % (size, b): news(size, b) for size in (64, 32) for b in BETAS}
CASES.update({"si-nll-32-%g" % b: news(32, b, loss="nll") for b in BETAS})
CASES.update({"si-trajectory-32-%g" % b: news(32, b, task="trajectory") for b in BETAS})
CASES.update({"prw-synthetic": walk(**SYNTHETIC)})
CASES.update({"prw-" + name: cells(name) for name in ("tcells", "bcells", "neutrophils")})


def pattern(task, **more):
    keys = {"model": "mk", "task": task, "lattice.height": 32, "lattice.width": 32, "data.generate.runs": 100, **more}
    for name, value in PATTERN.items():
        keys.update({"params.%s.start" % name: 0.5, "data.generate.params.%s" % name: value})
    return keys


CASES.update({"mk-formation-32": pattern("formation", steps=5000),
              "mk-trajectory-32": pattern("trajectory", steps=2000, **{"data.record_every": 50, "data.weights": "sem"})})

PUBLISHED = {
    "si": {"optimizer.name": "sgd", "optimizer.lr": 1e-7, "iterations": 6000},
    "prw": {"optimizer.name": "adam", "optimizer.lr": 0.01, "iterations": 10000},
}


def fit(settings, folder, device):
    config, trace = os.path.join(folder, "fit.yaml"), os.path.join(folder, "trace.csv")
    result = fits.fit({**settings, "output.trace": trace, "device": device}, config)
    return result.get("results", [{**result, "fit": 0}]), trace


def arrival(trace, near):
    """First iteration from which on a fit is near, by fit."""
    since = {}
    with open(trace) as rows:
        for row in csv.DictReader(rows):
            here = near({name: float(row[name]) for name in row if name not in ("fit", "step")})
            if not here:
                since[int(row["fit"])] = int(row["step"]) + 1
            else:
                since.setdefault(int(row["fit"]), 0)
    return since


def goal(case, folder):
    """(target, distance) of each parameter."""
    settings = CASES[case]
    if settings["model"] == "si":
        beta = settings["data.generate.params.beta"]
        return {"beta": (beta, 0.03 * beta)}
    if settings["model"] == "mk":
        return {name: (value, 0.15 * value) for name, value in PATTERN.items()}
    exact = {**settings, "estimator.method": "exact", "optimizer.name": "lm", "iterations": 200, "fits": 2}
    best = fit(exact, folder, "cpu")[0][0]["params"]
    return {name: (value, 0.03) for name, value in best.items()}


def screened(settings, args, folder):
    """Starts that are each the best of args.screen random points."""
    starts = []
    for seed in range(1, args.starts + 1):
        search = {key: value for key, value in settings.items() if not key.startswith(("ensemble.", "optimizer.", "iterations"))}
        search.update({"method.name": "random", "method.simulations": args.screen, "seed": 1000 + seed})
        starts.append(fit(search, folder, args.device)[0][0]["params"])
    return json.dumps([[start[name] for name in PATTERN] for start in starts])


def run(case, args):
    settings = {**CASES[case], "ensemble.starts": "random", "ensemble.size": args.starts, "threads": args.threads}
    if args.published:
        settings.update(PUBLISHED[settings["model"]])
    settings.update(dict(s.split("=", 1) for s in args.set))
    with tempfile.TemporaryDirectory() as folder:
        target = goal(case, folder)
        if args.screen:
            settings["ensemble.starts"] = screened(settings, args, folder)
            del settings["ensemble.size"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        results, trace = fit(settings, folder, args.device)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)

        def near(params):
            return all(abs(params[name] - value) <= within for name, (value, within) in target.items())

        since = arrival(trace, near)
    good = [r for r in results if r["status"] == "done" and near(r["params"])]
    arrived = [since[r["fit"]] for r in good]
    ends = ["%s %.4f ± %.4f" % (name, statistics.mean(r["params"][name] for r in good),
                                statistics.pstdev(r["params"][name] for r in good)) for name in target] if good else []
    print("| %s | %s | %d | %d of %d | %s | %s | %s | %.2f |" % (
        case, "published" if args.published else "default", max(r["iterations"] for r in results), len(good),
        len(results), "%g" % statistics.median(arrived) if arrived else "-", max(arrived) if arrived else "-",
        ", ".join(ends) or "-", (after.ru_utime - before.ru_utime) / len(results)), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="*", help="default: all but mk; one of " + ", ".join(CASES))
    parser.add_argument("--starts", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--published", action="store_true", help="the published rates and iterations")
    parser.add_argument("--screen", type=int, default=0, metavar="N", help="mk: each start is the best of N random points")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="on top of that")
    args = parser.parse_args()
    unknown = [case for case in args.case if case not in CASES]
    if unknown:
        parser.error("no case %s" % ", ".join(unknown))
    print("| case | optimiser | iterations | arrived | median | last | ends (mean ± s.d.) | s a fit |\n|---|---|---|---|---|---|---|---|")
    for case in args.case or [case for case in CASES if not case.startswith("mk")]:
        run(case, args)


if __name__ == "__main__":
    main()
