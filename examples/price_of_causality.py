"""What a decoder of LFP costs that could run live: the price of z-scores, of filters and of the model, in one table.

    python price_of_causality.py SWEEP.yaml --runs RUNS                                 # of synthetic recordings
    python price_of_causality.py SWEEP.yaml --runs RUNS --recordings FOLDER --stores DIR  # of your own

The sweep compares a model that reads later bins with a causal one, such as sweeps/demo_causality.yaml; its first line
of `compare` names them. The same recordings are stored four times, with the same folds and the same scored bins, and
the sweep runs on each store. What is done already is not run again.
"""

import argparse
import json
import subprocess
import sys

CAUSAL = "filters.causal=true"
STORES = {
    "whole-session z-scores, zero-phase filters": ("protocol=session_zscores",),
    "z-scores of the training fold, zero-phase filters": (),
    "z-scores of the training fold, causal filters": (CAUSAL,),
    "z-scores that follow, causal filters": (CAUSAL, "adapt_s={adapt_s}"),
}
"""What is stored -> settings of `ingest`. Each differs from the one before it in one thing."""
SESSION, TRAIN, FORWARD, FOLLOWING = STORES


def raydistill(*arguments):
    """Standard output of a command; what it says while it runs is seen."""
    done = subprocess.run(["raydistill", *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"raydistill {arguments[0]} ended with exit code {done.returncode}, so there is no table")
    return done.stdout


def results_of(options, number, settings):
    """The results of the sweep on recordings that are stored with these settings, as JSON data."""
    if options.recordings:
        store = f"{options.stores}/{number}"
        chosen = [part for setting in settings for part in ("--set", f"ingest.{setting}")]
        raydistill("ingest", options.recordings, "--store", store, *chosen)
        of_sweep = ["--set", f"store={store}"]
    else:
        of_sweep = [part for setting in settings for part in ("--set", f"recordings.ingest.{setting}")]
    raydistill("sweep", options.sweep, "--runs", options.runs, *of_sweep)
    return json.loads(raydistill("results", options.sweep, "--runs", options.runs, *of_sweep, "--json"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep")
    parser.add_argument("--runs", required=True)
    parser.add_argument("--recordings", help="folder or manifest, as for `raydistill ingest`")
    parser.add_argument("--stores", help="new folder for the four stores of --recordings")
    parser.add_argument("--adapt-s", default="600", help="time over which z-scores follow, in seconds")
    options = parser.parse_args()
    if bool(options.recordings) != bool(options.stores):
        parser.error("give --recordings and --stores together, or neither")
    means = {}
    for number, (name, settings) in enumerate(STORES.items()):
        results = results_of(options, number, [s.format(adapt_s=options.adapt_s) for s in settings])
        means[name] = {row["method"]: row["mean"] for row in results["means"]}
        whole, causal = results["tests"][0]["better"], results["tests"][0]["worse"]
    methods = list(means[TRAIN])
    print("| store |", " | ".join(methods), "|")
    print("|---" * (len(methods) + 1) + "|")
    for name, row in means.items():
        print(f"| {name} |", " | ".join(f"{row[method]:.3f}" for method in methods), "|")
    print("\n| part of the price | R² |\n|---|---|")
    parts = {
        f"z-scores: of the training fold instead of the whole session, {whole}": (SESSION, whole, TRAIN, whole),
        f"filters: forward only, {whole}": (TRAIN, whole, FORWARD, whole),
        f"model: {causal} instead of {whole}, causal filters": (FORWARD, whole, FORWARD, causal),
        "sum": (SESSION, whole, FORWARD, causal),
        f"z-scores that follow instead of staying, {causal}": (FORWARD, causal, FOLLOWING, causal),
    }
    for name, (store, method, other_store, other_method) in parts.items():
        print(f"| {name} | {means[store][method] - means[other_store][other_method]:.3f} |")


if __name__ == "__main__":
    main()
