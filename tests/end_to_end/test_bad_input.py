"""Invalid input: one line that names the cause and the way out, exit code 2, and no files left."""

import numpy as np
import pytest

from tests.commands import SWEEP, raydistill

MANIFEST = """ingest: {bin_width_ms: 20, filters: null, splits: {segment_s: 1, parent_s: 2}}
defaults: {subject: a, bin_width_ms: 20, spikes: spikes}
sessions:
"""


def refused(done):
    """The single line of an error message."""
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("raydistill: "), done.stderr
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep", "none.yaml"], "none.yaml: no such file"),
        (["swep"], 'Did you mean "sweep"?'),
        (["sweep", "sweep.yaml", "--run", "x"], "Unknown option"),
        (["sweep", "typo.yaml"], 'typo.yaml:21: unknown key "epocs" in `training`; did you mean "epochs"?'),
        (["sweep", "sweep.yaml", "--set", "name=../x"], "sweep name '../x' is not allowed"),
        (["plan", "sweep.yaml", "--set", "sessions.held_out.names=[S1_2]"], 'no session "S1_2"; did you mean "S1_02"?'),
        (["sessions", "--store", "none"], "create one with `raydistill ingest`"),
        (["ingest", "none.nwb", "--store", "store"], "none.nwb: no such file"),
        (["ui"], "run `raydistill sweep` first"),
        (["synth", "sweep.yaml"], "sweep.yaml"),
    ],
    ids=lambda a: " ".join(a)[:40] if isinstance(a, list) else "",
)
def test_invalid_input_is_refused_in_one_line(tmp_path, arguments, message):
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    (tmp_path / "typo.yaml").write_text(SWEEP.replace("\ntraining: {epochs", "\ntraining: {epocs"))
    before = sorted(tmp_path.iterdir())
    assert message in refused(raydistill(*arguments, cwd=tmp_path))
    assert sorted(tmp_path.iterdir()) == before


def test_ingest_with_invalid_recordings_stores_the_valid_ones_and_exits_with_1(tmp_path):
    random = np.random.default_rng(0)
    good = random.poisson(0.5, (1000, 4))
    np.savez(tmp_path / "good.npz", spikes=good)
    np.savez(tmp_path / "empty_unit.npz", spikes=good * [1, 0, 1, 1])
    np.savez(tmp_path / "short.npz", spikes=good[:250])
    (tmp_path / "torn.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:200])
    names = ("good", "empty_unit", "short", "torn", "missing")
    (tmp_path / "manifest.yaml").write_text(MANIFEST + "".join(f"  - {{file: {name}.npz}}\n" for name in names))
    done = raydistill("ingest", "manifest.yaml", "--store", "store", cwd=tmp_path, check=1)
    messages = {line.split()[1].rstrip(":"): line for line in done.stderr.splitlines() if line.startswith("failed")}
    assert set(messages) == set(names) - {"good"}
    assert "unit 1 has no spike" in messages["empty_unit"] and "min_rate_hz" in messages["empty_unit"]
    assert "too few for train, valid and test" in messages["short"]
    assert "torn.npz" in messages["torn"] and "no such file" in messages["missing"]
    assert "Traceback" not in done.stderr
    sessions = [p.name for p in (tmp_path / "store" / "segments").iterdir()]
    assert sessions == ["session=good"]
