"""Sweep files: the shipped ones are valid, and a file that is invalid is refused with its line."""

import pytest

from raydistill.errors import RaydistillError
from raydistill.sweep.config.reading import load_sweep
from tests.paths import SWEEPS
from tests.sweep.config.smallest import SWEEP

FILES = sorted(p for p in SWEEPS.glob("*.yaml") if not p.stem.startswith("search_"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_shipped_sweep_loads_and_opens_with_question_cost_and_answer(path):
    assert load_sweep(path, () if "recordings:" in path.read_text() else ("store=somewhere",)).name == path.stem
    words = ["# Question:", "# Cost:", "# Answers:"]
    assert [line[: len(word)] for line, word in zip(path.read_text().splitlines(), words, strict=False)] == words


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("finetune: ms", "finetune: mss", 'sweep.yaml:7: jobs.ft.finetune: there is no "mss"; did you mean "ms"?'),
        ("on: pretraining", "on: pretrain", "did you mean"),
        ("on: pretraining", "each: pretraining", "takes its sessions from `on: GROUP`"),
        ("finetune: ms", "finetune: ms, train: lfp", "exactly one of"),
        ("MS-Spike: ft", "MS-Spike: ms", "give the sessions to decode as {job: ms, each: GROUP}"),
        ("MS-Spike: ft", "MS-Spike: {job: ft, inputs: lfp}", "needs a multimodal model, but ft is none"),
        ("finetune: ms", "finetune: ms, start: ms", "apply only to `distill`"),
        ("finetune: ms", "finetune: ms, inherit: tokenizer", "apply only to `distill`"),
        ("finetune: ms, each", "train: lfp, freeze: tokenizer, each", "needs `finetune`, `start` or `inherit`"),
        ("finetune: ms, each", "distill: ms, inherit: tokenizer, each", "takes over the value embedding of ms"),
        (
            "finetune: ms, each",
            "finetune: ms, training: {readout_share: 0.3}, each",
            "sweep.yaml:7: jobs.ft.training.readout_share: `readout_share` has no effect on",
        ),
        ("finetune: ms, each", "finetune: ms, training: {noise: 0.1}, each", "change LFP, but the model reads spikes"),
        ("finetune: ms, each", "finetune: ms, training: {piece_s: 0}, each", "training.piece_s` must be above 0"),
        ("finetune: ms, each", "finetune: ms, training: {cosine_epochs: 9}, each", "an effect only with `cosine_to`"),
        (
            "finetune: ms, each",
            "distill: ms, training: {piece_s: 1}, unfreeze_epoch: 1, each",
            "jobs.ft: `unfreeze_epoch` lets student and teacher read the same pieces, but `piece_s` is 1, "
            "and null for ms; make them equal",
        ),
        (
            "finetune: ms, each",
            "train: lfp, family: ndt2, each",
            "sweep.yaml:7: jobs.ft: `family: ndt2` reads spikes alone, but the job's model reads LFP",
        ),
        ("finetune: ms, each", "train: spikes, family: ndt2, embedding: linear, each", "has `embedding: count`"),
        ("finetune: ms, each", "train: spikes, family: ndt2, model: {heads: 3}, each", "`heads` must divide `width`"),
        ("finetune: ms, each", "finetune: ms, training: {mask_block: [2, 4]}, each", "only with `mask: bins`"),
        ("finetune: ms, each", "finetune: ms, training: {mask_block: [9, 4]}, each", "[shortest, longest] block"),
        (
            "finetune: ms, each",
            "distill: ms, training: {align: residual}, unfreeze_epoch: 1, each",
            "`align: residual` compares others",
        ),
        (
            "finetune: ms, each",
            "train: lfp, model: {backbone: cnn}, each",
            "mask blocks of bins by `training: {mask: bins}`",
        ),
        ("finetune: ms, each", "distill: ms, model: {lookahead_bins: 3}, each", "this one reads all of them"),
        ("finetune: ms, each", "train: spikes, family: realm, each", "`family: realm` reads LFP alone"),
        ("finetune: ms, each", "train: lfp, family: realm, embedding: conv, each", "has `embedding: gated`"),
        ("finetune: ms, each", "train: lfp, family: realm, model: {head: 48}, each", "`head` must divide"),
        ("finetune: ms, each", "train: lfp, family: realm, model: {heads: 4}, each", 'has no setting "heads"'),
        ("MS-Spike: ft", "MS-Spike: {job: ft, past_bins: -1}", "past_bins` must be at least 0"),
        (
            "pretrain: spikes",
            "pretrain: spikes, supervision: full",
            "because sessions have different behavior",
        ),
        ("pretrain: spikes", "pretrain: spikes, supervision: joint", "does not apply to `pretrain`"),
        (
            "finetune: ms, each",
            "distill: ms, supervision: joint, unfreeze_epoch: 3, each",
            "keeps its teacher as it is",
        ),
        ("finetune: ms, each", "distill: ms, training: {align_layers: 2}, each", "it needs `align: residual`"),
        (
            "finetune: ms, each",
            "distill: ms, training: {align: residual, align_layers: 11}, each",
            "`align_layers: 11` needs as many layers of a transformer or of `mamba`, but ft has 2",
        ),
        (
            "finetune: ms, each",
            "distill: ms, model: {backbone: lstm, readout: pooled}, training: {align: residual, align_layers: 2}, each",
            "but ft gives the output of its last layer only",
        ),
        (
            "finetune: ms, each",
            "distill: ms, unfreeze_epoch: -1, each",
            "unfreeze_epoch` must be at least 0, but got -1",
        ),
        ("finetune: ms, each: held_out", "train: lfp, each: held_out, embedding: count", "embeds spike counts"),
        (
            "finetune: ms, each",
            "train: spikes, embedding: conv, each",
            "`embedding: conv` embeds LFP; a model of spikes alone needs `embedding: count`",
        ),
        ("finetune: ms, each", "train: lfp, model: {backbone: lstm}, each", "set `supervision: full`"),
        (
            "finetune: ms, each",
            "distill: ms, objective: {unfreeze_epoch: -1}, each",
            "unfreeze_epoch` must be at least 0, but got -1",
        ),
        (
            "finetune: ms, each",
            "distill: ms, objective: {unfreeze_epoch: 1}, unfreeze_epoch: 2, each",
            "sweep.yaml:7: jobs.ft.objective: `unfreeze_epoch` is given twice: 2, and 1 in `objective`",
        ),
        (
            "pretrain: spikes",
            "pretrain: spikes, objective: behavior_regression",
            "sweep.yaml:6: jobs.ms.objective: sessions of a pretraining have different behavior",
        ),
        (
            "finetune: ms, each",
            "train: lfp, supervision: full, objective: masked_autoencoding, each",
            "`supervision: full` means `objective: behavior_regression`, but got masked_autoencoding",
        ),
        ("finetune: ms, each", "finetune: ms, workers: 2, each", "jobs.ft.workers: `workers` belongs to a pretraining"),
        ("preset: tiny", "preset: tiny\nseeds: [0, -1]", "sweep.yaml:4: `seeds.1` must be at least 0, but got -1"),
        (
            "finetune: ms, each",
            "finetune: ms, model: {layers: 3}, each",
            "starts from the weights of ms, which has backbone.layers 2, not 3; make them equal",
        ),
        (
            "pretraining}\n  ft: {finetune: ms",
            "pretraining}\n  lfp: {pretrain: lfp, on: pretraining}\n  ft: {finetune: lfp, embedding: conv",
            "starts from the weights of lfp, which has `embedding: linear`, not conv; make them equal",
        ),
        (
            "finetune: ms, each",
            "distill: ms, model: {width: 128}, each",
            "they need one `width`, but it is 128, and 64 for ms",
        ),
        ("name: s", "name: ../s", "is not allowed"),
        (
            "pretraining}\n  ft: {finetune: ms",
            "pretraining}\n  a: {distill: b, each: held_out}\n  b: {distill: a, each: held_out}\n  ft: {finetune: ms",
            "sweep.yaml:7: jobs.a: jobs start from each other: a -> b -> a",
        ),
        ("preset: tiny", "compare: [A > B]", 'there is no "A"'),
        (
            "preset: tiny",
            "training: {mask_ratio: 1.5}",
            "sweep.yaml:3: `training.mask_ratio` must be above 0 and below 1, but got 1.5",
        ),
        (
            "preset: tiny",
            "pretraining: {epochs: 0}",
            "sweep.yaml:3: `pretraining.epochs` must be at least 1, but got 0",
        ),
        (
            "preset: tiny",
            "engine: {micro_batch: 0}",
            "sweep.yaml:3: `engine.micro_batch` must be at least 1, but got 0",
        ),
        ("preset: tiny", "model: {width: 100}", "must be a multiple"),
        ("store: runs/store", "seeds: [0]", "give either `store`"),
    ],
)
def test_invalid_sweep_is_refused(tmp_path, old, new, message):
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP)
    load_sweep(path)
    path.write_text(SWEEP.replace(old, new))
    with pytest.raises(RaydistillError) as caught:
        load_sweep(path)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("section", "setting", "message"),
    [
        ("training", "epochs: 0", "at least 1"),
        ("training", "learning_rate: -1", "above 0"),
        ("training", "clip: 0", "above 0"),
        ("training", "patience: -1", "at least 1"),
        ("training", "weight_decay_epochs: 0", "at least 1"),
        ("training", "warmup_epochs: -2", "at least 0"),
        ("training", "alignment: -3", "at least 0"),
        ("model", "width: 0", "at least 1"),
        ("model", "heads: 0", "at least 1"),
        ("model", "layers: 0", "at least 1"),
        ("model", "lfp_patch: 0", "at least 1"),
        ("model", "conv_kernel: 0", "at least 1"),
        ("model", "space_std: -1", "at least 0"),
    ],
)
def test_number_out_of_its_range_is_refused_with_the_range(tmp_path, section, setting, message):
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP.replace("each: held_out}", f"each: held_out, {section}: {{{setting}}}}}"))
    with pytest.raises(RaydistillError) as caught:
        load_sweep(path)
    name, value = setting.split(": ")
    start = f"sweep.yaml:7: `jobs.ft.{section}.{name}` must be {message}"
    assert start in str(caught.value) and str(caught.value).endswith(f", but got {value}")


def test_job_has_the_model_of_the_job_whose_weights_it_starts_from(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP.replace("on: pretraining", "on: pretraining, model: {layers: 3, dropout: 0.1}"))
    assert load_sweep(path).model_of("ft") == load_sweep(path).model_of("ms")
    assert load_sweep(path, ["jobs.ft.model.dropout=0.2"]).model_of("ft").dropout == 0.2


def test_teacher_may_be_trained_with_a_student_over_many_sessions(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP.replace("  ft:", "  student: {distill: ms, on: pretraining, unfreeze_epoch: 3}\n  ft:"))
    sweep = load_sweep(path)
    assert sweep.objective_of(sweep.jobs["student"]).unfreeze_epoch == 3
