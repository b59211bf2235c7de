"""Each check of the doctor: what it reports when something is missing, and that it reveals no secret."""

import importlib.util
import os
import subprocess
import sys
from importlib import metadata

import pytest
from packaging.specifiers import SpecifierSet

from raydistill.doctor import _cores, _package, examine


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch, tmp_path):
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "MLFLOW_TRACKING_URI", "CXX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def checks(runs):
    return {check.name: check for check in examine(runs)}


def a_token(tmp_path, mode):
    file = tmp_path / ".ray" / "auth_token"
    file.parent.mkdir()
    file.write_text("not a real token")
    file.chmod(mode)


def test_examination_of_this_machine_covers_each_subject_once(tmp_path):
    results = examine(tmp_path)
    names = [check.name for check in results]
    assert len(names) == len(set(names))
    assert {"python", "torch", "ray", "mlflow", "device", "attention", "cores", "memory"} <= set(names)
    assert {"compiler", "ray auth", "local ray", "runs", "tracking"} <= set(names)
    assert all(check.detail and "\n" not in check.detail for check in results)


def test_attention_is_reported_as_it_will_be_computed(tmp_path):
    import torch

    from raydistill.models.layers.attention import choose_kernel

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    detail = checks(tmp_path)["attention"].detail
    for lengths, equal in (("equal lengths", True), ("ragged", False)):
        choice = choose_kernel(device, dtype, equal, 32)
        assert f"{lengths}: {choice.name}, because {choice.reason}" in detail


def test_one_usable_core_is_warned_of():
    assert [_cores(usable, 8).state for usable in (1, 2)] == ["warn", "ok"]


def test_examination_without_psutil_leaves_out_what_needs_it(tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("raydistill.doctor.util.find_spec", lambda name: None if name == "psutil" else find_spec(name))
    assert {"cores", "memory"}.isdisjoint(checks(tmp_path))


def test_examination_starts_no_ray(tmp_path):
    code = (
        "import sys, pathlib; from raydistill.doctor import examine; examine(pathlib.Path(sys.argv[1])); "
        "sys.exit(bool({'ray', 'mlflow', 'optuna'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=os.environ | {"HOME": str(tmp_path)})


def test_package_at_its_pin_is_ok():
    check = _package("numpy", SpecifierSet(f"=={metadata.version('numpy')}"))
    assert (check.state, check.detail) == ("ok", metadata.version("numpy"))


def test_package_at_another_version_is_warned_of_with_the_way_out():
    check = _package("numpy", SpecifierSet("==1.0"))
    assert check.state == "warn" and "pip install 'numpy==1.0'" in check.detail


def test_package_that_is_not_installed_is_missing():
    check = _package("no-such-package", SpecifierSet("==1.0"))
    assert check.state == "missing" and "not installed" in check.detail


def test_ray_auth_disabled_is_warned_of(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    check = checks(tmp_path)["ray auth"]
    assert check.state == "warn" and "RAY_AUTH_MODE=token" in check.detail


def test_ray_auth_token_that_others_may_read_is_warned_of(tmp_path):
    a_token(tmp_path, 0o644)
    check = checks(tmp_path)["ray auth"]
    assert check.state == "warn" and "chmod 600" in check.detail


def test_ray_auth_token_of_the_owner_alone_is_ok_and_not_shown(tmp_path):
    a_token(tmp_path, 0o600)
    check = checks(tmp_path)["ray auth"]
    assert check.state == "ok" and "not a real token" not in check.detail


def test_ray_auth_token_path_to_nothing_is_warned_of(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "nowhere"))
    assert checks(tmp_path)["ray auth"].state == "warn"


def test_local_ray_is_reported_with_its_folder_and_interface(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/var/tmp")
    check = checks(tmp_path)["local ray"]
    assert check.state != "missing" and "/var/tmp" in check.detail


def test_folder_of_a_local_ray_that_cannot_be_written_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/proc")
    check = checks(tmp_path)["local ray"]
    assert check.state == "missing" and "RAY_TMPDIR" in check.detail


def test_runs_folder_yet_to_be_made_is_ok_and_stays_unmade(tmp_path):
    check = checks(tmp_path / "a" / "runs")["runs"]
    assert str(tmp_path / "a" / "runs") in check.detail and not (tmp_path / "a").exists()


def test_runs_folder_that_cannot_be_written_is_missing(tmp_path):
    (tmp_path / "file").write_text("")
    check = checks(tmp_path / "file" / "runs")["runs"]
    assert check.state == "missing" and "--runs" in check.detail


def test_tracking_address_is_shown_without_its_password(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@db.example/mlflow")
    detail = checks(tmp_path)["tracking"].detail
    assert "db.example" in detail and "secret" not in detail


def test_compiler_that_is_not_there_is_warned_of(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert checks(tmp_path)["compiler"].state == "warn"
