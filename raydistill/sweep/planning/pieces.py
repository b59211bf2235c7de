"""Whether `piece_s` of a recipe cuts the segments of a job's sessions."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from raydistill.config.training import Recipe
from raydistill.errors import ConfigError
from raydistill.feed.pieces import Pieces
from raydistill.store.catalogue import Entry
from raydistill.sweep.config.job import JobConfig
from raydistill.sweep.config.sweep import SweepConfig


def longest_input(recipe: Recipe | None, entry: Entry) -> int:
    """Bins of the longest segment of a session that a training reads, or of its longest piece."""
    segments = _segments(entry)
    if recipe is None or recipe.piece_s is None:
        return max(segments)
    pieces = Pieces(seconds=recipe.piece_s, bin_width_ms=entry.bin_width_ms)
    return max(pieces.longest(n) for n in segments)


def shortest_input(recipe: Recipe | None, entry: Entry) -> int:
    """Bins of the shortest segment of a session that a training reads, or of its shortest piece."""
    segments = _segments(entry)
    if recipe is None or recipe.piece_s is None:
        return min(segments)
    pieces = Pieces(seconds=recipe.piece_s, bin_width_ms=entry.bin_width_ms)
    return min(min(pieces.lengths(n)) for n in segments)


def _segments(entry: Entry) -> set[int]:
    """The numbers of bins of the segments of a session. Recordings that are not generated yet have no parts."""
    return {n for part in entry.parts for n in part.n_bins} or {usual_segment(entry)}


def usual_segment(entry: Entry) -> int:
    """Bins of a segment of the length that the ingest was told; segments of whole trials may differ."""
    return round(1000 * entry.config["splits"]["segment_s"] / entry.bin_width_ms)


def without_needless_pieces(recipe: Recipe | None, entries: Iterable[Entry]) -> Recipe | None:
    """The recipe, without `piece_s` if no segment is longer: a setting without effect changes no key."""
    if recipe is None or recipe.piece_s is None:
        return recipe
    whole = replace(recipe, piece_s=None)
    is_cut = any(longest_input(recipe, entry) < longest_input(whole, entry) for entry in entries)
    return recipe if is_cut else whole


def check_pieces(at: str, config: JobConfig, recipe: Recipe | None, entries: Sequence[Entry]) -> None:
    """Refuse a job's own `piece_s` that cuts no segment. Raises ConfigError."""
    if recipe and config.training.get("piece_s") and without_needless_pieces(recipe, entries) != recipe:
        longest = max(longest_input(replace(recipe, piece_s=None), e) * e.bin_width_ms / 1000 for e in entries)
        raise ConfigError(
            f"{at}: `piece_s: {recipe.piece_s:g}` cuts no segment, because the longest has {longest:g} s; leave it "
            "out, or give less"
        )


def notes_on_pieces(sweep: SweepConfig, recipes: Iterable[Recipe | None]) -> tuple[str, ...]:
    """A note for `piece_s` of the whole sweep, if it cuts no segment of any job. The recipes are those of its jobs."""
    given = [f"`piece_s` of `{name}`" for name in ("pretraining", "training") if getattr(sweep, name).get("piece_s")]
    is_used = any(recipe and recipe.piece_s for recipe in recipes)
    return (f"{' and '.join(given)} cuts no segment, because none is longer",) if given and not is_used else ()
