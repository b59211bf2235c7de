"""A part of the paper's first sweep: a session of each kind and two methods, from raw files to its two figures."""

from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.planning.discover import plan_sources
from raydistill.simulation.corpus import corpus_config, planned_sessions, write_corpus
from raydistill.store.store import Store
from tests.commands import raydistill, read_json
from tests.paths import SWEEPS

UNSUPERVISED = SWEEPS / "unsupervised.yaml"
HELD_OUT = {"MonkeyC_e1_1", "MonkeyM_20140217"}  # with LFP voltages and with LFP power
OTHERS = {"MonkeyI_20160624_03", "MonkeyH_20171101"}
SPIKES_ONLY = {"Perich_M_CO_3"}


def test_part_of_the_unsupervised_sweep_answers_both_figures(tmp_path):
    picked = [s for s in planned_sessions() if s.session in HELD_OUT | OTHERS | SPIKES_ONLY]
    assert list(write_corpus(tmp_path / "corpus", corpus_config("tiny"), picked))
    store = Store(str(tmp_path / "runs" / "store"))
    assert {ingest_one(r, store.uri, None).state for r in plan_sources(tmp_path / "corpus")} == {"stored"}
    store.publish()

    small = [f"--set={value}" for value in ("preset=tiny", "training.epochs=1", "pretraining.epochs=1", "seeds=[0]")]
    small.append(f"--set=store={store.uri}")
    two = ("--only", "Distilled LFP", "--only", "SS-LFP")
    done = raydistill("sweep", UNSUPERVISED, *two, *small, cwd=tmp_path, check=0)
    assert "12 jobs in " in done.stderr and "F3: mean over sessions" in done.stdout
    results = read_json("results", UNSUPERVISED, *small, cwd=tmp_path)
    for method in ("Distilled LFP", "SS-LFP"):
        assert {s["session"] for s in results["scores"] if s["method"] == method} == HELD_OUT | OTHERS
    answered = {(t["figure"], t["n"]) for t in results["tests"] if t["worse"] == "SS-LFP"}
    assert answered == {("F3", 2), ("F11", 2)}
    (of_ss_lfp,) = (row for row in results["paper"] if (row["figure"], row["method"]) == ("F3", "SS-LFP"))
    mean = next(row["mean"] for row in results["means"] if (row["figure"], row["method"]) == ("F3", "SS-LFP"))
    assert (of_ss_lfp["ours"], of_ss_lfp["paper"], of_ss_lfp["n"]) == (mean, 0.24, 2)
    (folder,) = (tmp_path / "runs" / "sweeps").glob("*/")
    drawn = {path.stem for path in folder.glob("*.svg")}
    assert drawn >= {"published-F3", "published-F11", "paired_differences-F3", "paired_differences-F11"}
    assert len((folder / "paper.csv").read_text().splitlines()) == 1 + len(results["paper"])
    rest = read_json("plan", UNSUPERVISED, *small, cwd=tmp_path)["counts"]
    assert rest["done"] == 12 and rest["missing"] > 0, "jobs that were not selected are left for later"
