"""Shipped sweeps and manifests with odd values: each is accepted or refused in one line, none raises another error."""

import pytest

from raydistill.errors import ConfigError
from raydistill.sweep.config.reading import load_sweep
from tests.paths import SWEEPS
from tests.sweep.config.odd_values import MANIFEST_FILES, SWEEP_FILES, plan_mutated_manifest, plan_mutated_sweep
from tests.sweep.config.smallest import SWEEP


@pytest.mark.parametrize("file", SWEEP_FILES, ids=lambda f: f.stem)
def test_sweep_with_odd_values_is_planned_or_refused_in_one_line(tmp_path, file):
    messages = [plan_mutated_sweep(file, seed, tmp_path) for seed in range(8)]
    refusals = [message for message in messages if message is not None]
    assert refusals and not any("\n" in message or len(message) > 1100 for message in refusals)


@pytest.mark.parametrize("file", MANIFEST_FILES, ids=lambda f: f.stem)
def test_manifest_with_odd_values_is_planned_or_refused_in_one_line(tmp_path, file):
    messages = [plan_mutated_manifest(file, seed, tmp_path) for seed in range(20)]
    refusals = [message for message in messages if message is not None]
    assert refusals and not any("\n" in message or len(message) > 1100 for message in refusals)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("preset: tiny", "training: {learning_rate: .nan}", "sweep.yaml:3: `training.learning_rate` must be a finite"),
        ("preset: tiny", "training: {learning_rate: .inf}", "sweep.yaml:3: `training.learning_rate` must be a finite"),
        ("preset: tiny", "training: {learning_rate: -1}", "must be above 0, but got -1"),
        ("preset: tiny", "training: {batch: 0}", "`training.batch` must be at least 1"),
        ("preset: tiny", "model: {lfp_patch: 0}", "`model.lfp_patch` must be at least 1"),
        ("preset: tiny", "model: {dropout: 1.5}", "`model.dropout` must be at least 0 and below 1"),
        ("preset: tiny", "model: {width: 0}", "`model.width` must be at least 1"),
        ("preset: tiny", "engine: {checkpoint_every: 0}", "`engine.checkpoint_every` must be above 0"),
        ("preset: tiny", "seeds: [-1]", "`seeds.0` must be at least 0"),
        ("preset: tiny", "seeds: [1e22]", "`seeds.0` must be a whole number"),
        ("preset: tiny", "seeds: [4294967296]", "`seeds.0` must be at least 0 and at most 4,294,967,295"),
        ("preset: tiny", "seeds: [1, 1]", "each seed is given once"),
        ("preset: tiny", "seeds: []", "`seeds` must not be an empty list; name at least one, or leave it out"),
        ("preset: tiny", "behavior: []", "`behavior` must not be an empty list"),
        ("preset: tiny", "behavior: ['']", "`behavior.0` must not be empty"),
        ("names: [a]", "names: []", "`sessions.held_out.names` must not be an empty list"),
        ("names: [a]", "subjects: []", "`sessions.held_out.subjects` must not be an empty list"),
        ("store: runs/store", "store: ''", "`store` must not be empty"),
        ("finetune: ms,", "finetune: ms, seeds: [],", "`jobs.ft.seeds` must not be an empty list"),
        ("preset: tiny", "cpus_per_job: 0", "`cpus_per_job` must be at least 1"),
        ("preset: tiny", "gpu_per_job: .nan", "`gpu_per_job` must be a finite number"),
        ("preset: tiny", "methods: []", "line 3"),
        ("preset: tiny", "include: /dev/zero", "/dev/zero: cannot be read as a YAML file: it is a pipe or a device"),
        ("preset: tiny", "include: .", "it is a folder"),
        ("preset: tiny", "include: sweep.yaml", "an included file cannot include another"),
        ("preset: tiny", "preset: tiny\n1: x\n", 'unknown key "1"'),
    ],
)
def test_value_that_cannot_work_is_refused_with_its_line(tmp_path, old, new, message):
    path = tmp_path / "sweep.yaml"
    assert old in SWEEP
    path.write_text(SWEEP.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_sweep(path)
    if message != "line 3":
        assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["1e22", "2147483648", "10000"])
def test_recordings_beyond_any_machine_are_refused_before_they_are_planned(value):
    overrides = [f"recordings.synthetic.sessions_per_subject={value}"]
    with pytest.raises(ConfigError, match="sessions_per_subject"):
        load_sweep(SWEEPS / "demo.yaml", overrides)
