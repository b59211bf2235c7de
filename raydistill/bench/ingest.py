"""`bench ingest`: one recording from its published files into the store, as a task of `raydistill ingest` does it.

A recording in Makin's layout is written block by block, so that it is never in memory as a whole. A separate process
then ingests it on one thread: first another, tiny recording, after which all modules are imported; then this one,
several times. CPU time includes all threads and the kernel. Memory is counted above what the process holds after the
tiny recording.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, gettempdir

import numpy as np

from raydistill.bench import Report, versions
from raydistill.bench.machine import copy_gb_per_s, matmul_gflops
from raydistill.cluster.memory import peak_mb, resident_mb
from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import ConfigError, DataError, RaydistillError
from raydistill.recordings.content import content_of
from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.planning.discover import plan_folder
from raydistill.recordings.recording import Recording
from raydistill.simulation.simulate import simulate
from raydistill.simulation.writers.makin import write_makin
from raydistill.store.store import Store

SHORTEST_S = 45.0  # three split units of 10 s between the first and the last target
_BROADBAND_HZ = 24414.0625
_VOLTS_PER_BIT = np.float32(0.01 / 32767)
_CHUNK = 256, 32  # samples and channels, as in the published files
_BLOCK = 1 << 15  # broadband samples that repeat
_LATENT_HZ = 4 * _BROADBAND_HZ / _BLOCK  # four periods per block
_UNITS_PER_CHANNEL = 8 / 3  # the paper's sessions have 257 units on 96 channels


def bench_ingest(
    *, minutes: float = 1.0, channels: int = 96, repeats: int = 3, say: Callable[[str], None] = lambda text: None
) -> Report:
    """Medians over the repeats: times of one recording; the memory is the peak over all repeats.

    `cpu_s` and `wall_s`: opening the files, checking their clocks, reading, filtering, binning and storing, without
    the sha256 of the files, which is `hash_cpu_s`. `drift_ms`: delay of a known latent in the last minute of the LFP
    relative to the first minute (in a recording of less than three minutes, the last and the first third).

    Args:
        minutes: length of the recording.
        channels: LFP channels.

    Raises:
        ConfigError: the recording would be too short for a split.
        DataError: the disk with temporary files has too little space.
    """
    seconds = 60 * minutes
    if seconds < SHORTEST_S:
        raise ConfigError(f"`--minutes` must be at least {SHORTEST_S / 60:g}, but got {minutes:g}")
    needed, free = 2 * channels * int(seconds * _BROADBAND_HZ), shutil.disk_usage(gettempdir()).free
    if free < 1.2 * needed:
        raise DataError(
            f"{gettempdir()} has {free / 1e9:.1f} GB free and {1.2 * needed / 1e9:.1f} GB are needed; "
            "set TMPDIR to another folder or `--minutes` lower"
        )
    with TemporaryDirectory(prefix="raydistill-bench-") as folder:
        say(f"writing {needed / 1e9:.2g} GB into {folder}")
        write_recording(Path(folder) / "tiny", SHORTEST_S, 8)
        write_recording(Path(folder) / "measured", seconds, channels)
        say(f"ingesting it {repeats} times")
        figures = _figures_of_process(Path(folder), repeats)
    return Report(
        what="ingest",
        device="cpu",
        threads=1,
        precision="float32",
        figures={"seconds": seconds, "channels": float(channels)} | figures,
        versions=versions("numpy", "scipy", "h5py", "pyarrow"),
    )


def write_recording(folder: Path, seconds: float, channels: int) -> None:
    """Write Makin's pair of files: simulated reaches and spikes, and a sine in noise as broadband of every channel."""
    import h5py

    folder.mkdir(parents=True)
    units = round(_UNITS_PER_CHANNEL * channels)
    config = SyntheticConfig(
        duration_s=seconds, min_units=units, max_units=units, min_channels=channels, max_channels=channels
    )
    path = write_makin(simulate(config, 0, 0, session="bench", subject="I", lfp=False), folder, "indy_20160622_01")
    block, n = _block(channels), int(seconds * _BROADBAND_HZ)
    with h5py.File(path.with_suffix(".nwb"), "w") as file:
        series = file.create_group("acquisition/timeseries/broadband")
        stamps = series.create_dataset("timestamps", (n,), np.float64, chunks=_CHUNK[:1])
        data = series.create_dataset("data", (n, channels), np.int16, chunks=(_CHUNK[0], min(_CHUNK[1], channels)))
        data.attrs["conversion"] = _VOLTS_PER_BIT
        for a in range(0, n, _BLOCK):
            b = min(a + _BLOCK, n)
            data[a:b] = block[: b - a]
            stamps[a:b] = np.arange(a, b) / _BROADBAND_HZ


def _block(channels: int) -> np.ndarray:
    """(_BLOCK, channels) int16: a sine of 0.6 mV, inverted on every other channel, in noise of 0.3 mV."""
    sine = np.sin(2 * np.pi * _LATENT_HZ / _BROADBAND_HZ * np.arange(_BLOCK))
    noise = np.random.default_rng(0).normal(0, 1000, (_BLOCK, channels))
    return (2000 * sine[:, None] * _signs(channels) + noise).astype(np.int16)


def _signs(channels: int) -> np.ndarray:
    """(channels,) alternating 1 and -1, so that subtracting the common average does not remove the sine."""
    return np.where(np.arange(channels) % 2, -1, 1)


def _figures_of_process(folder: Path, repeats: int) -> dict[str, float]:
    """The figures that `_measure` prints in a new process, with one thread as in a Ray task with one CPU."""
    command = [sys.executable, "-m", "raydistill.bench.ingest", str(folder), str(repeats)]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if process.returncode:
        raise RaydistillError(f"the measured process ended with code {process.returncode}; its messages are above")
    return json.loads(process.stdout)


def _measure(folder: Path, repeats: int) -> dict[str, float]:
    tiny, measured = (plan_folder(folder / name, "makin").recordings[0] for name in ("tiny", "measured"))
    _ingest(tiny, folder / "tiny" / "store")
    base_mb = resident_mb()
    runs = [_ingest(measured, folder / "measured" / "store") for _ in range(repeats)]
    peak_above_mb = peak_mb() - base_mb  # read here, because the steps below use memory themselves
    figures = {name: median(run[name] for run in runs) for name in runs[0]}
    return figures | {
        "peak_mb_above_base": peak_above_mb,
        "base_mb": base_mb,
        "drift_ms": _drift_ms(Store(str(folder / "measured" / "store")), measured.name),
        "copy_gb_per_s": copy_gb_per_s(),
        "matmul_gflops": matmul_gflops(),
    }


def _ingest(recording: Recording, store: Path) -> dict[str, float]:
    """Ingest one recording and return `cpu_s`, `wall_s` and `hash_cpu_s`."""
    cpu_s = time.process_time()
    contents = [content_of(path) for path in recording.files]
    hash_cpu_s = time.process_time() - cpu_s
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    result = ingest_one(recording, str(store), None, contents)
    figures = {"cpu_s": time.process_time() - cpu_s, "wall_s": time.perf_counter() - wall_s, "hash_cpu_s": hash_cpu_s}
    if result.state != "stored":
        raise DataError(result.cause)
    return figures


def _drift_ms(store: Store, name: str) -> float:
    (entry,) = [entry for entry in store.publish() if entry.session == name]
    segments, width_s = store.read(entry), entry.bin_width_ms / 1000
    times = np.concatenate([s.start_s + (np.arange(s.n_bins) + 0.5) * width_s for s in segments])
    latent = np.concatenate([s.lfp @ _signs(entry.n_channels) for s in segments])
    window_s = min(60.0, (times[-1] - times[0]) / 3)
    at_start, at_end = times < times[0] + window_s, times > times[-1] - window_s
    return 1000 * (_delay_s(times[at_end], latent[at_end]) - _delay_s(times[at_start], latent[at_start]))


def _delay_s(times: np.ndarray, latent: np.ndarray) -> float:
    """Delay of the sine in `latent` in seconds, by least squares. Both have shape (N,)."""
    phase = 2 * np.pi * _LATENT_HZ * times
    waves = np.stack([np.sin(phase), np.cos(phase), np.ones_like(phase)], axis=1)
    sine, cosine, _ = np.linalg.lstsq(waves, latent, rcond=None)[0]
    return float(-np.arctan2(cosine, sine) / (2 * np.pi * _LATENT_HZ))


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]), int(sys.argv[2]))))
