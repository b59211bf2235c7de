"""What each kind of job does, from its specification and nothing else, in its own folder."""

import dataclasses
import functools
import platform
import subprocess
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from raydistill.config.model import ModelConfig, TrainingConfig
from raydistill.errors import DataError
from raydistill.evaluation.baselines import BASELINES
from raydistill.evaluation.decoding import Decoding, decode
from raydistill.models.files import load_model, save_model
from raydistill.models.neural import ModelSpec, NeuralModel, patches_of, transplant
from raydistill.objectives import Objective, distillation, masked_autoencoding
from raydistill.store.batches import Feed, load_feed, pack, read_directly, tokenize
from raydistill.store.catalogue import Entry
from raydistill.store.files import write_json
from raydistill.store.session import Segment
from raydistill.store.store import Store
from raydistill.sweep.folders import finish, is_done, job_folder, set_aside_damage
from raydistill.sweep.job import Job
from raydistill.sweep.plan import BASELINE_NAMES
from raydistill.training.distributed import DistributedTraining, train_on_workers
from raydistill.training.loop import Training, train

LATENT_BATCH = 32  # segments encoded at once when latents are computed; does not change them


@dataclass(frozen=True)
class Places:
    """Where a job's data and results lie; never part of what it computes."""

    runs: str
    store: str
    device: str = "cpu"

    def folder(self, key: str) -> Path:
        return job_folder(Path(self.runs), key)


def run_session_job(job: Job, places: Places) -> None:
    """Run a job on one session in this process, unless its folder is whole already."""
    if is_done(Path(places.runs), job.key):
        return
    started = time.time()
    folder = _open_folder(job, places)
    store = Store(places.store)
    entry = _entries(store, job)[0]
    if job.kind == "baseline":
        decoding = _score_baseline(job, store, entry)
        write_json(folder / "metrics.json", _metrics(decoding, started))
    else:
        model, progress = _train_on_session(job, places, store, entry, folder)
        decoding = score(model, store, entry, tuple(job.spec["behavior"]))
        write_json(folder / "metrics.json", _metrics(decoding, started) | asdict(progress))
    finish(folder)


def run_pretraining(job: Job, places: Places) -> None:
    """Run a job on many sessions on Ray Train workers, unless its folder is whole already."""
    if is_done(Path(places.runs), job.key):
        return
    started = time.time()
    folder = _open_folder(job, places)
    store = Store(places.store)
    entries = _entries(store, job)
    training = DistributedTraining(
        spec=_model_spec(job, entries),
        objective=_objective(job),
        store=places.store,
        entries=tuple(entries),
        recipe=_recipe(job),
        seed=job.spec["seed"],
        folder=folder,
        workers=job.workers,
        use_gpu=places.device == "cuda",
    )
    progress = train_on_workers(training)
    write_json(folder / "metrics.json", asdict(progress) | {"seconds": round(time.time() - started, 3)})
    finish(folder)


def _open_folder(job: Job, places: Places) -> Path:
    folder = places.folder(job.key)
    set_aside_damage(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "job.json", job.to_json() | {"provenance": provenance()})
    return folder


def provenance() -> dict:
    """With what a result was made: versions and hardware. None of it enters a job's key."""
    versions = {name: version(name) for name in ("raydistill", "torch", "ray", "numpy")}
    machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    cuda = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return versions | machine | cuda | {"threads": torch.get_num_threads(), "git": _git_state()}


@functools.cache
def _git_state() -> str | None:
    """The commit that the package runs from, marked if it was changed; None outside of a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _entries(store: Store, job: Job) -> list[Entry]:
    """The job's sessions, as long as they are still the ones it was planned for."""
    known = {e.session: e for e in store.entries()}
    for name, content in job.spec["sessions"].items():
        if name not in known or known[name].content != content:
            raise DataError(f"session {name} of the store {store.uri} has changed since planning; run the sweep again")
    return [known[name] for name in job.spec["sessions"]]


# ---- Training on one session ----


def _train_on_session(job, places, store, entry, folder):
    """Train, keep the best epoch's model in the folder; returns model and progress."""
    spec = _model_spec(job, [entry])
    recipe = _recipe(job)
    torch.manual_seed(job.spec["seed"])
    source = load_model(places.folder(job.spec["from"][0])) if job.spec["from"] else None
    model = transplant(source, spec) if job.kind == "finetune" else NeuralModel(spec)

    parts = {split: [p for p in entry.parts if p.split == split] for split in ("train", "valid")}
    held = {split: list(range(len(ps))) for split, ps in parts.items()}
    read = read_directly(store, [entry])
    feed = load_feed(parts, held, read, spec.modality, spec.patch, recipe.batch, job.spec["seed"])
    if job.kind == "distill":
        _keep_teacher_latents(source, store, entry, feed)
    training = Training(
        model=model,
        objective=_objective(job),
        feed=feed,
        recipe=recipe,
        seed=job.spec["seed"],
        folder=folder,
        device=places.device,
    )
    progress = train(training)
    save_model(model, folder)
    return model.cpu(), progress


def _keep_teacher_latents(teacher: NeuralModel, store: Store, entry: Entry, feed: Feed) -> None:
    """The frozen teacher sees no augmentation: its latents are computed once a segment and kept."""
    for split in ("train", "valid"):
        segments = store.read(entry, split)
        for segment, latents in zip(segments, latents_of(teacher, segments), strict=True):
            feed.targets[(segment.session, segment.number)] = latents


def _objective(job) -> Objective:
    recipe = job.spec["training"]
    return distillation(recipe["alignment"]) if job.kind == "distill" else masked_autoencoding(recipe["mask_ratio"])


def _recipe(job) -> TrainingConfig:
    return TrainingConfig(**job.spec["training"], checkpoint_every=job.checkpoint_every)


def _model_spec(job, entries) -> ModelSpec:
    config = ModelConfig(**job.spec["model"])
    modality = job.spec["modality"]
    patch = config.spikes_patch if modality == "spikes" else config.lfp_patch
    return ModelSpec(
        config=config,
        modality=modality,
        value=job.spec["value"],
        head="readout" if job.kind == "distill" else "predictor",
        sessions=patches_of(entries, modality, patch),
    )


# ---- Evaluation ----


@torch.no_grad()
def latents_of(model: NeuralModel, segments: list[Segment]):
    """(T, D) latents of each segment, nothing masked, a batch at a time."""
    model.eval()
    tokens = [tokenize(s, model.spec.modality, model.spec.patch) for s in segments]
    for i in range(0, len(tokens), LATENT_BATCH):
        batch = pack(tokens[i : i + LATENT_BATCH])
        yield from model.latents(batch).float().split(list(batch.bins))


def score(model: NeuralModel, store: Store, entry: Entry, columns: tuple[str, ...]) -> Decoding:
    """Decode behavior from the model's latents by least squares (spec D1), under the session's protocol."""

    def pairs(split):
        segments = [s for name in split for s in store.read(entry, name)]
        for segment, latents in zip(segments, latents_of(model, segments), strict=True):
            yield latents.numpy(), _columns(segment, entry, columns)

    return decode(pairs(("train",)), pairs(("valid",)), pairs(_scored(entry)), columns)


def _score_baseline(job: Job, store: Store, entry: Entry) -> Decoding:
    columns = tuple(job.spec["behavior"])
    folds = [
        [_with_behavior(s, _columns(s, entry, columns)) for name in split for s in store.read(entry, name)]
        for split in (("train",), ("valid",), _scored(entry))
    ]
    baseline = BASELINES[BASELINE_NAMES[job.spec["baseline"]]]
    return baseline.score(*folds, entry.bin_width_ms, columns)


def _scored(entry: Entry) -> tuple[str, ...]:
    """The folds a score is reported on: the published protocols include the early-stopping fold (spec A6, 3)."""
    return ("test",) if entry.protocol == "corrected" else ("valid", "test")


def _columns(segment: Segment, entry: Entry, columns: tuple[str, ...]):
    return segment.behavior[:, [entry.behavior.index(c) for c in columns]]  # (T, K) -> (T, columns)


def _with_behavior(segment: Segment, behavior) -> Segment:
    return dataclasses.replace(segment, behavior=behavior)


def _metrics(decoding: Decoding, started: float) -> dict:
    return {
        "r2": decoding.r2,
        "r2_per_axis": decoding.r2_per_axis,
        "valid_r2": decoding.valid_r2,
        "n_train": decoding.n_train,
        "n_test": decoding.n_test,
        "settings": decoding.settings,
        "seconds": round(time.time() - started, 3),
    }
