"""`bench stream-vs-memory`: what it costs to read the segments again every epoch instead of keeping them in memory.

One process trains the tiny preset twice on the same LFP by masked autoencoding, with the loop that all trainings use:
once from host memory and once streaming. The process itself reads the files both times. Order, masks and weights depend
only on the seed, so both trainings must give the same result to the last bit.
"""

from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from raydistill.bench import Report, versions
from raydistill.bench.corpus import corpus
from raydistill.bench.model import masked_model
from raydistill.config.engine import EngineConfig
from raydistill.config.training import TrainingConfig
from raydistill.feed.placement import Share, open_feed
from raydistill.feed.reading import read_directly
from raydistill.models.crossmodal.config import PRESETS
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.inputs import inputs_of
from raydistill.objectives import masked_autoencoding
from raydistill.store.store import Store
from raydistill.training.history import HISTORY, read_history
from raydistill.training.loop import Training, train

_CHANNELS = 96  # three patches of 32


def bench_streaming(
    *,
    sessions: int = 4,
    seconds: float = 120.0,
    epochs: int = 4,
    batch: int = 8,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Medians over the epochs after the first, which also builds the optimizer and fills the caches.

    `*_epoch_s`: a whole epoch including validation, without opening the feed. `*_data_wait`: fraction of the time of
    the training steps that was spent waiting for data, over all these epochs. `same`: 1 if both histories are equal
    byte for byte, else 0.
    """
    recipe = TrainingConfig(epochs=epochs, batch=batch, patience=epochs, warmup_epochs=1, precision="fp32")
    figures: dict[str, float] = {}
    histories = []
    with corpus(sessions=sessions, seconds=seconds, channels=_CHANNELS) as (folder, store):
        for memory in ("host", "stream"):
            say(f"training from {memory}")
            _train(store, folder / memory, recipe, EngineConfig(memory=memory, checkpoint_every=1e6))
            figures |= {f"{memory}_{name}": value for name, value in _epoch_figures(folder / memory).items()}
            histories.append((folder / memory / HISTORY).read_bytes())
    return Report(
        what="stream-vs-memory",
        device="cpu",
        threads=torch.get_num_threads(),
        precision="fp32",
        figures=figures | {"same": float(histories[0] == histories[1])},
        versions=versions("torch", "pyarrow", "numpy"),
    )


def _train(store: Store, folder: Path, recipe: TrainingConfig, engine: EngineConfig) -> None:
    entries, settings = store.entries(), PRESETS["tiny"]
    sessions = {e.session: -(-e.n_channels // settings.lfp_patch) for e in entries}
    spec = masked_model(settings, "lfp", sessions)
    share = Share(entries=tuple(entries), inputs=inputs_of(spec, entries))
    feed, _ = open_feed(share, read_directly(store, entries, share.signals), batch=recipe.batch, seed=0, engine=engine)
    torch.manual_seed(0)
    folder.mkdir()
    train(
        Training(
            model=CrossModalModel(spec),
            objective=masked_autoencoding(recipe.mask_ratio),
            feed=feed,
            recipe=recipe,
            engine=engine,
            seed=0,
            folder=folder,
        )
    )


def _epoch_figures(folder: Path) -> dict[str, float]:
    """`epoch_s` and `data_wait` of the epochs after the first."""
    lines = read_history(folder)[1:]
    waited_s, steps_s = (sum(line[name] for line in lines) for name in ("data_wait_s", "steps_s"))
    return {"epoch_s": median(line["epoch_s"] for line in lines), "data_wait": waited_s / steps_s}
