"""Sweep files: the shipped ones are valid, and a file that cannot be meant is refused with its line."""

import pytest

from raydistill.errors import RaydistillError
from raydistill.sweep.config.sweep import load_sweep
from tests.paths import SWEEPS

FILES = sorted(p for p in SWEEPS.glob("*.yaml") if not p.stem.startswith("search_"))

GOOD = """name: s
store: runs/store
preset: tiny
sessions: {held_out: {names: [a]}, pretraining: {except: held_out}}
jobs:
  ms: {pretrain: spikes, on: pretraining}
  ft: {finetune: ms, each: held_out}
methods: {MS-Spike: ft}
"""


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_shipped_sweep_loads_and_opens_with_question_cost_and_answer(path):
    assert load_sweep(path, () if "recordings:" in path.read_text() else ("store=somewhere",)).name == path.stem
    words = ["# Question:", "# Cost:", "# Answers:"]
    assert [line[: len(word)] for line, word in zip(path.read_text().splitlines(), words, strict=False)] == words


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("finetune: ms", "finetune: mss", 'sweep.yaml:7: jobs.ft.finetune: there is no "mss"; did you mean "ms"?'),
        ("on: pretraining", "on: pretrain", "did you mean"),
        ("on: pretraining", "each: pretraining", "takes its sessions from `on: GROUP`"),
        ("finetune: ms", "finetune: ms, train: lfp", "exactly one of"),
        ("MS-Spike: ft", "MS-Spike: ms", "name those to decode, {job: ms, each: GROUP}"),
        ("MS-Spike: ft", "MS-Spike: {job: ft, inputs: lfp}", "needs a multimodal model, which ft is not"),
        ("finetune: ms", "finetune: ms, start: ms", "belong to `distill`"),
        (
            "pretrain: spikes",
            "pretrain: spikes, supervision: full",
            "sessions of a pretraining have different behavior",
        ),
        ("finetune: ms, each", "distill: ms, supervision: joint, each", "of `finetune` or `train`"),
        (
            "finetune: ms, each",
            "distill: ms, unfreeze_epoch: -1, each",
            "`unfreeze_epoch` must be at least 0, but got -1",
        ),
        ("finetune: ms, each: held_out", "train: lfp, each: held_out, embedding: count", "embeds spike counts"),
        ("finetune: ms, each", "train: lfp, model: {backbone: lstm}, each", "it needs `supervision: full`"),
        ("name: s", "name: ../s", "is not allowed"),
        (
            "pretraining}\n  ft: {finetune: ms",
            "pretraining}\n  a: {distill: b, each: held_out}\n  b: {distill: a, each: held_out}\n  ft: {finetune: ms",
            "sweep.yaml:7: jobs.a: jobs start from each other: a -> b -> a",
        ),
        ("preset: tiny", "compare: [A > B]", 'there is no "A"'),
        ("preset: tiny", "model: {width: 100}", "must be a multiple"),
        ("store: runs/store", "seeds: [0]", "give either `store`"),
    ],
)
def test_sweep_that_cannot_be_meant_is_refused(tmp_path, old, new, said):
    path = tmp_path / "sweep.yaml"
    path.write_text(GOOD)
    load_sweep(path)
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(RaydistillError) as caught:
        load_sweep(path)
    assert said in str(caught.value) and "\n" not in str(caught.value)
