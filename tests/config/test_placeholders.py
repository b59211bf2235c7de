"""Values that a manifest leaves open are refused by name, line and comment."""

import pytest

from raydistill.errors import ConfigError
from raydistill.recordings.planning.manifest import read_manifest

TEXT = """
defaults:
  subject: FILL_IN  # the name of the animal
sessions:
  - file: a.h5
    bin_width_ms: 10
    spikes: counts
    lfp:
      values: lfp
      rate_hz: FILL_IN
    trials: {start_s: on, stop_s: FILL_IN}
"""


@pytest.fixture
def manifest(tmp_path):
    (tmp_path / "lab.yaml").write_text(TEXT)
    return tmp_path / "lab.yaml"


def test_open_value_is_refused_with_its_line_its_comment_and_the_lines_of_others(manifest):
    with pytest.raises(ConfigError) as caught:
        read_manifest(manifest)
    assert str(caught.value) == (
        f"{manifest}:3: `subject` is still FILL_IN: the name of the animal (also in lines 10, 11)"
    )


def test_open_value_without_comment_is_refused_after_others_were_set_from_the_command_line(manifest):
    with pytest.raises(ConfigError, match=r"lab.yaml:10: `rate_hz` is still FILL_IN; write its value \(also in line 1"):
        read_manifest(manifest, overrides=["defaults.subject=m1"])


def test_manifest_without_open_values_is_read(manifest):
    manifest.write_text(TEXT.replace("rate_hz: FILL_IN", "rate_hz: 1000").replace("FILL_IN", "off"))
    (recording,) = read_manifest(manifest)
    assert recording.source.subject == "off"
    assert recording.source.options.trials.stop_s == "off"
