"""`raydistill decode --stream` and `raydistill send`."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raydistill.decode.decoder import open_decoder
from raydistill.errors import DataError, RaydistillError, counted
from raydistill.evaluation.session_scores import scored_folds
from raydistill.interrupts import leaving
from raydistill.store.catalogue import Entry
from raydistill.store.store import Store
from raydistill.stream.decoder import StreamDecoder, on_z_scores
from raydistill.stream.live import LiveDecoder
from raydistill.stream.preprocess import Preprocess
from raydistill.stream.replay import Replay, replay
from raydistill.stream.samples import Chunk, Lines, Source, arriving_lines

STDIN = "standard input"
LISTENER_S = 30.0
"""A sender waits this long for a listener."""

LIVE_ENDS = "what was decoded has been given out; the same command decodes what arrives then, as a new segment"
SENDING_ENDS = "the same command sends from the first bin on"
"""What is printed after an interrupt."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where samples come from, and where behavior goes."""

    source: str
    """-, lsl:NAME or zmq:ADDRESS."""
    target: str
    """The same; - is standard output."""
    rate_hz: float | None
    """Of raw samples; None: z-scored bins arrive."""
    timeout_s: float
    """How long a sender may be silent."""


def replayed(
    model: Path,
    session: str,
    store: str,
    embeddings_of: str | None,
    behavior: tuple[str, ...],
    say: Callable[[str], None] = lambda text: None,
) -> Replay:
    """Decode the scored segments of a session bin by bin.

    Args:
        say: prints a message.
    Raises:
        RaydistillError: as `open_decoder`, or the model is not causal.
    """
    opened = Store(store)
    decoder = StreamDecoder(open_decoder(model, opened, session, embeddings_of, behavior))
    _warn(decoder, say)
    return replay(decoder, opened)


def _warn(decoder: StreamDecoder, say: Callable[[str], None]) -> None:
    if note := on_z_scores(decoder):
        say(f"warning: {note}")


def decode_live(
    model: Path,
    session: str,
    store: str,
    embeddings_of: str | None,
    behavior: tuple[str, ...],
    place: Place,
    say: Callable[[str], None],
) -> None:
    """Decode samples as they arrive.

    Args:
        say: prints a message.
    Raises:
        RaydistillError: as `open_decoder`; the model is not causal; a source or target is unknown, or sends something
            else than the model reads.
    """
    opened = open_decoder(model, Store(store), session, embeddings_of, behavior)
    decoder = StreamDecoder(opened)
    _warn(decoder, say)
    rate_hz = place.rate_hz
    make = None if rate_hz is None else lambda: Preprocess(opened.entry, rate_hz)
    live = LiveDecoder(decoder, make, rate_hz, say)
    source = _source(place, opened.entry.bin_width_ms, say)
    with leaving(LIVE_ENDS), _sink(place.target, decoder.columns, opened.entry) as sink:
        say(f"waiting for {live.expected} from {STDIN if place.source == '-' else place.source}")
        try:
            for number, values in enumerate(live.run(source)):
                sink(Chunk(number, values[None]))
        finally:
            say(live.in_words())


def deployed(
    model: Path,
    session: str,
    store: str,
    embeddings_of: str | None,
    behavior: tuple[str, ...],
    out: Path,
    rate_hz: float | None,
    say: Callable[[str], None],
) -> str:
    """Write a model as a graph of one step; returns how well it agrees, as one line.

    Args:
        say: prints a message.
    Raises:
        RaydistillError: as `open_decoder` and `deploy`.
    """
    from raydistill.stream.deploy import deploy

    opened = Store(store)
    decoder = StreamDecoder(open_decoder(model, opened, session, embeddings_of, behavior))
    _warn(decoder, say)
    difference = deploy(decoder, opened, out, rate_hz)
    return f"onnxruntime and torch differ by at most {difference:.1g} (latents, and behavior in SD)"


def send(session: str, store: str, signal: str, target: str, speed: float, say: Callable[[str], None]) -> None:
    """Send the scored segments of a stored session bin by bin, at the speed at which they were recorded.

    They follow each other without a pause, as if they had been recorded like this.

    Args:
        signal: spikes or lfp.
        target: -, lsl:NAME or zmq:ADDRESS.
        speed: how many times faster than recorded.
    Raises:
        RaydistillError: the store lacks the session or the signal, the target is unknown, or nobody listens.
    """
    opened = Store(store)
    entry = opened.entry(session)
    columns = entry.n_columns[signal]
    if not columns:
        raise DataError(f"session {session} has no {signal}")
    kind = "EEG" if signal == "lfp" else "Spikes"
    with leaving(SENDING_ENDS), _target(target, columns, 1000 / entry.bin_width_ms * speed, kind) as sender:
        n = 0
        began = time.monotonic()
        for fold in scored_folds(entry):
            for segment in opened.stream(entry, fold, signals=(signal,)):
                for values in getattr(segment, signal):
                    time.sleep(max(0.0, began + n * entry.bin_width_ms / 1000 / speed - time.monotonic()))
                    sender.send(Chunk(n, values[None]))
                    n += 1
        sender.end()
        sent = f"{counted(n, 'bin')} of {counted(columns, f'{signal} column')}"
        say(f"{sent} sent in {time.monotonic() - began:.1f} s")


class _Printer:
    """Prints one line of numbers per sample."""

    def send(self, chunk: Chunk) -> None:
        for values in chunk.values:
            print(*(f"{value:.6g}" for value in values), flush=True)

    def end(self) -> None:
        pass

    def close(self) -> None:
        pass


def _source(place: Place, bin_width_ms: float, say: Callable[[str], None]) -> Source:
    kind, _, name = place.source.partition(":")
    if place.source == "-":
        if sys.stdin is None:
            raise RaydistillError(f"--from -: {STDIN} is closed")
        return Lines(arriving_lines(sys.stdin, place.timeout_s))
    if kind == "lsl" and name:
        from raydistill.stream.lsl import LslSource

        return LslSource(name, place.timeout_s, place.rate_hz or 1000 / bin_width_ms, say)
    if kind == "zmq" and name:
        from raydistill.stream.zmq import ZmqSource

        return ZmqSource(name, place.timeout_s)
    raise RaydistillError(
        f'--from "{place.source}" is not known; give - (lines on standard input), lsl:NAME or zmq:ADDRESS'
    )


@contextmanager
def _sink(text: str, columns: tuple[str, ...], entry: Entry) -> Iterator[Callable[[Chunk], None]]:
    if text == "-":
        print(*columns, flush=True)
        yield _Printer().send
        return
    with _target(text, len(columns), 1000 / entry.bin_width_ms, "Behavior", columns, waits=False) as sender:
        yield sender.send
        sender.end()


@contextmanager
def _target(
    text: str, n_channels: int, rate_hz: float, kind: str, labels: tuple[str, ...] = (), waits: bool = True
) -> Iterator[Any]:
    how, _, name = text.partition(":")
    sender: Any
    if text == "-":
        sender = _Printer()
    elif how == "lsl" and name:
        from raydistill.stream.lsl import LslSender

        sender = LslSender(name, n_channels, rate_hz, kind, labels)
        if waits and not sender.wait_for_listener(LISTENER_S):
            raise RaydistillError(f"lsl:{name}: nobody has listened for {LISTENER_S:g} s")
    elif how == "zmq" and name:
        from raydistill.stream.zmq import ZmqSender

        sender = ZmqSender(name)
        time.sleep(0.5)  # a subscriber that waits for the address connects within this time
    else:
        raise RaydistillError(f'"{text}" is not known; give - (standard output), lsl:NAME or zmq:ADDRESS')
    try:
        yield sender
    finally:
        sender.close()
