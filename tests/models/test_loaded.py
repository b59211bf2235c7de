"""A model for use in Python: it reads the units and channels of its training, and says what else it was given."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from raydistill.errors import CheckpointError, DataError
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.files import save_model
from raydistill.models.inputs import Inputs
from raydistill.models.latents import encode
from raydistill.models.loaded import load_model
from tests.small import SETTINGS, make_segments, make_spec

UNITS, CHANNELS = 9, 31


def _normalisation(columns):
    return {"mean": [0.0] * columns, "std": [1.0] * columns}


def write_model(folder, modality, **provenance):
    torch.manual_seed(0)
    settings = dataclasses.replace(SETTINGS, spikes_patch=16, lfp_patch=32)
    spec = make_spec(modality, "count" if modality == "spikes" else "linear", (), settings=settings)
    norms = {"spikes": _normalisation(UNITS), "lfp": _normalisation(CHANNELS)}
    spec = dataclasses.replace(
        spec, sessions={"a": 1}, provenance={"normalisation": {"a": norms}} | provenance, behavior=("vx",)
    )
    save_model(CrossModalModel(spec), folder)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {m: load_model(write_model(folder / m, m)) for m in ("spikes", "lfp", "multimodal")}


def arrays(units=UNITS, channels=CHANNELS, bins=4):
    return {"spikes": np.ones((bins, units), dtype=int), "lfp": np.ones((bins, channels))}


@pytest.mark.parametrize("columns", [1, 5, 30, 32])
def test_array_with_other_columns_than_the_training_is_refused_with_both_numbers(models, columns):
    lfp, spikes = arrays(channels=columns)["lfp"], arrays(units=columns)["spikes"]
    for method in ("latents", "behavior"):
        with pytest.raises(DataError, match=rf"has {columns} channels, but a, .*, has 31"):
            getattr(models["lfp"], method)(lfp=lfp)
        with pytest.raises(DataError, match=rf"has {columns} units, but a, .*, has 9"):
            getattr(models["spikes"], method)(spikes=spikes)
        with pytest.raises(DataError, match=rf"has {columns} units"):
            getattr(models["multimodal"], method)(**(arrays() | {"spikes": spikes}))
        with pytest.raises(DataError, match=rf"has {columns} channels"):
            getattr(models["multimodal"], method)(**(arrays() | {"lfp": lfp}))


def test_array_of_the_training_gives_one_row_per_bin(models):
    assert models["lfp"].latents(lfp=arrays()["lfp"]).shape == (4, 32)
    assert models["spikes"].latents(spikes=arrays()["spikes"], session="a").shape == (4, 32)
    assert models["multimodal"].behavior(**arrays()).shape == (4, 1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((4, CHANNELS), np.inf), "not finite"),
        (np.full((4, CHANNELS), 1e300), "too large for float32"),
        (np.full((4, CHANNELS), 1j), "type complex128"),
        ([["a"] * CHANNELS] * 4, "must be of whole or real numbers"),
        (np.full((4, CHANNELS), None), "type object"),
        ([[1.0], [1.0, 2.0]], "not an array of shape"),
        (np.ones((4, 0)), r"the shape \(4, 0\)"),
        (np.ones((0, CHANNELS)), r"the shape \(0, 31\)"),
        (np.ones((1, 4, CHANNELS)), r"the shape \(1, 4, 31\)"),
        (None, "give `lfp` as an array"),
    ],
)
def test_array_of_another_type_shape_or_value_is_refused(models, values, message):
    with pytest.raises(DataError, match=message):
        models["lfp"].latents(lfp=values)


def test_signal_that_the_model_does_not_read_is_refused(models):
    with pytest.raises(DataError, match="reads lfp and not spikes; leave `spikes` out"):
        models["lfp"].latents(**arrays())


@pytest.mark.parametrize("session", ["b", 5, "", ["a"]])
def test_session_that_the_model_does_not_know_is_refused(models, session):
    with pytest.raises(DataError, match="give one as `session`"):
        models["lfp"].latents(lfp=arrays()["lfp"], session=session)


def test_segment_with_other_channels_is_refused_before_it_is_encoded(models):
    neural = models["lfp"]._model
    (segment,) = make_segments(["a"], [5])  # of 8 channels
    with pytest.raises(DataError, match=r"segment 0 has 8 channels, but a, .* has 31"):
        list(encode(neural, [segment], Inputs(modality="lfp", widths=neural.spec.widths)))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sessions", ["a"]),
        ("sessions", {"a": 10**12}),
        ("sessions", {"a": True}),
        ("sessions", {}.fromkeys("a")),
        ("bands", -1),
        ("bands", "x"),
        ("behavior", [1]),
        ("provenance", [1]),
        ("config", {"name": "x"}),
        ("family", ["crossmodal"]),
        ("family", "os.system"),
    ],
)
def test_damaged_or_foreign_model_json_is_refused_in_one_line(tmp_path, key, value):
    path = write_model(tmp_path, "lfp") / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(CheckpointError, match=r"model\.json is missing or corrupt"):
        load_model(tmp_path)


@pytest.mark.parametrize("norms", [3, {"a": 3}, {"a": {"lfp": 3}}, {"a": {"lfp": {"mean": "x", "std": [1.0]}}}])
def test_damaged_normalisation_is_refused_in_one_line(tmp_path, norms):
    write_model(tmp_path, "lfp", normalisation=norms)
    with pytest.raises(CheckpointError, match=r"normalisation.* is damaged"):
        load_model(tmp_path).latents(lfp=arrays()["lfp"])
