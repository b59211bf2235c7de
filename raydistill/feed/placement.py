"""Where a worker keeps its segments: on the device, in host memory, or nowhere, streaming them every epoch."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

import torch

from raydistill.config.engine import EngineConfig
from raydistill.feed.feed import Example, Feed, Kept, Source, Streamed
from raydistill.feed.order import Row, Shards
from raydistill.feed.reading import Reader
from raydistill.feed.tokens import Inputs
from raydistill.store.catalogue import Entry, Part
from raydistill.store.session import Segment

SPLITS = ("train", "valid")
DEVICE_SHARE = 1 / 3  # of a device's memory; model, gradients and activations need the rest

Teacher = Callable[[list[Segment]], list[torch.Tensor]]
"""The (T, D) latents of each of a part's segments."""


@dataclass(frozen=True)
class Holding:
    """What a worker does with its segments, and why."""

    place: Literal["device", "host", "stream"]
    megabytes: float
    """What they take when they are kept."""
    reason: str

    def to_json(self) -> dict:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Share:
    """A worker's share of a training set."""

    entries: tuple[Entry, ...]
    inputs: Inputs
    """What the model reads of a segment."""
    teacher_inputs: Inputs | None = None
    """What a teacher that learns reads of it."""
    teacher_width: int = 0
    """D of the latents that are kept of a frozen teacher; 0: there is none."""
    rank: int = 0
    workers: int = 1

    @property
    def parts(self) -> dict[str, list[Part]]:
        """split -> the parts of all workers, in an order that they share."""
        return {split: [p for e in self.entries for p in e.parts if p.split == split] for split in SPLITS}

    def shards(self) -> dict[str, Shards]:
        """split -> how its parts are dealt out."""
        tokens = {e.session: self.inputs.patches_of(e) for e in self.entries}
        owner = self.owners
        return {
            split: Shards.deal([len(p.numbers) for p in parts], [sum(p.n_bins) * tokens[owner[p.path]] for p in parts])
            for split, parts in self.parts.items()
        }

    @property
    def owners(self) -> dict[str, str]:
        """Path of a part -> its session."""
        return {part.path: e.session for e in self.entries for part in e.parts}

    def held(self) -> dict[str, list[int]]:
        """split -> the parts of this worker."""
        return {split: shards.held(self.rank, self.workers) for split, shards in self.shards().items()}

    def bytes(self) -> int:
        """What the share takes in memory, from the catalogue alone."""
        signals = [inputs for inputs in (self.inputs, self.teacher_inputs) if inputs]
        width = {e.session: sum(i.bytes_per_bin(e) for i in signals) + 4 * self.teacher_width for e in self.entries}
        owner, parts = self.owners, self.parts
        held = [parts[split][i] for split, indices in self.held().items() for i in indices]
        return sum(sum(part.n_bins) * width[owner[part.path]] for part in held)


def choose(share: Share, engine: EngineConfig, device: str) -> Holding:
    """The first place that the share fits, unless the engine names one."""
    megabytes = share.bytes() / 1e6
    on_gpu = device.startswith("cuda")
    if engine.memory != "auto":
        place = "host" if engine.memory == "device" and not on_gpu else engine.memory
        return Holding(place, megabytes, f"`memory: {engine.memory}` asks for it")
    if on_gpu:
        total = torch.cuda.get_device_properties(device).total_memory
        budget = 1000 * engine.device_gb if engine.device_gb else DEVICE_SHARE * total / 1e6
        if megabytes <= budget:
            return Holding("device", megabytes, f"fits {budget:.0f} MB of the device")
    budget = 1000 * engine.host_gb
    if megabytes <= budget:
        return Holding("host", megabytes, f"fits the {budget:.0f} MB of `host_gb`")
    return Holding("stream", megabytes, f"takes more than the {budget:.0f} MB of `host_gb`")


def open_feed(
    share: Share,
    read: Reader,
    *,
    batch: int,
    seed: int,
    engine: EngineConfig,
    device: str = "cpu",
    teacher: Teacher | None = None,
) -> tuple[Feed, Holding]:
    """A worker's feed. Its parts are read once, to be kept or for a frozen teacher to see; else not yet.

    Args:
        read: `read_directly` or `read_through_ray` of the share's sessions.
        batch: segments in a global batch.
        seed: of the order.
        teacher: frozen; its latents are computed here, once, and kept with the segments, or on disk where these
            are streamed.
    """
    holding, parts = choose(share, engine, device), share.parts
    places = [(split, i) for split, indices in share.held().items() for i in indices]
    once = lambda: zip(places, read([parts[split][i] for split, i in places]), strict=True)  # noqa: E731

    def example(segment: Segment, target: torch.Tensor | None) -> Example:
        heard = share.teacher_inputs.tokenize(segment) if share.teacher_inputs else None
        return Example(share.inputs.tokenize(segment), target, heard)

    if holding.place == "stream":
        latents = Latents()
        for _, segments in once() if teacher else ():
            latents.keep(segments, teacher(segments))
        source = Streamed(read, parts, lambda segment: example(segment, latents.of(segment)))
    else:
        where = device if holding.place == "device" else "cpu"
        kept: dict[str, dict[Row, Example]] = {split: {} for split in SPLITS}
        for (split, part), segments in once():
            targets = teacher(segments) if teacher else [None] * len(segments)
            for row, (segment, target) in enumerate(zip(segments, targets, strict=True)):
                kept[split][Row(part, row)] = example(segment, target).to(where)
        source = Kept(kept)
    return _feed(share, source, batch, seed, engine), holding


def _feed(share: Share, source: Source, batch: int, seed: int, engine: EngineConfig) -> Feed:
    shards, owner = share.shards(), share.owners
    return Feed(
        source=source,
        train_shards=shards["train"],
        valid_shards=shards["valid"],
        batch=batch,
        seed=seed,
        rank=share.rank,
        workers=share.workers,
        micro_batch=engine.micro_batch,
        owners=[owner[p.path] for p in share.parts["train"]],
    )


class Latents:
    """A frozen teacher's latents of segments that are streamed, in a temporary file that goes with the process."""

    def __init__(self):
        self._places: dict[tuple[str, int], tuple[int, torch.Size]] = {}
        self._file = tempfile.TemporaryFile(prefix="raydistill-latents-")  # noqa: SIM115 - lives as long as the feed

    def keep(self, segments: list[Segment], latents: list[torch.Tensor]) -> None:
        """(T, D) of each segment."""
        for segment, values in zip(segments, latents, strict=True):
            self._places[segment.session, segment.number] = self._file.tell(), values.shape
            self._file.write(values.float().numpy().tobytes())
        self._file.flush()

    def of(self, segment: Segment) -> torch.Tensor | None:
        """None where there is no teacher."""
        if not self._places:
            return None
        offset, shape = self._places[segment.session, segment.number]
        values = os.pread(self._file.fileno(), 4 * shape.numel(), offset)
        return torch.frombuffer(bytearray(values), dtype=torch.float32).view(shape)
