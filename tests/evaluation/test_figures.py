import csv
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from raydistill.errors import DataError
from raydistill.evaluation.comparisons import compare_all
from raydistill.evaluation.controls import control_tests
from raydistill.evaluation.delay import Delay
from raydistill.evaluation.figures.controls import gain_by_control
from raydistill.evaluation.figures.latency import latency
from raydistill.evaluation.figures.latents import embed, tsne
from raydistill.evaluation.figures.learning import learning_curves
from raydistill.evaluation.figures.methods import session_dots
from raydistill.evaluation.figures.pairs import MOST_SESSIONS, paired_differences
from raydistill.evaluation.figures.published import published_figure
from raydistill.evaluation.figures.recording import session_picture
from raydistill.evaluation.figures.search import parallel_coordinates
from raydistill.evaluation.figures.sizes import sizes
from raydistill.evaluation.figures.style import COLORS, ONE_COLUMN, OTHER_COLORS
from raydistill.evaluation.figures.trajectories import DrawnModel, trajectories
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
    return Results(protocol="corrected", scores=scores, baselines=baselines, comparisons=compare_all(_panels(), scores))


def _panels():
    return (Panel(pairs=(("Distilled LFP", "MS-LFP"), ("Distilled LFP", "absent"))),)


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
    assert float(rows[0]["r2"]) == _results().scores[0].value


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


def test_published_figure_has_a_letter_per_subject_and_the_numbers_of_the_paper(tmp_path):
    panel = Panel(
        paper="crossmodal", figure="F3", methods=("Distilled LFP", "MS-LFP"), sessions=frozenset({"I.0", "C.0"})
    )
    files = published_figure(_results(), panel, tmp_path / "published-F3")
    rows = _whole(files, "published-F3")
    svg = files["svg"].read_text()
    for title in ("a  subject C", "b  subject I", "c  all sessions", "printed in the paper"):
        assert f"<!-- {title} -->" in svg
    assert {r["session"] for r in rows} == {"I.0", "C.0", ""}, "sessions of other figures are not mixed in"
    means = {(r["method"], r["subject"]): r["paper_r2"] for r in rows if not r["session"]}
    assert means["Distilled LFP", "I"] == "0.66" and means["MS-LFP", "all"] == "0.27"


def test_published_figure_draws_the_sessions_that_the_paper_prints(tmp_path):
    scores = tuple(Score("MS-LFP", f"MonkeyC_{name}", "C", 0, 0.3, "job") for name in ("e2_1", "e2_2"))
    panel = Panel(paper="crossmodal", figure="F5", methods=("MS-LFP",))
    files = published_figure(Results(protocol="paper", scores=scores), panel, tmp_path / "F5")
    assert [r["paper_r2"] for r in _whole(files, "F5")] == ["0.290", "0.387", "", ""]


def test_published_figure_draws_failed_sessions_at_its_lower_edge_and_saves_their_scores(tmp_path):
    scores = tuple(
        Score("MS-LFP", f"MonkeyC_{name}", "C", 0, r2, "job") for name, r2 in (("e2_1", 0.3), ("e2_2", -900))
    )
    panel = Panel(paper="crossmodal", figure="F5", methods=("MS-LFP",))
    files = published_figure(Results(protocol="paper", scores=scores), panel, tmp_path / "F5")
    assert [float(r["mean_r2"]) for r in _whole(files, "F5")][:2] == [0.3, -900]
    assert "<!-- −1.0 -->" in files["svg"].read_text() and "<!-- −2" not in files["svg"].read_text()


@pytest.mark.parametrize("draw", [session_dots, paired_differences, gain_by_control])
def test_session_that_fails_is_drawn_at_the_lower_edge_and_its_score_is_saved(tmp_path, draw):
    r2_of = {"Distilled LFP": (0.5, 0.6), "MS-LFP": (0.3, -900), "Distilled LFP, no teacher": (0.4, -700)}
    scores = {
        method: [
            Score(method, f"I.{i}", "I", seed, r2 + 9 * seed * (r2 < 0), "")
            for i, r2 in enumerate(of)
            for seed in (0, 1)
        ]
        for method, of in r2_of.items()
    }
    of_methods, of_controls = [*scores["Distilled LFP"], *scores["MS-LFP"]], scores["Distilled LFP, no teacher"]
    panel = Panel(pairs=(("Distilled LFP", "MS-LFP"),))
    made = Results(
        protocol="corrected",
        scores=tuple(of_methods),
        control_scores=tuple(of_controls),
        comparisons=compare_all([panel], of_methods),
        controls=tuple(control_tests(["Distilled LFP"], ["same_architecture"], of_methods, of_controls, panel)),
    )
    files = draw(made, tmp_path / "drawn")
    assert re.search(r"-(900|895)\.?\d*", files["csv"].read_text())
    labels = [float(n.replace("−", "-")) for n in re.findall(r"<!-- (−?\d+\.\d+) -->", files["svg"].read_text())]
    assert labels and min(labels) >= -1


def test_paired_differences_saves_every_pair_and_omits_comparisons_without_pairs(tmp_path):
    rows = _whole(paired_differences(_results(), tmp_path / "pairs"), "pairs")
    assert len(rows) == 8
    assert all(float(r["difference"]) == float(r["r2_better"]) - float(r["r2_worse"]) for r in rows)


def test_paired_lines_tell_sessions_apart_and_many_sessions_by_subject(tmp_path):
    svg = paired_differences(_results(), tmp_path / "few")["svg"].read_text()
    assert all(f"<!-- {session} -->" in svg for session in ("I.0", "I.1", "I.2", "C.0"))
    scores = tuple(
        Score(method, f"{subject}.{i}", subject, 0, r2 + 0.01 * i, "job")
        for method, r2 in (("Distilled LFP", 0.6), ("MS-LFP", 0.3))
        for subject in ("I", "C")
        for i in range(MOST_SESSIONS)
    )
    many = Results(protocol="corrected", scores=scores, comparisons=compare_all(_panels(), scores))
    svg = paired_differences(many, tmp_path / "many")["svg"].read_text()
    assert "<!-- I -->" in svg and "<!-- C -->" in svg and "<!-- I.0 -->" not in svg


def test_mean_of_a_subject_hides_no_dot(tmp_path):
    svg = session_dots(_results(), tmp_path / "dots")["svg"].read_text()
    bars = [m.start() for m in re.finditer(r"stroke: #000000; stroke-width: 1\.2", svg)]
    dots = [m.start() for m in re.finditer("<g id=.PathCollection", svg)]
    assert len(bars) == 2 and dots and max(bars) < min(dots)  # two methods in the subject with three sessions


def test_log_values_of_a_search_have_a_log_axis(tmp_path):
    trials = [({"training.learning_rate": lr, "model.width": w}, 0.5, True) for lr, w in ((1e-3, 32), (4e-3, 64))]
    trials.append(({"training.learning_rate": 2e-3, "model.width": 48}, 0.4, True))
    linear, log = (
        parallel_coordinates(trials, tmp_path / name, values)["svg"].read_text()
        for name, values in (("linear", ()), ("log", ("training.learning_rate",)))
    )
    assert "<!-- (log) -->" in log and "<!-- (log) -->" not in linear and linear != log


@pytest.mark.parametrize(
    "name", ["dots", "pairs", "controls", "tsne", "trajectories", "curves", "coordinates", "published"]
)
def test_narrow_figure_fits_a_phone_with_letters_of_nine_pixels(tmp_path, name):
    drawings = _narrow_drawings()
    files = drawings[name](tmp_path / name, narrow=True)
    assert list(files) == ["svg"]
    svg = files["svg"].read_text()
    (width,) = re.findall(r'<svg [^>]*?width="([\d.]+)pt"', svg)
    assert float(width) <= 72 * ONE_COLUMN + 0.1
    # A letter is drawn 100 units high and then scaled; 1 pt is 4/3 px, and a page shows this width as it is.
    sizes = [100 * float(scale) * 4 / 3 for scale in re.findall(r"scale\(([\d.]+) -[\d.]+\)", svg)]
    assert sizes and min(sizes) >= 9


def _narrow_drawings():
    results = _results()
    scores = [replace(s, method="Distilled LFP, no teacher") for s in results.scores[:8]]
    tests = control_tests(["Distilled LFP"], ["same_architecture"], results.scores, scores)
    controlled = replace(results, control_scores=tuple(scores), controls=tests)
    history = [{"epoch": e, "train_loss": 1.0, "valid_loss": 1.1} for e in range(3)]
    vectors = {"a": np.random.default_rng(0).normal(size=(12, 5))}
    model = DrawnModel(segments=_scored_segments(), r2=0.5, seed=1)
    trials = [({"model.width": w, "training.learning_rate": w / 1e4, "model.layers": 2}, 0.5, True) for w in (32, 64)]
    return {
        "dots": partial(session_dots, results),
        "pairs": partial(paired_differences, results),
        "published": partial(
            published_figure, results, Panel(paper="crossmodal", figure="F3", methods=("Distilled LFP", "MS-LFP"))
        ),
        "controls": partial(gain_by_control, controlled),
        "tsne": partial(tsne, embed(vectors), ["s"] * 12, ["A"] * 12),
        "trajectories": partial(trajectories, "s", ("vx", "vy"), {"A": model, "B": model}),
        "curves": partial(learning_curves, dict.fromkeys("abcde", history)),
        "coordinates": partial(parallel_coordinates, trials),
    }


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
    # Trials may be joined end to end, so that no time of the recording is stored.
    svg = (tmp_path / "s_1.2.svg").read_text()
    assert "<!-- time of the stored bins (s), from 0.0 s; segments end at dotted lines -->" in svg
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
    decoded = {"Distilled $LFP$": DrawnModel(segments=a, r2=0.61, seed=2), "SS-LFP": DrawnModel(segments=b, r2=0.2)}
    files = trajectories("s_1.2", ("vx", "vy"), decoded, tmp_path / "t")
    rows = _whole(files, "t")
    svg = files["svg"].read_text()
    for text in ("Distilled $LFP$: seed 2, R² 0.61", "SS-LFP: R² 0.20", "scored time of s_1.2 (s)"):
        assert f"<!-- {text} -->" in svg
    assert len(rows) == 2 * 3 * 140 and {r["method"] for r in rows} == {"recorded", *decoded}
    first = next(r for r in rows if r["method"] == "recorded")
    assert float(first["value_sd"]) == a.true[0, 0] and rows[1]["time_s"] == "0.02"


def test_tsne_places_the_segments_of_all_models_in_one_plane(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 5)) + np.repeat([[0.0], [9.0]], 6, axis=0)
    sessions, subjects = np.repeat(["s1", "s2"], 6), np.repeat(["A", "B"], 6)
    files = tsne(embed({"teacher": x, "student": x + 0.01}), sessions, subjects, tmp_path / "p")
    rows, svg = _whole(files, "p"), files["svg"].read_text().lower()
    assert all(color.lower() in svg for color in (*COLORS[:2], *OTHER_COLORS[:2]))  # models, and subjects
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


@pytest.mark.parametrize(("ms", "joined"), [(50.0, True), (None, False)])
def test_latency_joins_methods_of_a_network_unless_two_are_equally_late(tmp_path, ms, joined):
    delays = {"Distilled LFP": Delay(network="Mamba", ms=None), "MS-LFP": Delay(network="Mamba", ms=ms)}
    figure = latency(_results(), delays, tmp_path / "l")["svg"].read_text()
    assert ("fill: none; stroke: #0072b2" in figure.lower()) == joined and "<!-- Mamba -->" in figure


def test_latency_saves_every_method_with_its_delay_and_draws_past_baselines_across(tmp_path):
    delays = {
        "Distilled LFP": Delay(network="Mamba", ms=None),
        "MS-LFP": Delay(network="Mamba", ms=50.0),
        "Ridge on LFP": Delay(network="", ms=0.0),
    }
    files = latency(_results(), delays, tmp_path / "l")
    rows = {r["method"]: (r["network"], r["latency_ms"], r["n"]) for r in _whole(files, "l")}
    assert rows == {
        "Distilled LFP": ("Mamba", "", "8"),
        "MS-LFP": ("Mamba", "50", "8"),
        "Ridge on LFP": ("", "0", "1"),
    }
    figure = files["svg"].read_text()
    assert figure.count("<!-- Mamba -->") == 1 and "<!-- Ridge on LFP -->" in figure and "<!-- 50 -->" in figure
