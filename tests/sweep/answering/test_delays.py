"""How late the methods and baselines of a sweep answer, from the specifications of their jobs."""

from raydistill.evaluation.delay import Delay
from raydistill.sweep.answering.delays import delays_of
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.plan import plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from tests.paths import SWEEPS
from tests.sweep.planning.test_catalogue import corpus


def test_delays_are_those_of_the_later_bins_that_causal_models_read(tmp_path):
    sweep = load_sweep(SWEEPS / "latency.yaml", ["baselines=[past_ridge_on_lfp, wide_ridge_on_lfp, clock]"])
    delays = delays_of(plan(sweep, corpus(), RunsFolder(tmp_path / "runs")))
    assert delays["Mamba, 0 ms"] == Delay(network="Mamba", ms=0.0)
    assert delays["LSTM, 200 ms"] == Delay(network="LSTM", ms=200.0), "20 bins of 10 ms"
    assert delays["Transformer"] == Delay(network="Transformer", ms=None), "it reads the whole segment"
    assert delays["Past ridge on LFP"] == Delay(network="", ms=0.0)
    assert delays["Wide ridge on LFP"] == Delay(network="", ms=None) and "Clock" not in delays


def test_delay_of_realm_has_the_name_of_the_family(tmp_path):
    delays = delays_of(plan(load_sweep(SWEEPS / "realm.yaml"), corpus(), RunsFolder(tmp_path / "runs")))
    assert (delays["REALM"], delays["REALM-bi"]) == (Delay(network="REALM", ms=0.0), Delay(network="REALM", ms=None))
    assert delays["REALM fine-tuned"] == Delay(network="REALM, with labels", ms=0.0)


def test_delay_of_a_linear_system_is_nothing_under_its_own_name(tmp_path):
    job = "{train: lfp, each: held_out_raw, family: msid, supervision: full}"
    sweep = load_sweep(SWEEPS / "latency.yaml", [f"jobs.msid={job}", "methods.Linear=msid"])
    delays = delays_of(plan(sweep, corpus(), RunsFolder(tmp_path / "runs")))
    assert delays["Linear"] == Delay(network="MSID", ms=0.0)
