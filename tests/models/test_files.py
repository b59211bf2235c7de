"""Files of a model that are missing, damaged or of another version are refused in one line that names the cause."""

import json

import pytest

from raydistill.errors import CheckpointError
from raydistill.models.families import FAMILIES, build_model
from raydistill.models.files import load_model, save_model
from raydistill.models.spec import ModelSpec
from raydistill.models.spec_file import SPEC


@pytest.fixture
def folder(tmp_path):
    family = FAMILIES["crossmodal"]
    config = family.configure(family.presets["tiny"], "lfp", "linear")
    save_model(build_model(ModelSpec(family="crossmodal", config=config, sessions={"a": 1})), tmp_path)
    return tmp_path


def change(folder, **values):
    """Set these keys of model.json; remove those whose value is None."""
    tree = json.loads((folder / SPEC).read_text()) | values
    (folder / SPEC).write_text(json.dumps({key: value for key, value in tree.items() if value is not None}))


@pytest.mark.parametrize(
    "values, message",
    [
        ({"family": "crossmodel"}, 'there is no model family "crossmodel"; did you mean "crossmodal"'),
        ({"family": None}, 'the key "family" is missing; an earlier version may have written the file'),
        ({"behavior": 7}, "`behavior` must be a list, got 7"),
        ({"heads": []}, 'unknown key "heads"'),
    ],
)
def test_load_model_of_an_invalid_specification_names_the_key(folder, values, message):
    change(folder, **values)
    with pytest.raises(CheckpointError, match=r"model\.json is missing or corrupt") as error:
        load_model(folder)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "msid"])
def test_model_of_an_older_version_loads_as_before_or_is_refused_in_one_line(tmp_path, name):
    """Keys that came later have a default, which is what models had before; without any other, it is an error."""
    family = FAMILIES[name]
    modality = "spikes" if name == "ndt2" else "lfp"
    config = family.configure(family.presets["tiny"], modality, family.embedding or "linear")
    spec = ModelSpec(family=name, config=config, sessions={"a": 1})
    save_model(build_model(spec), tmp_path)
    written, later = json.loads((tmp_path / SPEC).read_text()), set()
    older = [({key: value for key, value in written.items() if key != one}, one) for one in written]
    older += [
        (written | {"config": {k: v for k, v in written["config"].items() if k != one}}, f"config.{one}")
        for one in written["config"]
    ]
    for tree, one in older:
        (tmp_path / SPEC).write_text(json.dumps(tree))
        try:
            # With `places_std` weights are drawn; those of a finished model are in its file.
            assert load_model(tmp_path).spec == spec or one == "config.places_std"
            later.add(one)
        except CheckpointError as error:
            assert "is missing or corrupt" in str(error) and "\n" not in str(error)
    assert {"bands", "behavior", "channels", "piece_s"} <= later
    assert not later & {"family", "config", "sessions", "config.width"}


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        (0, "`heads` must be at least 1, but got 0"),
        (-1, "`heads` must be at least 1, but got -1"),
        (3, "width must be a multiple of twice its heads .*heads=3"),
    ],
)
def test_load_model_of_heads_that_do_not_divide_the_width_is_refused(folder, heads, message):
    config = json.loads((folder / SPEC).read_text())["config"]
    change(folder, config=config | {"backbone": config["backbone"] | {"heads": heads}})
    with pytest.raises(CheckpointError, match=message):
        load_model(folder)


def test_load_model_of_json_that_is_no_mapping_is_refused(folder):
    (folder / SPEC).write_text("null")
    with pytest.raises(CheckpointError, match="a mapping is needed, got NoneType"):
        load_model(folder)


def test_load_model_of_a_folder_without_a_model_does_not_advise_deleting_it(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no model\.json in this folder; give that of") as error:
        load_model(tmp_path)
    assert "delete" not in str(error.value)
