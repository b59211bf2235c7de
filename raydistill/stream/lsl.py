"""Samples through the Lab Streaming Layer, which most acquisition systems can send."""

import time
from collections.abc import Callable, Iterator

import numpy as np

from raydistill.errors import DataError
from raydistill.stream.extras import needs
from raydistill.stream.samples import Chunk, SilenceError

with needs("pylsl", "lsl"):
    import pylsl
    from pylsl.util import LostError

_PULL_S = 0.2
_RESOLVE_S = 1.0
_RATE_TOLERANCE = 0.01
_LINGER_S = 3.0


class LslSource:
    """Reads the stream of a name. Its time stamps are dejittered, and a step in them is a number of lost samples."""

    def __init__(self, name: str, timeout_s: float, rate_hz: float, say: Callable[[str], None]):
        self.name, self.timeout_s, self.rate_hz, self._say = name, timeout_s, rate_hz, say

    def chunks(self, n_channels: int) -> Iterator[Chunk]:
        """The samples as they come, without end until the sender is silent."""
        sender = self._sender()
        if sender.channel_count() != n_channels:
            raise DataError(f"lsl:{self.name} has {sender.channel_count()} channels, but the model reads {n_channels}")
        if sender.channel_format() == pylsl.cf_string:
            raise DataError(f"lsl:{self.name} sends texts, but the model reads numbers")
        rate_hz = sender.nominal_srate()
        if not rate_hz:
            self._say(f"lsl:{self.name} states no rate, so lost samples are not noticed")
        elif abs(rate_hz / self.rate_hz - 1) > _RATE_TOLERANCE:
            self._say(
                f"lsl:{self.name} sends {rate_hz:g} samples per second, but they are decoded as {self.rate_hz:g}; see "
                "`--rate-hz`"
            )
        flags = pylsl.proc_clocksync | pylsl.proc_dejitter
        inlet = pylsl.StreamInlet(sender, max_buflen=60, processing_flags=flags, recover=False)
        number, before, heard = 0, 0.0, time.monotonic()
        while True:
            try:
                samples, stamps = inlet.pull_chunk(timeout=_PULL_S)
            except LostError:
                return
            if not samples:
                if time.monotonic() - heard > self.timeout_s:
                    raise SilenceError(self.timeout_s)
                continue
            heard = time.monotonic()
            numbers = number + sample_numbers(np.array(stamps), before, rate_hz)
            for run in np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(numbers) > 1) + 1):
                yield Chunk(int(numbers[run[0]]), np.array(samples)[run])
            number, before = int(numbers[-1]) + 1, stamps[-1]

    def _sender(self) -> pylsl.StreamInfo:
        """The only stream of this name. Ctrl-C ends the wait within `_RESOLVE_S`, because no call takes longer."""
        until = time.monotonic() + self.timeout_s
        while (left := until - time.monotonic()) > 0:
            # All that answer in this time: asked for at least 1, LSL would return the first alone.
            found = pylsl.resolve_byprop("name", self.name, 2, min(left, _RESOLVE_S))
            if len(found) > 1:
                hosts = " and ".join(sender.hostname() for sender in found)
                raise DataError(f"lsl:{self.name}: {len(found)} streams have this name, on {hosts}; rename one of them")
            if found:
                return found[0]
        raise SilenceError(self.timeout_s)


def sample_numbers(stamps: np.ndarray, before: float, rate_hz: float) -> np.ndarray:
    """(m,) numbers of samples, of which one without a loss before it would be 0; steps of the stamps are losses.

    Args:
        stamps: (m,) in seconds.
        before: stamp of the sample before them; 0: there is none.
        rate_hz: 0 if it is irregular, so that no loss can be told.
    """
    steps = np.diff(stamps, prepend=before or stamps[0])
    lost = np.maximum(0, np.round(steps * rate_hz).astype(int) - 1) if rate_hz else np.zeros(len(stamps), dtype=int)
    return np.arange(len(stamps)) + lost.cumsum()


class LslSender:
    """Offers a stream of a name."""

    def __init__(self, name: str, n_channels: int, rate_hz: float, kind: str, labels: tuple[str, ...] = ()):
        info = pylsl.StreamInfo(name, kind, n_channels, rate_hz, "float32", f"raydistill-{name}")
        channels = info.desc().append_child("channels")
        for label in labels:
            channels.append_child("channel").append_child_value("label", label)
        self._outlet = pylsl.StreamOutlet(info)

    def wait_for_listener(self, seconds: float) -> bool:
        """Whether somebody listens, within this time."""
        return self._outlet.wait_for_consumers(seconds)

    def send(self, chunk: Chunk) -> None:
        """Send samples."""
        self._outlet.push_chunk(chunk.values.astype(np.float32).tolist())

    def end(self) -> None:
        """Give the listeners time to take the last samples, which are lost when the stream is withdrawn."""
        time.sleep(_LINGER_S)

    def close(self) -> None:
        """Withdraw the stream."""
        del self._outlet
