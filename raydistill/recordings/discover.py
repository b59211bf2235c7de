"""What a folder of recordings holds: the published datasets by their layouts, and NWB files besides."""

from pathlib import Path

from raydistill.config.fingerprint import canonical
from raydistill.config.load import Where, build, override
from raydistill.config.recordings import IngestConfig, Splits
from raydistill.errors import ConfigError, DataError
from raydistill.recordings.manifest import Recording, described, nwb_recordings
from raydistill.recordings.published import Found, Published
from raydistill.recordings.remote import Remote, located

CONFIGS = {
    # Units below 1 Hz are left out, as in the paper.
    "makin": IngestConfig(bin_width_ms=10, min_rate_hz=1.0),
    "flint": IngestConfig(bin_width_ms=10, min_rate_hz=1.0),
    # LFP power comes at the bins' clock; segments of 100 bins.
    "gallego": IngestConfig(bin_width_ms=30, min_rate_hz=1e-6, filters=None, splits=Splits(segment_s=3, parent_s=3)),
    # No rate is asked of these units; a unit that is silent throughout still carries nothing.
    "neurotask": IngestConfig(bin_width_ms=10, min_rate_hz=1e-6, splits=Splits(by="trials")),
}
"""How the paper's datasets are preprocessed, by layout (spec A1 to A4)."""

LAYOUTS = (*CONFIGS, "nwb")


def plan_sources(source, folder=None, overrides=(), dataset: str | None = None) -> list[Recording]:
    """What `raydistill ingest SOURCE` reads: the recordings of a manifest, of an NWB file, or of a folder.

    Args:
        source: path of a .yaml manifest, of a .nwb file, or of a folder that is searched for recordings; or the
            https:// or s3:// URI of an NWB file.
        folder: where a manifest's files lie, if not where it says itself.
        overrides: "path=value" strings, such as "ingest.bin_width_ms=20".
        dataset: of a folder, only the recordings of one of `LAYOUTS`.
    Raises:
        ConfigError, DataError: `source` is nothing to read, or says something that cannot be meant.
    """
    source = located(Path(), str(source))
    if isinstance(source, Remote) or not source.is_dir():
        if dataset is not None:
            raise ConfigError(f"{source}: --dataset chooses among the recordings of a folder")
        return described(source, None if folder is None else Path(folder), overrides)
    if folder is not None:
        raise ConfigError(f"{source}: --folder is for the files of a manifest; other files are named directly")
    return recordings_in(source, dataset, overrides)


def recordings_in(folder: Path, dataset: str | None = None, overrides=()) -> list[Recording]:
    """The recordings anywhere in `folder`, of one layout or of all, by name.

    Args:
        dataset: one of `LAYOUTS`; None: whatever is there.
        overrides: "path=value" strings, such as "ingest.bin_width_ms=20" or "units=sorted".
    Raises:
        ConfigError, DataError: there is nothing to read, two sessions have one name, or an override cannot be meant.
    """
    layouts = CONFIGS if dataset in (None, "nwb") else (dataset,)
    found = [f for layout in layouts for f in _find(layout, folder)]
    planned = [_recording(f, overrides) for f in found if dataset != "nwb"]
    if dataset in (None, "nwb"):
        companions = {f.path.parent / f.source.companion for f in found if f.source.companion}
        planned += nwb_recordings(folder, overrides, companions)
    if not planned:
        wanted = dataset or "known"
        raise DataError(
            f"{folder}: no {wanted} recording in this folder (known: {', '.join(LAYOUTS)}); "
            "describe other files in a manifest"
        )
    seen: dict[str, Path] = {}
    for recording in planned:
        if recording.name in seen:
            both = f"{seen[recording.name]} and {recording.path}"
            raise DataError(f"two sessions are named {recording.name}: {both}; take one of them away")
        seen[recording.name] = recording.path
    return sorted(planned, key=lambda r: r.name)


def _find(layout: str, folder: Path) -> list[Found]:
    from importlib import import_module

    return import_module(f"raydistill.recordings.readers.{layout}").find(folder)


def _recording(found: Found, overrides) -> Recording:
    """A found session under its dataset's configuration and the user's overrides."""
    own = ("units", "arrays", "results")
    tree = {"ingest": canonical(CONFIGS[found.source.layout])}
    for text in overrides:
        override(tree, text)
    unknown = sorted(set(tree) - {"ingest", *own})
    if unknown:
        raise ConfigError(f'--set: there is no "{unknown[0]}" for a published dataset; known: ingest, {", ".join(own)}')
    config = build(IngestConfig, tree["ingest"], Where("--set", "ingest"))
    described = canonical(found.source) | {k: v for k, v in tree.items() if k != "ingest"}
    source = build(Published, described, Where("--set"))
    return Recording(name=found.name, path=found.path, source=source, config=config)
