"""What a student is aligned with under each control, from a store to the batches of its feed."""

import dataclasses

import pytest
import torch

from raydistill.config.controls import NONE, OTHER, RANDOM, SHIFTED, SHUFFLED
from raydistill.feed.reading import read_directly
from raydistill.models.files import load_model
from raydistill.models.inputs import inputs_of
from raydistill.models.latents import encode
from raydistill.store.store import Store
from raydistill.training.assemble import assemble
from tests.training.test_gpu import store, task, teacher  # noqa: F401 - fixtures


@pytest.fixture
def student(store, teacher, tmp_path):  # noqa: F811
    """The distillation of session a, and the latents of its true teacher for each training segment."""
    made = task(store, tmp_path / "job", modality="lfp", teacher=teacher)
    first = made.entries[0]
    made = dataclasses.replace(made, entries=(first,), teachers={first.session: teacher})
    segments = store.read(first, "train")
    model = load_model(teacher)
    return made, dict(
        zip([s.number for s in segments], encode(model, segments, inputs_of(model.spec, [first])), strict=True)
    )


def targets(made):
    """Number of a segment -> what the student is aligned with, in the first epoch."""
    assembled = assemble(made, lambda task, share: read_directly(Store(task.store), list(task.entries)))
    found = {}
    for share in assembled.training.feed.train(0):
        for batch in share:
            pieces = [None] * len(batch.tokens.numbers)
            if batch.teacher_latents is not None:
                pieces = batch.teacher_latents.split(list(batch.tokens.bins))
            found |= dict(zip(batch.tokens.numbers, pieces, strict=True))
    return found


def is_near(a, b):
    return a.shape == b.shape and torch.allclose(a, b, atol=1e-5)


def test_student_without_a_control_is_aligned_with_the_spikes_of_the_same_segment(student):
    made, true = student
    assert all(is_near(target, true[number]) for number, target in targets(made).items())


def test_shuffled_teacher_gives_each_segment_the_latents_of_another_one(student):
    made, true = student
    shuffled = targets(dataclasses.replace(made, control=SHUFFLED))
    donors = {n: [m for m, latents in true.items() if is_near(latents, target)] for n, target in shuffled.items()}
    assert all(len(of_segment) == 1 for of_segment in donors.values())
    assert sorted(m for (m,) in donors.values()) == sorted(true) and all(m != n for n, (m,) in donors.items())
    again = targets(dataclasses.replace(made, control=SHUFFLED))
    assert all(torch.equal(again[n], shuffled[n]) for n in shuffled)


@pytest.mark.parametrize("control", [SHIFTED, RANDOM])
def test_teacher_of_other_moments_or_without_training_gives_no_true_latents(student, control):
    made, true = student
    # The true teacher has the weights that are drawn with seed 0.
    disturbed = targets(dataclasses.replace(made, control=control, seed=1))
    assert disturbed.keys() == true.keys()
    assert not any(is_near(target, true[number]) for number, target in disturbed.items())


def test_teacher_of_another_session_reads_the_spikes_of_that_session(student, store, teacher):  # noqa: F811
    made, true = student
    other = store.entries()[1]
    disturbed = targets(dataclasses.replace(made, control=OTHER, borrowed=(other,)))
    segments, model = store.read(other, "train"), load_model(teacher)
    of_other = list(encode(model, segments, inputs_of(model.spec, [other])))
    assert disturbed.keys() == true.keys()
    assert any(is_near(target, latents) for target in disturbed.values() for latents in of_other)


def test_student_without_a_teacher_trains_on_the_reconstruction_alone(student):
    made, _ = student
    objective = dataclasses.replace(made.objective, alignment=0.0)
    made = dataclasses.replace(made, objective=objective, teachers={})
    assert set(targets(made).values()) == {None}
    assembled = assemble(made, lambda task, share: read_directly(Store(task.store), list(task.entries)))
    assembled.run()
    assert assembled.training.objective.weights == {"reconstruction": 1.0}
    assert NONE == "same_architecture"
