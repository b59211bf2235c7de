"""Commands and options for decoding bin by bin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from raydistill.cli.options import ABOVE_ZERO, ON_DISK, SessionName, StoreUri
from raydistill.cli.output import say

if TYPE_CHECKING:
    from raydistill.stream.command import Place

TIMEOUT_S = 10.0


@Parameter(name="*", help="Samples that arrive.")
@dataclass(frozen=True, kw_only=True)
class Live:
    """Options of `decode` for samples that arrive."""

    source: Annotated[
        str | None,
        Parameter(
            name="--from",
            allow_leading_hyphen=True,
            help="With --stream: decode what arrives instead of the stored segments. - reads one line of numbers per "
            "sample; lsl:NAME and zmq:ADDRESS need `pip install 'raydistill[lsl]'` or `[zmq]`.",
        ),
    ] = None
    to: Annotated[
        str | None,
        Parameter(
            name="--to",
            allow_leading_hyphen=True,
            help="With --from: where decoded behavior goes: lsl:NAME, zmq:ADDRESS or - (standard output, the default).",
        ),
    ] = None
    rate_hz: Annotated[
        float | None,
        ABOVE_ZERO,
        Parameter(
            name="--rate-hz",
            help="With --from: rate of raw LFP samples, which are filtered as in the store (`filters: {causal: "
            "true}`). By default z-scored bins arrive.",
        ),
    ] = None
    timeout_s: Annotated[
        float | None,
        ABOVE_ZERO,
        Parameter(
            name="--timeout-s",
            help=f"With --from: end after this many seconds without a sample, by default {TIMEOUT_S:g}.",
        ),
    ] = None

    @property
    def given(self) -> dict[str, object]:
        """Option -> its value; None if it was not given."""
        return {"--from": self.source, "--to": self.to, "--rate-hz": self.rate_hz, "--timeout-s": self.timeout_s}

    def place(self) -> Place:
        """Where samples come from and behavior goes."""
        from raydistill.stream.command import Place

        assert self.source is not None
        timeout_s = TIMEOUT_S if self.timeout_s is None else self.timeout_s
        return Place(source=self.source, target=self.to or "-", rate_hz=self.rate_hz, timeout_s=timeout_s)


STORED = Live()
"""No sample arrives: a stored session is decoded."""


def deploy(
    model: Annotated[Path, Parameter(help="Folder of a causal model, as for `decode`.")],
    *,
    session: SessionName,
    store: StoreUri,
    out: Annotated[Path, Parameter(help="New folder for decoder.onnx and decoder.json."), ON_DISK],
    as_: Annotated[
        str | None, Parameter(name="--as", help="Session that the model was trained on, whose embeddings it uses.")
    ] = None,
    behavior: Annotated[
        tuple[str, ...], Parameter(help="Behavior column to decode; may be repeated.", negative="", show_default=False)
    ] = (),
    rate_hz: Annotated[
        float | None,
        ABOVE_ZERO,
        Parameter(help="Rate of raw LFP samples: also write the coefficients of the causal filters."),
    ] = None,
):
    """Write one step of a causal model as ONNX, for a program without torch (examples/run_decoder.py)."""
    from raydistill.stream.command import deployed

    say(deployed(model, session, store, as_, behavior, out, rate_hz, say))
    print(out)


def send(
    *,
    session: SessionName,
    store: StoreUri,
    to: Annotated[
        str,
        Parameter(
            allow_leading_hyphen=True,
            help="- (standard output), lsl:NAME or zmq:ADDRESS, such as zmq:tcp://127.0.0.1:5555.",
        ),
    ],
    signal: Annotated[Literal["lfp", "spikes"], Parameter(help="The signal to send.")] = "lfp",
    speed: Annotated[float, ABOVE_ZERO, Parameter(help="How many times faster than recorded.")] = 1.0,
):
    """Send the scored segments of a stored session bin by bin, one after another, as an acquisition system would.

    `decode --stream --from` can be tried with it.
    """
    from raydistill.stream.command import send as run

    run(session, store, signal, to, speed, say)
