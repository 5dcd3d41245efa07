# Compares result files: every data set and attribute, except what says where, when and with what a result was made.
# Usage: same_result.py FILE FILE...; of the configuration, the outputs' names may differ.
import sys

import h5py

RUN = {"host", "device", "started", "finished", "seconds", "resumed", "ranks"}


def outputs_left_out(config):
    kept, inside = [], False
    for line in config.decode().split("\n"):
        if not line.startswith(" "):
            inside = line.startswith("output:")
        if not (inside and line.lstrip().startswith(("file:", "trace:", "picture:"))):
            kept.append(line)
    return "\n".join(kept)


def content(path):
    found = {}
    with h5py.File(path, "r") as file:
        for name, value in file.attrs.items():
            if name not in RUN:
                found["attribute " + name] = repr(value)

        def visit(name, node):
            if not isinstance(node, h5py.Dataset):
                return
            value = node[()]
            if name == "config":
                found[name] = outputs_left_out(value)
            elif node.dtype.kind == "O":
                found[name] = (node.shape, repr(value.tolist() if node.shape else value))
            else:
                found[name] = (node.shape, str(node.dtype), value.tobytes())  # NaN included

        file.visititems(visit)
    return found


first = content(sys.argv[1])
assert "trace/loss" in first and "config" in first, "no result"
different = 0
for path in sys.argv[2:]:
    other = content(path)
    for name in sorted(set(first) | set(other)):
        if first.get(name) != other.get(name):
            print(f"{sys.argv[1]} and {path} differ in {name}")
            if name == "config":
                a, b = first[name].split("\n"), other[name].split("\n")
                print("\n".join(f"  {x!r} | {y!r}" for x, y in zip(a, b) if x != y))
            different += 1
sys.exit(different > 0)
