"""Fuzz n files of some kinds, or of all, and print the counts and every fault."""

import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.recordings.fuzzing.examine import fuzz
from tests.recordings.fuzzing.kinds import KINDS


def main(n: int, kinds: list[str]) -> int:
    """The number of faults."""
    faults = 0
    with TemporaryDirectory(prefix="raydistill-fuzz-") as folder:
        for kind in kinds or KINDS:
            results = [_told(result) for result in fuzz(kind, range(n), Path(folder))]
            states = Counter(result["state"] for result in results)
            drafted = sum(result["drafted"] for result in results)
            wrong = [result for result in results if result["fault"]]
            peak, slowest = max(r["mb"] for r in results), max(results, key=lambda result: result["seconds"])
            print(
                f"{kind}: {n} files, {states['stored']} stored, {states['failed']} refused, {drafted} manifests, "
                f"{len(wrong)} faults, peak {peak:.0f} MB, slowest {slowest['seconds']:.1f} s "
                f"(seed {slowest['seed']})",
                flush=True,
            )
            faults += len(wrong)
    return faults


def _told(result: dict) -> dict:
    if result["fault"]:
        line = result["line"].strip().replace("\n", " / ")[-400:]
        print(f"  {result['kind']} {result['seed']} ({result['how'][:200]}): {result['fault']}: {line}", flush=True)
    return result


if __name__ == "__main__":
    sys.exit(1 if main(int(sys.argv[1]), sys.argv[2:]) else 0)
