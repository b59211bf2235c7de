"""`raydistill deploy`: one step of a model as an ONNX file, with all that a program needs to run it.

The folder has decoder.onnx and decoder.json; examples/run_decoder.py reads them with numpy and onnxruntime alone.
"""

import json
import logging
import warnings
from pathlib import Path

import numpy as np
import torch

from raydistill.config.plain import from_plain
from raydistill.config.recordings import IngestConfig
from raydistill.decode.decoder import Decoder
from raydistill.errors import DataError
from raydistill.evaluation.session_scores import scored_folds
from raydistill.store.catalogue import Entry
from raydistill.store.splits import TRAIN
from raydistill.store.store import Store
from raydistill.store.zscores import share_of_bin
from raydistill.stream.decoder import StreamDecoder, check_reads_raw_lfp
from raydistill.stream.extras import needs
from raydistill.stream.onnx_step import NEXT, OnnxStep, in_place
from raydistill.stream.preprocess import Preprocess
from raydistill.stream.step import StepModule

with needs("onnx", "onnx"):
    import onnx  # noqa: F401 - the exporter imports both
    import onnxscript  # noqa: F401

GRAPH, ABOUT = "decoder.onnx", "decoder.json"
CHECKED_BINS = 100
TOLERANCE = 1e-4
"""Largest difference between onnxruntime and torch, in latents, and in behavior in its standard deviations. Where the
read-out has large weights, behavior may differ as much as it does if latents differ by this much."""
LAST_DIGITS = 4
"""Steps of float32 by which behavior may differ in any case: far from zero, they can be more than the tolerance."""
OPSET = 20


def deploy(decoder: StreamDecoder, store: Store, folder: Path, rate_hz: float | None = None) -> float:
    """Write the files, once onnxruntime agrees with torch on the first scored bins.

    Args:
        rate_hz: of raw LFP samples, for which the coefficients of the filters are written; None: none are.
    Returns:
        The largest difference between the two, of latents, and of behavior in standard deviations.
    Raises:
        DataError: the folder holds something, the model reads two signals, `rate_hz` is given although the model reads
            spikes or the session was stored with filters that read later samples, or onnxruntime does not agree.
    """
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"--out {folder}: this folder is not empty; name another folder")
    module = StepModule.of(decoder)
    if rate_hz is not None:
        check_reads_raw_lfp(decoder)
    graph = exported(module)
    about = _about(module, decoder, rate_hz) | {"in_place": in_place(graph)}
    difference = _difference(module, ready(module, graph), _bins(decoder.decoder, store), _std(decoder.decoder))
    if not difference <= TOLERANCE:
        raise DataError(
            f"onnxruntime and torch differ by {difference:.2g} (latents, and behavior in SD) over {CHECKED_BINS} bins, "
            f"more than {TOLERANCE:g}; nothing was written"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / GRAPH).write_bytes(graph)
    (folder / ABOUT).write_text(json.dumps(about, indent=1))
    return difference


def exported(module: StepModule) -> bytes:
    """The ONNX file of a step. Raises DataError if ONNX lacks an operation of the model."""
    # Copies: the exporter would take one tensor that is several states for one input.
    inputs = (torch.zeros(module.n_columns), *(values.clone() for values in module.first_state.values()))
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter, about itself and about torchvision
        try:
            program = torch.onnx.export(
                module,
                inputs,
                input_names=["bin", *module.state_names],
                output_names=["behavior", "latents", *(f"{NEXT}{name}" for name in module.state_names)],
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError:
            family = module.model.spec.family
            raise DataError(
                f"ONNX has no form for a part of this model (family {family}), so that it cannot be deployed; decode "
                "with `raydistill decode MODEL --stream`"
            ) from None
    assert program is not None
    return program.model_proto.SerializeToString()


def ready(module: StepModule, graph: bytes) -> OnnxStep:
    """The graph of a step, ready to run from the state before the first bin."""
    return OnnxStep(graph, {name: x.numpy() for name, x in module.first_state.items()}, in_place(graph))


def _bins(decoder: Decoder, store: Store) -> np.ndarray:
    """(CHECKED_BINS, C) or fewer of the first scored segments."""
    rows, n, signal = [], 0, decoder.model.spec.modality
    for fold in scored_folds(decoder.entry):
        for segment in store.stream(decoder.entry, fold, signals=(signal,)):
            rows.append(getattr(segment, signal))
            n += len(rows[-1])
            if n >= CHECKED_BINS:
                break
    return np.concatenate(rows)[:CHECKED_BINS].astype(np.float32)


def _std(decoder: Decoder) -> np.ndarray:
    """(K,) standard deviations of the behavior, in the units of the recording."""
    return np.asarray(decoder.entry.normalisation["behavior"].std)[decoder.column_indices]


@torch.no_grad()
def _difference(module: StepModule, step: OnnxStep, bins: np.ndarray, std: np.ndarray) -> float:
    state = list(module.first_state.values())
    of_latents = torch.linalg.vector_norm(module.weights, dim=0).numpy()  # (K,) of behavior, per unit of the latents
    differences = []
    for values in bins:
        behavior, latents, *state = module(torch.from_numpy(values), *state)
        theirs, their_latents = step(values)
        ours = behavior.numpy()
        beyond_rounding = np.maximum(np.abs(theirs - ours) - LAST_DIGITS * np.spacing(np.abs(ours)), 0)
        differences += [
            (beyond_rounding / np.maximum(std, of_latents)).max(),
            np.abs(their_latents - latents.numpy()).max(),
        ]
    return float(np.max(differences))  # NaN if one is, unlike Python's max


def _about(module: StepModule, decoder: StreamDecoder, rate_hz: float | None) -> dict:
    """What decoder.json holds."""
    opened, entry = decoder.decoder, decoder.decoder.entry
    signal = opened.model.spec.modality
    units = [entry.behavior_units[k] for k in opened.column_indices]
    state = {
        name: {"shape": list(values.shape), "dtype": str(values.dtype).removeprefix("torch.")}
        for name, values in module.first_state.items()
    }
    return {
        "graph": GRAPH,
        "session": entry.session,
        "model": opened.about,
        "bin_width_ms": entry.bin_width_ms,
        "signal": signal,
        "columns": module.n_columns,
        "behavior": [{"name": n, "unit": u} for n, u in zip(opened.columns, units, strict=True)],
        "state": state,
        "first_state": "zeros",
        "window_bins": decoder.stream.window_bins,
        "lookahead_bins": decoder.lookahead_bins,
        "preprocessing": _preprocessing(entry, rate_hz) if signal == "lfp" else None,
    }


def _preprocessing(entry: Entry, rate_hz: float | None) -> dict:
    """How LFP becomes the values of a bin: mean and SD of each channel, on which bins they were fitted, how much a bin
    counts if they follow slow changes, and the filters for raw samples."""
    norm = entry.normalisation["lfp"]
    share = share_of_bin(from_plain(IngestConfig, entry.config), entry.bin_width_ms)
    filters = {} if rate_hz is None else {"raw": Preprocess(entry, rate_hz).coefficients()}
    fitted_on = TRAIN if entry.protocol == "corrected" else "session"
    return {"mean": list(norm.mean), "std": list(norm.std), "fitted_on": fitted_on, "share_of_bin": share, **filters}
