#!/usr/bin/env python3
"""How well are the parameters of a pattern recovered?  LATGRAD=build/latgrad python3 bench/recovery.py [--sets N] [FOLDER]

Each data set is ten runs of mk on 64 x 64 sites from the uniform state, seen every --every steps up to --steps (generated with its own seed). All five
parameters are fitted in stages, each from where the one before ended. A stage is WEIGHTS:REPLICATES:ITERATIONS:EVALUATIONS:STEP, WEIGHTS being sem
(1/sem^2) or model (the combinations that tell most, from the model's runs), EVALUATIONS those of the standard errors at its end, STEP that of the finite
differences. The first starts 18 to 50 % off the truth, or with --start truth at the truth, to see what standard errors the statistics allow.

Prints a line a data set and a table a stage: bias, scatter, standard errors, and how many of the 95 % intervals contain the truth (a parameter that
ends on a bound has none). Fits that FOLDER
(default build-recovery) has already are not run again. With the defaults a data set takes twenty seconds of a GPU, or two hours of one core.
"""
import argparse
import concurrent.futures
import json
import math
import os
import statistics

import fits
from fits import PATTERN as TRUTH

STAGES = ["sem:24:8:0:0.35", "model:80:4:0:0.1", "model:80:6:8:0.1"]
OFF = {"D_A": 0.15, "D_B": 0.3, "k1": 0.8, "k2": 0.15, "k3": 0.3}


def config(args, data_set, number, stage, start):
    """The keys of one fit."""
    weights, replicates, iterations, evaluations, step = stage.split(":")
    keys = {"model": "mk", "task": "formation", "steps": args.steps, "data.record_every": args.every, "data.generate.runs": args.runs,
            "data.generate.seed": 100 + data_set, "seed": 1000 * number + data_set, "data.weights": weights, "data.pilot": args.pilot,
            "replicates": replicates, "iterations": iterations, "errors.evaluations": evaluations, "estimator.method": "fd",
            "estimator.fd_step": step, "optimizer.name": "lm", "device": args.device, "threads": args.threads}
    keys.update({"params.%s.start" % name: value for name, value in start.items()})
    keys.update({"data.generate.params.%s" % name: value for name, value in TRUTH.items()})
    keys.update(dict(s.split("=", 1) for s in args.set))
    return keys


def fit(args, data_set, number, stage, start):
    """The JSON object of a fit, from the folder or from latgrad."""
    path = os.path.join(args.folder, "%d.%d" % (data_set, number + 1))
    if not os.path.exists(path + ".json"):
        settings = {**config(args, data_set, number, stage, start), "output.trace": os.path.abspath(path) + ".csv"}
        result = fits.fit(settings, path + ".yaml")
        with open(path + ".tmp", "w") as out:
            json.dump(result, out)
        os.replace(path + ".tmp", path + ".json")
    with open(path + ".json") as file:
        return json.load(file)


def run(args, data_set):
    start, results = TRUTH if args.start == "truth" else OFF, []
    for number, stage in enumerate(args.stage):
        results.append(fit(args, data_set, number, stage, start))
        start = results[-1]["params"]
    return results


def text(value, digits=4):
    return "-" if value is None else "%.*g" % (digits, value)


def of(result, key, name):
    """A number of the standard errors; None where there are none."""
    return result.get(key, {}).get(name)


def show(data_set, results):
    parts = [" ".join("%s±%s" % (text(r["params"][name]), text(of(r, "standard_error", name), 2)) for name in TRUTH) for r in results]
    print("data set %d: %s" % (data_set, " | ".join(parts)), flush=True)


def covers(result, name):
    low, high = of(result, "interval_low", name), of(result, "interval_high", name)
    return low is not None and low <= TRUTH[name] <= high


def table(args, stage, results):
    print("\n%s\n| parameter | mean | bias, %% | rms error, %% | mean s.e., %% | intervals that cover | within 5 %% |\n|---|---|---|---|---|---|---|" % stage)
    for name, truth in TRUTH.items():
        ends = [r["params"][name] for r in results]
        off = [100 * (end - truth) / truth for end in ends]
        errors = [100 * e / truth for e in (of(r, "standard_error", name) for r in results) if e is not None]
        stated = "%.1f | %d of %d" % (sum(errors) / len(errors), sum(covers(r, name) for r in results), len(errors)) if errors else "- | -"
        print("| %s | %.4g | %+.1f ± %.1f | %.1f | %s | %d |" % (
            name, sum(ends) / len(ends), sum(off) / len(off), deviation(off) / math.sqrt(len(off)),
            math.sqrt(sum(o * o for o in off) / len(off)), stated, sum(abs(o) < 5 for o in off)))
    correlations(results)
    print("%.0f s a fit" % (sum(r["seconds"] for r in results) / len(results)))


def deviation(values):
    return statistics.stdev(values) if len(values) > 1 else 0.0


def correlations(results):
    """Of the ends over the data sets: which parameters make up for one another."""
    if len(results) < 8:
        return
    names = list(TRUTH)
    for i, a in enumerate(names):
        for b in names[i + 1:]:
            x, y = ([r["params"][name] for r in results] for name in (a, b))
            r = statistics.correlation(x, y)
            if abs(r) > 0.5:
                print("correlation of %s and %s: %.2f" % (a, b, r))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default="build-recovery")
    parser.add_argument("--sets", type=int, default=10, help="data sets")
    parser.add_argument("--stage", action="append", help="default: %s" % " ".join(STAGES))
    parser.add_argument("--start", choices=("off", "truth"), default="off")
    parser.add_argument("--runs", type=int, default=10, help="runs of a data set")
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--every", type=int, default=1000)
    parser.add_argument("--pilot", type=int, default=0, help="runs of a round of data.weights model; 0: eight a statistic")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="of a fit")
    parser.add_argument("--jobs", type=int, default=1, help="data sets at a time")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="on top of that")
    args = parser.parse_args()
    args.stage = args.stage or STAGES
    os.makedirs(args.folder, exist_ok=True)
    sets = range(1, args.sets + 1)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        all_results = list(pool.map(lambda d: run(args, d), sets))
    for data_set, results in zip(sets, all_results):
        show(data_set, results)
    for number, stage in enumerate(args.stage):
        table(args, stage, [results[number] for results in all_results])


if __name__ == "__main__":
    main()
