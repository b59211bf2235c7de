"""Decoded behavior in physical units; angles come back from their cosine and sine."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from pynwb import NWBHDF5IO

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.decode.command import decode
from raydistill.models.families import FAMILIES, build_model
from raydistill.models.files import save_model
from raydistill.models.spec import ModelSpec
from raydistill.store.session import Session
from raydistill.store.store import Store

N_BINS = 4000


@pytest.fixture(scope="module")
def turning(tmp_path_factory):
    """(folder of a model, URI of a store, direction of each bin in degrees): LFP whose channels prefer a direction."""
    folder = tmp_path_factory.mktemp("turning")
    rng = np.random.default_rng(0)
    direction = np.cumsum(rng.normal(0, 0.1, N_BINS))
    preferred = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    session = Session.from_arrays(
        "S",
        subject="s",
        bin_width_ms=20.0,
        lfp=np.cos(direction[:, None] - preferred) + rng.normal(0, 0.1, (N_BINS, 16)),
        behavior=np.column_stack([np.cos(direction), np.sin(direction), rng.normal(size=N_BINS)]),
        behavior_names=("hd_cos", "hd_sin", "x"),
        behavior_units=("", "", "cm"),
        circular={"hd": 360.0},
    )
    store = Store(str(folder / "store"))
    store.write(session, IngestConfig(bin_width_ms=20, splits=Splits(segment_s=1, parent_s=2)), "f" * 64)
    store.publish()
    family = FAMILIES["crossmodal"]
    config = family.configure(family.presets["tiny"], "lfp", "linear")
    (folder / "model").mkdir()
    save_model(build_model(ModelSpec(family="crossmodal", config=config, sessions={"S": 1})), folder / "model")
    return folder / "model", store.uri, np.degrees(direction) % 360


def off(found, expected):
    return np.abs((found - expected + 180) % 360 - 180)


def test_angle_named_for_decoding_is_given_in_its_unit_as_recorded_and_as_decoded(turning, tmp_path):
    model, store, direction = turning
    out = tmp_path / "S.parquet"
    about = decode(model, "S", store, None, ("hd",), out, None)
    assert set(about["r2_per_axis"]) == {"hd_cos", "hd_sin"} and about["r2"] > 0.5
    table = pq.read_table(out)
    frame = table.to_pandas()
    assert json.loads(table.schema.metadata[b"raydistill"])["units"] == {"hd_cos": "", "hd_sin": "", "hd": "degrees"}
    assert off(frame["hd"], direction).max() < 0.01
    assert off(frame["hd_decoded"], direction).median() < 20
    assert (
        off(frame["hd_decoded"], np.degrees(np.arctan2(frame["hd_sin_decoded"], frame["hd_cos_decoded"]))).max() < 0.01
    )
    assert frame["hd_decoded"].between(0, 360, inclusive="left").all()


def test_decoded_session_as_nwb_holds_the_angle(turning, tmp_path):
    model, store, direction = turning
    out = tmp_path / "S.nwb"
    decode(model, "S", store, None, (), out, None)
    with NWBHDF5IO(out, "r") as io:
        nwb = io.read()
        decoded = nwb.processing["raydistill"]["decoded"]
        assert set(decoded.time_series) == {"hd_cos", "hd_sin", "x", "hd"} and decoded["hd"].unit == "degrees"
        assert np.median(off(decoded["hd"].data[:], direction)) < 20
        assert off(nwb.processing["behavior"]["angles"]["hd"].data[:], direction).max() < 0.01


def test_one_half_of_an_angle_is_decoded_as_it_is(turning, tmp_path):
    model, store, _ = turning
    decode(model, "S", store, None, ("hd_cos", "x"), tmp_path / "S.parquet", None)
    names = pq.read_schema(tmp_path / "S.parquet").names
    assert "hd_cos_decoded" in names and "hd" not in names and "hd_decoded" not in names
