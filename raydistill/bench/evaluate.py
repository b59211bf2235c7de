"""`bench evaluate`: retrieval and CKA of random latents, in a separate process whose memory is measured."""

import json
import os
import subprocess
import sys
from collections.abc import Callable

from raydistill.bench import Report, versions

_WORK = """
import json, time
import numpy as np
from raydistill.cluster.memory import peak_mb, resident_mb
from raydistill.evaluation.alignment import align
random = np.random.default_rng(0)
a, b = (random.standard_normal(({n}, {width}), np.float32) for _ in range(2))
sessions = np.arange({n}) % {sessions}
align("a", "b", a[:64], b[:64], sessions[:64])
base, started = resident_mb(), time.perf_counter()
align("a", "b", a, b, sessions)
print(json.dumps({{"seconds": time.perf_counter() - started, "peak_mb_above_base": max(0.0, peak_mb() - base)}}))
"""


def bench_evaluate(
    *, sequences: int = 10_000, width: int = 256, sessions: int = 65, say: Callable[[str], None] = lambda text: None
) -> Report:
    """`seconds` and `peak_mb_above_base` of both retrievals and all forms of CKA between two models' latents.

    Args:
        sequences: number of segments that both models encode.
        width: numbers per segment.
        sessions: number of sessions that the segments are from.
    """
    say(f"retrieval and CKA of {sequences} x {width}")
    code = _WORK.format(n=sequences, width=width, sessions=sessions)
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    figures = json.loads(process.stdout)
    return Report(
        what="evaluate",
        device="cpu",
        threads=os.cpu_count() or 1,
        precision="fp32",
        figures=figures | {"sequences": float(sequences), "width": float(width)},
        versions=versions("numpy"),
    )
