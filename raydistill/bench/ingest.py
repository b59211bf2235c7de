"""`bench ingest`: from the published files of one recording into the store, as a task of `raydistill ingest` does it.

A recording in Makin's layout is written block by block, so that no length of it is ever in memory. A process of its
own then ingests it on one thread: first another, tiny one, after which all is imported; then this one, several times.
CPU time counts all threads and the kernel. Memory counts from what the process holds after the tiny recording.
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
from raydistill.bench.machine import copy_gb_per_s, matmul_gflops, peak_mb, resident_mb
from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import ConfigError, DataError, RaydistillError
from raydistill.recordings.discover import recordings_in
from raydistill.recordings.ingest import digest, files_of, ingest_one
from raydistill.simulation.simulate import simulate
from raydistill.simulation.writers.makin import write_makin
from raydistill.store.store import Store

SHORTEST_S = 45.0  # three split units of 10 s between the first and the last target
_BROADBAND_HZ = 24414.0625
_VOLTS_PER_BIT = np.float32(0.01 / 32767)
_CHUNK = 256, 32  # samples and channels, as in the published files
_BLOCK = 1 << 15  # broadband samples that repeat
_LATENT_HZ = 4 * _BROADBAND_HZ / _BLOCK  # four periods a block
_UNITS_PER_CHANNEL = 8 / 3  # the paper's sessions have 257 units on 96 channels


def bench_ingest(
    *, minutes: float = 1.0, channels: int = 96, repeats: int = 3, say: Callable[[str], None] = lambda text: None
) -> Report:
    """Medians over the repeats; times are those of one recording, memory is the peak of all repeats.

    `cpu_s` and `wall_s`: opening the files, checking their clocks, reading, filtering, binning and storing, all but
    the sha256 of the files, which is `hash_cpu_s`. `drift_ms`: how much later than in its first minute the LFP shows
    a known latent in its last (thirds, where the recording is shorter than three minutes).

    Raises:
        ConfigError: the recording would be too short to be split.
        DataError: it has no room where temporary files go.
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
        figures = _in_fresh_process(folder, repeats)
    figures = {"seconds": seconds, "channels": channels} | figures
    return Report(
        what="ingest",
        device="cpu",
        threads=1,
        precision="float32",
        figures=figures,
        versions=versions("numpy", "scipy", "h5py", "pyarrow"),
    )


def write_recording(folder: Path, seconds: float, channels: int) -> None:
    """Makin's pair of files: simulated reaches and spikes, and a sine in noise as the broadband of every channel."""
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


def _block(channels):
    """(_BLOCK, channels) int16: a sine of 0.6 mV, turned over on every other channel, in noise of 0.3 mV."""
    sine = np.sin(2 * np.pi * _LATENT_HZ / _BROADBAND_HZ * np.arange(_BLOCK))
    noise = np.random.default_rng(0).normal(0, 1000, (_BLOCK, channels))
    return (2000 * sine[:, None] * _signs(channels) + noise).astype(np.int16)


def _signs(channels):
    """(channels,) 1 and -1 in turn, so that the common average leaves the sine."""
    return np.where(np.arange(channels) % 2, -1, 1)


def _in_fresh_process(folder, repeats):
    """The figures that `_measured` prints there; Ray gives a task of one CPU one thread, too."""
    command = [sys.executable, "-m", "raydistill.bench.ingest", folder, str(repeats)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise RaydistillError(
            f"the process that was measured ended with code {done.returncode}; its messages are above"
        )
    return json.loads(done.stdout)


def _measured(folder: Path, repeats: int) -> dict[str, float]:
    tiny, measured = (recordings_in(folder / name, "makin")[0] for name in ("tiny", "measured"))
    _ingested(tiny, folder / "tiny" / "store")
    base_mb = resident_mb()
    runs = [_ingested(measured, folder / "measured" / "store") for _ in range(repeats)]
    peak_above_mb = peak_mb() - base_mb  # before all that follows takes memory for itself
    figures = {name: median(run[name] for run in runs) for name in runs[0]}
    return figures | {
        "peak_mb_above_base": peak_above_mb,
        "base_mb": base_mb,
        "drift_ms": _drift_ms(Store(folder / "measured" / "store"), measured.name),
        "copy_gb_per_s": copy_gb_per_s(),
        "matmul_gflops": matmul_gflops(),
    }


def _ingested(recording, store):
    cpu_s = time.process_time()
    digests = [digest(path) for path in files_of(recording)]
    hash_cpu_s = time.process_time() - cpu_s
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    arrival = ingest_one(recording, str(store), None, digests)
    figures = {"cpu_s": time.process_time() - cpu_s, "wall_s": time.perf_counter() - wall_s, "hash_cpu_s": hash_cpu_s}
    if arrival.state != "made":
        raise DataError(arrival.cause)
    return figures


def _drift_ms(store: Store, name: str) -> float:
    (entry,) = [entry for entry in store.publish() if entry.session == name]
    segments, width_s = store.read(entry), entry.bin_width_ms / 1000
    times = np.concatenate([s.start_s + (np.arange(s.n_bins) + 0.5) * width_s for s in segments])
    latent = np.concatenate([s.lfp @ _signs(entry.n_channels) for s in segments])
    window_s = min(60.0, (times[-1] - times[0]) / 3)
    first, last = times < times[0] + window_s, times > times[-1] - window_s
    return 1000 * (_late_s(times[last], latent[last]) - _late_s(times[first], latent[first]))


def _late_s(times, latent) -> float:
    """Seconds by which the sine in `latent` comes late, by least squares."""
    phase = 2 * np.pi * _LATENT_HZ * times
    waves = np.stack([np.sin(phase), np.cos(phase), np.ones_like(phase)], axis=1)
    sine, cosine, _ = np.linalg.lstsq(waves, latent, rcond=None)[0]
    return float(-np.arctan2(cosine, sine) / (2 * np.pi * _LATENT_HZ))


if __name__ == "__main__":
    print(json.dumps(_measured(Path(sys.argv[1]), int(sys.argv[2]))))
