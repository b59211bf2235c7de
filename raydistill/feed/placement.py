"""Where a worker keeps its segments: on the device, in host memory, or in the store, streamed every epoch."""

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import torch

from raydistill.config.engine import EngineConfig
from raydistill.feed.feed import Example, ExampleSource, Feed, InMemory, Streaming
from raydistill.feed.order import SegmentPlace, Shards
from raydistill.feed.reading import Reader
from raydistill.feed.tokens import Inputs
from raydistill.store.catalogue import Entry, Part
from raydistill.store.session import Segment

SPLITS = ("train", "valid")
DEVICE_SHARE = 1 / 3
"""Of the memory that the process may use on a device; model, gradients and activations need the rest."""

TeacherEncoder = Callable[[list[Segment]], list[torch.Tensor]]
"""From segments of one session to the (T, D) latents of each, by a frozen teacher."""


@dataclass(frozen=True)
class Placement:
    """Where a worker keeps its segments, and why."""

    place: Literal["device", "host", "stream"]
    megabytes: float
    """Size of the segments in memory."""
    reason: str

    def to_json(self) -> dict:
        """The fields as JSON data."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Share:
    """The part of a training set that one worker reads."""

    entries: tuple[Entry, ...]
    inputs: Inputs
    """Input of the model."""
    teacher_inputs: Inputs | None = None
    """Input of the teacher, if it is trained too."""
    frozen_inputs: Inputs | None = None
    """Input of the teacher, if it is frozen."""
    teacher_width: int = 0
    """D of the latents of a frozen teacher; 0 if there is none."""
    rank: int = 0
    workers: int = 1

    @property
    def parts(self) -> dict[str, list[Part]]:
        """split -> the parts of all workers, in the same order for each worker."""
        return {split: [p for e in self.entries for p in e.parts if p.split == split] for split in SPLITS}

    @property
    def part_sessions(self) -> dict[str, str]:
        """Path of a part -> its session."""
        return {part.path: e.session for e in self.entries for part in e.parts}

    @property
    def signals(self) -> tuple[str, ...]:
        """Which of spikes, lfp and behavior the training reads."""
        read = (inputs.signals for inputs in (self.inputs, self.teacher_inputs, self.frozen_inputs) if inputs)
        return tuple(dict.fromkeys(signal for signals in read for signal in signals))

    def shards(self) -> dict[str, Shards]:
        """split -> its parts, distributed over virtual shards."""
        patches = {e.session: self.inputs.patches_of(e) for e in self.entries}
        session = self.part_sessions
        count = lambda part: sum(len(self.inputs.lengths(session[part.path], n)) for n in part.n_bins)  # noqa: E731
        return {
            split: Shards.deal([count(p) for p in parts], [sum(p.n_bins) * patches[session[p.path]] for p in parts])
            for split, parts in self.parts.items()
        }

    def own_parts(self) -> dict[str, list[int]]:
        """split -> indices of this worker's parts."""
        return {split: shards.parts_of(self.rank, self.workers) for split, shards in self.shards().items()}

    def bytes(self) -> int:
        """Size of this worker's segments in memory, from the catalogue alone."""
        signals = [inputs for inputs in (self.inputs, self.teacher_inputs) if inputs]
        per_bin = {e.session: sum(i.bytes_per_bin(e) for i in signals) + 4 * self.teacher_width for e in self.entries}
        session, parts = self.part_sessions, self.parts
        held = [parts[split][i] for split, indices in self.own_parts().items() for i in indices]
        return sum(sum(part.n_bins) * per_bin[session[part.path]] for part in held)


def choose_placement(share: Share, engine: EngineConfig, device: str) -> Placement:
    """The memory that `engine.memory` names; for `auto`, the fastest into which the share fits."""
    megabytes = share.bytes() / 1e6
    on_gpu = device.startswith("cuda")
    if engine.memory != "auto":
        place = "host" if engine.memory == "device" and not on_gpu else engine.memory
        return Placement(place, megabytes, f"requested by `memory: {engine.memory}`")
    if on_gpu:
        # Of several jobs on one GPU, each may use a share of its memory.
        share_of_process = torch.cuda.get_per_process_memory_fraction(torch.device(device).index)
        usable = share_of_process * torch.cuda.get_device_properties(device).total_memory
        budget = 1000 * engine.device_gb if engine.device_gb else DEVICE_SHARE * usable / 1e6
        if megabytes <= budget:
            return Placement("device", megabytes, f"fits {budget:.0f} MB of the device")
    budget = 1000 * engine.host_gb
    if megabytes <= budget:
        return Placement("host", megabytes, f"fits the {budget:.0f} MB of `host_gb`")
    return Placement("stream", megabytes, f"exceeds the {budget:.0f} MB of `host_gb`")


def open_feed(
    share: Share,
    read: Reader,
    *,
    batch: int,
    seed: int,
    engine: EngineConfig,
    device: str = "cpu",
    teacher: TeacherEncoder | None = None,
) -> tuple[Feed, Placement]:
    """The feed of one worker, and where it keeps its segments.

    This call reads the segments that stay in memory, and those that a frozen teacher encodes.

    Args:
        read: `read_directly` or `read_through_ray` of the sessions of the share.
        batch: segments in a global batch, or pieces, if `share.inputs` cuts segments; so below.
        seed: of the order of segments.
        engine: memory, budgets and micro-batch.
        device: of the training.
        teacher: encodes each segment once. Its latents stay with the segments, or in a temporary file if segments are
            streamed.
    """
    placement = choose_placement(share, engine, device)
    if placement.place == "stream":
        source: ExampleSource = _streaming(share, read, teacher)
    else:
        source = _in_memory(share, read, teacher, device if placement.place == "device" else "cpu")
    shards, session = share.shards(), share.part_sessions
    feed = Feed(
        source=source,
        train_shards=shards["train"],
        valid_shards=shards["valid"],
        batch=batch,
        seed=seed,
        rank=share.rank,
        workers=share.workers,
        micro_batch=engine.micro_batch,
        part_sessions=[session[p.path] for p in share.parts["train"]],
    )
    return feed, placement


def _own_segments(
    share: Share, read: Reader, teacher: TeacherEncoder | None
) -> Iterator[tuple[str, int, list[Segment], list[torch.Tensor | None]]]:
    """(split, index of the part, its segments or their pieces, their latents) of every part of this worker.

    The teacher reads segments as a whole, however they are cut for the model.
    """
    parts = share.parts
    indices = [(split, i) for split, parts_of_split in share.own_parts().items() for i in parts_of_split]
    for (split, i), segments in zip(indices, read([parts[split][i] for split, i in indices]), strict=True):
        pieces = [share.inputs.cut(segment) for segment in segments]
        latents: list[torch.Tensor | None] = [None] * sum(map(len, pieces))
        if teacher:
            bins = [[piece.n_bins for piece in of_segment] for of_segment in pieces]
            latents = [part for whole, n in zip(teacher(segments), bins, strict=True) for part in whole.split(n)]
        yield split, i, [piece for of_segment in pieces for piece in of_segment], latents


def _example(share: Share, segment: Segment, latents: torch.Tensor | None) -> Example:
    teacher_tokens = share.teacher_inputs.tokenize(segment) if share.teacher_inputs else None
    return Example(share.inputs.tokenize(segment), latents, teacher_tokens)


def _in_memory(share: Share, read: Reader, teacher: TeacherEncoder | None, device: str) -> InMemory:
    examples: dict[str, dict[SegmentPlace, Example]] = {split: {} for split in SPLITS}
    for split, part, segments, latents in _own_segments(share, read, teacher):
        for row, (segment, target) in enumerate(zip(segments, latents, strict=True)):
            examples[split][SegmentPlace(part, row)] = _example(share, segment, target).to(device)
    return InMemory(examples)


def _streaming(share: Share, read: Reader, teacher: TeacherEncoder | None) -> Streaming:
    latents = LatentsOnDisk()
    if teacher:
        for _, _, segments, of_segments in _own_segments(share, read, teacher):
            latents.add(segments, [values for values in of_segments if values is not None])
    return Streaming(
        lambda parts: ([piece for s in segments for piece in share.inputs.cut(s)] for segments in read(parts)),
        share.parts,
        lambda segment: _example(share, segment, latents.of(segment)),
    )


class LatentsOnDisk:
    """A frozen teacher's latents of segments that are streamed, in a temporary file that ends with the process."""

    def __init__(self):
        self._places: dict[tuple[str, int], tuple[int, torch.Size]] = {}
        self._file = tempfile.TemporaryFile(prefix="raydistill-latents-")  # noqa: SIM115 - open as long as the feed

    def add(self, segments: list[Segment], latents: list[torch.Tensor]) -> None:
        """Append the (T, D) latents of each segment."""
        for segment, values in zip(segments, latents, strict=True):
            self._places[segment.session, segment.number] = self._file.tell(), values.shape
            self._file.write(values.float().numpy().tobytes())
        self._file.flush()

    def of(self, segment: Segment) -> torch.Tensor | None:
        """The (T, D) latents of a segment; None if there is no teacher."""
        if not self._places:
            return None
        offset, shape = self._places[segment.session, segment.number]
        values = os.pread(self._file.fileno(), 4 * shape.numel(), offset)
        return torch.frombuffer(bytearray(values), dtype=torch.float32).view(shape)
