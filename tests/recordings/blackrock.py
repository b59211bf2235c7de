"""Files of Blackrock, version 2.3, written byte by byte as specified: signals (.ns1 to .ns6) and spikes (.nev)."""

import struct

import numpy as np

CLOCK_HZ = 30000
_DATE = (2020, 1, 3, 1, 12, 0, 0, 0)
_WAVEFORM = 48  # samples per spike


def write_nsx(path, blocks, rate_hz, names, units=None, gain=0.25):
    """Write signals.

    Args:
        blocks: (first tick of the 30-kHz clock, (samples, channels) int16) of each stretch without a pause.
        names: of the channels; their electrodes are numbered from 1.
        units: of the channels; None: uV.
        gain: units per count.
    """
    header = struct.pack(
        "<8sBBI16s256sII", b"NEURALCD", 2, 3, 314 + 66 * len(names), b"test", b"", 30000 // rate_hz, 30000
    )
    header += struct.pack("<8HI", *_DATE, len(names))
    limit = 8000
    for number, (name, unit) in enumerate(zip(names, units or ["uV"] * len(names), strict=True), start=1):
        header += struct.pack("<2sH16sBB", b"CC", number, name.encode(), 1, number)
        header += struct.pack("<4h16s", -limit, limit, int(-limit * gain), int(limit * gain), unit.encode())
        header += struct.pack("<IIHIIH", 300, 1, 1, 250000, 1, 1)
    with open(path, "wb") as file:
        file.write(header)
        for tick, samples in blocks:
            file.write(struct.pack("<BII", 1, tick, len(samples)) + np.ascontiguousarray(samples, "<i2").tobytes())


def write_nev(path, ticks, electrodes):
    """Write spikes.

    Args:
        ticks: (electrode, unit) -> ascending ticks of the 30-kHz clock. Unit 0 is unsorted, 255 noise.
        electrodes: all electrodes that are described.
    """
    packet = 8 + 2 * _WAVEFORM
    header = struct.pack("<8sBBHIIII", b"NEURALEV", 2, 3, 1, 336 + 32 * len(electrodes), packet, CLOCK_HZ, CLOCK_HZ)
    header += struct.pack("<8H32s256sI", *_DATE, b"test", b"", len(electrodes))
    for electrode in electrodes:
        header += struct.pack(
            "<8sHBBHHhhBBH8s", b"NEUEVWAV", electrode, 1, electrode, 250, 0, 0, -50, 1, 2, _WAVEFORM, b""
        )
    spikes = sorted((tick, *owner) for owner, own in ticks.items() for tick in own)
    body = b"".join(
        struct.pack("<IHBx", tick, electrode, unit) + bytes(2 * _WAVEFORM) for tick, electrode, unit in spikes
    )
    path.write_bytes(header + body)
