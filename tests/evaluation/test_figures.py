import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.evaluation.comparisons import compare_all
from raydistill.evaluation.figures.latents import tsne
from raydistill.evaluation.figures.learning import learning_curves
from raydistill.evaluation.figures.methods import paired_differences, session_dots
from raydistill.evaluation.figures.recording import session_picture
from raydistill.evaluation.figures.sizes import sizes
from raydistill.evaluation.figures.trajectories import trajectories
from raydistill.evaluation.results import Results
from raydistill.evaluation.scored_segments import SegmentRecorder
from raydistill.evaluation.scores import Score
from raydistill.evaluation.sees import Sees
from raydistill.papers.targets import Panel
from raydistill.store.catalogue import Entry
from raydistill.store.session import Segment

MAGIC = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml", "csv": b""}


def _results():
    rng = np.random.default_rng(0)
    scores = tuple(
        Score(method, f"{subject}.{i}", subject, seed, base + rng.normal(0, 0.05), "job")
        for method, base in (("Distilled LFP", 0.6), ("MS-LFP", 0.3))
        for subject, n in (("I", 3), ("C", 1))
        for i in range(n)
        for seed in range(2)
    )
    baselines = (Score("Ridge on LFP", "I.0", "I", None, 0.2, "job"),)
    panels = (Panel(pairs=(("Distilled LFP", "MS-LFP"), ("Distilled LFP", "absent"))),)
    return Results(protocol="corrected", scores=scores, baselines=baselines, comparisons=compare_all(panels, scores))


def _session(spikes=True, lfp=True):
    rng = np.random.default_rng(0)
    segments = [
        Segment(
            "s_1.2", i, "train", 5.0 * i,
            rng.poisson(0.1, (50, 7)).astype(np.uint8) if spikes else None,
            rng.normal(size=(50, 12)).astype(np.float32) if lfp else None,
            np.where(rng.uniform(size=(50, 2)) < 0.05, np.nan, rng.normal(size=(50, 2))).astype(np.float32),
        )
        for i in range(5)
    ]  # fmt: skip
    entry = Entry(
        session="s_1.2", subject="A", dataset="", task="", region="", bin_width_ms=100, n_segments=5, n_bins=250,
        n_units=7 * spikes, n_channels=12 * lfp, behavior=("vx", "vy"), behavior_units=("m/s", "m/s"),
        splits={"train": 3, "valid": 1, "test": 1}, aligned=False, protocol="corrected", normalisation={}, config={},
        fingerprint="", content="", sources={}, parts=(),
    )  # fmt: skip
    return entry, segments


def _whole(files: dict[str, Path], name):
    """The rows of the CSV, after a check of the type of every file."""
    for kind, magic in MAGIC.items():
        assert files[kind].name == f"{name}.{kind}"
        assert files[kind].read_bytes().startswith(magic)
    with files["csv"].open() as file:
        return list(csv.DictReader(file))


def test_session_dots_saves_every_score_as_csv(tmp_path):
    rows = _whole(session_dots(_results(), tmp_path / "new" / "scores.v1"), "scores.v1")
    assert len(rows) == 17
    assert {r["kind"] for r in rows} == {"method", "baseline"}
    assert float(rows[0]["r2"]) == _results().scores[0].r2


def test_session_dots_draws_of_many_baselines_those_that_see_most_and_saves_all(tmp_path):
    sights = {  # signal, past, future, clock
        "Ridge on LFP": ("lfp", 1, 0, 0),
        "Wide ridge on LFP": ("lfp", 1, 1, 0),
        "Wide ridge on LFP and clock": ("lfp", 1, 1, 1),
        "Kalman on LFP": ("lfp", 1, 0, 0),
        "Wide ridge on spikes": ("spikes", 1, 1, 0),
        "Clock": ("", 0, 0, 1),
    }
    sees = tuple(
        Sees(
            method=name, reads=(signal,) if signal else (), past=bool(past), future=bool(future), clock=bool(clock),
            labels=True, other_sessions=False, spikes="never",
        )
        for name, (signal, past, future, clock) in sights.items()
    )  # fmt: skip
    results = replace(
        _results(),
        baselines=tuple(Score(name, "I.0", "I", None, 0.1 * i, "job") for i, name in enumerate(sights)),
        sees=sees,
    )
    files = session_dots(results, tmp_path / "dots")
    rows = _whole(files, "dots")
    assert {row["method"] for row in rows if row["kind"] == "baseline"} == set(sights)
    drawn = [name for name in sights if f"<!-- {name} -->" in files["svg"].read_text()]
    assert drawn == ["Wide ridge on LFP and clock", "Wide ridge on spikes", "Clock"]


def test_paired_differences_saves_every_pair_and_omits_comparisons_without_pairs(tmp_path):
    rows = _whole(paired_differences(_results(), tmp_path / "pairs"), "pairs")
    assert len(rows) == 8
    assert all(float(r["difference"]) == float(r["r2_better"]) - float(r["r2_worse"]) for r in rows)


def test_learning_curves_saves_every_epoch(tmp_path):
    history = [{"epoch": e, "train_loss": 1 / (e + 1), "valid_loss": 1.1 / (e + 1), "lr": 1e-3} for e in range(6)]
    rows = _whole(learning_curves({"cost $x of {I_1}$": history, "other": history[:1]}, tmp_path / "loss"), "loss")
    assert len(rows) == 7 and rows[2]["epoch"] == "2"


@pytest.mark.parametrize(("spikes", "lfp"), [(True, True), (False, True)])
def test_session_picture_draws_the_modalities_that_are_there(tmp_path, spikes, lfp):
    entry, segments = _session(spikes, lfp)
    rows = _whole(session_picture(entry, segments[::-1], tmp_path / entry.session, seconds=8.0), "s_1.2")
    panels = {r["panel"] for r in rows}
    assert panels == {"behavior"} | ({"spikes"} if spikes else set()) | ({"lfp"} if lfp else set())
    assert max(float(r["time_s"]) for r in rows if r["time_s"]) == pytest.approx(7.9)
    if spikes:
        rates = [float(r["value"]) for r in rows if r["quantity"] == "rate_hz"]
        np.testing.assert_allclose(rates, np.concatenate([s.spikes for s in segments]).mean(axis=0) / 0.1)


def test_session_picture_without_segments_raises_an_error(tmp_path):
    with pytest.raises(DataError, match=r"s_1.2 has no segments"):
        session_picture(_session()[0], [], tmp_path / "x")


def test_figures_of_empty_results_are_still_saved(tmp_path):
    empty = Results(protocol="paper", scores=())
    for draw in (session_dots, paired_differences):
        assert draw(empty, tmp_path / draw.__name__)["png"].stat().st_size > 0
    assert learning_curves({}, tmp_path / "loss")["png"].stat().st_size > 0


def test_figures_of_the_same_results_are_the_same_bytes(tmp_path):
    first, again = (session_dots(_results(), tmp_path / folder / "scores") for folder in ("a", "b"))
    for kind in MAGIC:
        assert first[kind].read_bytes() == again[kind].read_bytes()


def _scored_segments(seed=0, bins=(50, 50, 40), numbers=(3, 4, 8)):
    rng = np.random.default_rng(seed)
    recorder = SegmentRecorder(bin_width_ms=20.0)
    for number, n in zip(numbers, bins, strict=True):
        latents = rng.normal(size=(n, 4)).astype(np.float32)
        recorder.add(number, latents, latents, rng.normal(size=(n, 2)).astype(np.float32))
    return recorder.segments(lambda x: x[:, :2])


def test_trajectories_saves_recorded_and_decoded_behavior(tmp_path):
    a, b = _scored_segments(), _scored_segments()
    decoded = {"Distilled $LFP$": (a, 0.61), "SS-LFP": (b, 0.2)}
    rows = _whole(trajectories("s_1.2", ("vx", "vy"), decoded, tmp_path / "t"), "t")
    assert len(rows) == 2 * 3 * 140 and {r["method"] for r in rows} == {"recorded", *decoded}
    first = next(r for r in rows if r["method"] == "recorded")
    assert float(first["value_sd"]) == a.true[0, 0] and rows[1]["time_s"] == "0.02"


def test_tsne_places_the_segments_of_all_models_in_one_plane(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 5)) + np.repeat([[0.0], [9.0]], 6, axis=0)
    sessions, subjects = np.repeat(["s1", "s2"], 6), np.repeat(["A", "B"], 6)
    rows = _whole(tsne({"teacher": x, "student": x + 0.01}, sessions, subjects, tmp_path / "p"), "p")
    assert len(rows) == 24 and [r["session"] for r in rows[:12]] == sessions.tolist()
    place = np.array([[float(r["tsne_1"]), float(r["tsne_2"])] for r in rows])
    same = np.linalg.norm(place[:12] - place[12:], axis=1)  # the same segment under teacher and student
    assert same.max() < np.linalg.norm(place[:6].mean(axis=0) - place[6:12].mean(axis=0))


def test_sizes_saves_one_point_per_method(tmp_path):
    rows = _whole(sizes(_results(), {"Distilled LFP": 1_200_000, "MS-LFP": 90_000}, tmp_path / "s"), "s")
    assert {(r["method"], r["parameters"], r["n"]) for r in rows} == {
        ("Distilled LFP", "1200000", "8"),
        ("MS-LFP", "90000", "8"),
    }
