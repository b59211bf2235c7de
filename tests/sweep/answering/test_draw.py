"""What the figures of a sweep are drawn from, figure by figure."""

from raydistill.sweep.answering.draw import parameters_of
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.plan import plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from tests.paths import SWEEPS
from tests.sweep.planning.test_catalogue import corpus


def test_sizes_of_models_are_those_on_the_sessions_of_the_figure(tmp_path):
    planned = plan(load_sweep(SWEEPS / "scaling.yaml"), corpus(), RunsFolder(tmp_path))
    raw, power = (parameters_of(planned, panel) for panel in planned.panels if panel.methods)
    # Of 96 columns, raw LFP has 3 patches of 32 electrodes, and LFP power 1 patch of 32 electrodes with 9 bands: the
    # convolution (3 taps) and the read-out are larger, and there are 2 space embeddings fewer.
    convolution, readout, space = (288 - 32) * 3 * 256, (288 - 32) * (256 + 1), -2 * 256
    by_patch = {student: power[student] - raw[student] for student in power if student.startswith("Distilled LFP")}
    assert set(by_patch.values()) == {convolution + readout + space} and len(by_patch) == 5
    assert raw["Distilled LFP"] == 10_558_240 and raw.keys() == power.keys()
