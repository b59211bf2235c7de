"""Rules of security that no single module keeps: no code of a file is run, no secret is written, nothing is fetched.

Others are tested where they are kept: YAML in tests/config/test_yaml_files.py, addresses in
tests/config/test_secrets.py, names in tests/config/test_names.py, released checkpoints in tests/models/released/,
escaping in tests/evaluation/test_report.py.
"""

import ast
import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from safetensors.torch import load_file

from raydistill.cli import main
from raydistill.doctor import examine
from raydistill.errors import CheckpointError, ConfigError, DataError
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.files import WEIGHTS, load_model, save_model
from raydistill.models.released.released import import_checkpoint
from raydistill.recordings.planning.electrodes import read_channels
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.answering.report import write_report
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.running.provenance import provenance
from raydistill.training.checkpoint import resume
from tests.commands import raydistill
from tests.paths import ROOT
from tests.small import make_spec
from tests.sweep.baseline_sweep import run_baselines, write_sweep

SECRET = "Pl4ntedS3cret"
SECRET_VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN", "GITHUB_TOKEN"),
    *("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "RAY_AUTH_TOKEN"),
)
PACKAGE = ROOT / "raydistill"
RUNS_CODE = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "marshal.loads", "runpy.run_path"),
    *("pickle.load", "pickle.loads", "torch.jit.load", "torch.export.load", "shutil.unpack_archive"),
    *("torch.package.PackageImporter", "joblib.load", "dill.load", "cloudpickle.loads", "pandas.read_pickle"),
}
UNPACKS = {"extractall", "extract"}


class Malicious:
    """Pickled, it writes a file when it is loaded."""

    def __init__(self, canary):
        self.canary = str(canary)

    def __reduce__(self):
        return (open, (self.canary, "w"))


@functools.cache
def calls():
    """(place, dotted name, call) of every call in the package."""
    return [
        (f"{file.relative_to(ROOT)}:{node.lineno}", ast.unparse(node.func), node)
        for file in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
    ]


def _constant(call, keyword):
    return next((k.value.value for k in call.keywords if k.arg == keyword and isinstance(k.value, ast.Constant)), None)


def test_no_call_runs_code_of_a_file_or_unpacks_an_archive():
    found = [f"{place} {name}" for place, name, _ in calls() if name in RUNS_CODE or name.split(".")[-1] in UNPACKS]
    assert not found


def test_every_load_of_torch_and_numpy_refuses_objects():
    loads = [(place, name, call) for place, name, call in calls() if name in ("torch.load", "np.load")]
    assert len(loads) >= 4
    for place, name, call in loads:
        keyword, safe = {"torch.load": ("weights_only", True), "np.load": ("allow_pickle", False)}[name]
        assert _constant(call, keyword) is safe, f"{place}: {name} without {keyword}={safe}"


def test_no_shell_and_no_module_named_by_data():
    for place, name, call in calls():
        assert _constant(call, "shell") is not True, place
        if name.endswith("import_module"):
            assert isinstance(call.args[0], ast.Constant), f"{place} imports a module that data names"


@pytest.mark.parametrize("page", ["report.html", "search.html"])
def test_page_marks_nothing_as_safe_and_loads_nothing(page):
    template = (PACKAGE / "evaluation" / page).read_text()
    assert "|safe" not in template.replace(" ", "") and "<script" not in template
    assert not re.search(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", template)


@pytest.mark.parametrize(
    ("package", "least"), [("torch", "2.6"), ("pyarrow", "14.0.1"), ("mlflow", "3.5"), ("ray", "2.52")]
)
def test_libraries_are_newer_than_their_known_holes(package, least):
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (specifier,) = [r.specifier for r in map(Requirement, required) if r.name == package]
    assert version(package) in specifier and least not in specifier


@pytest.fixture
def model_folder(tmp_path):
    save_model(CrossModalModel(make_spec("lfp", "linear", ())), tmp_path / "model")
    return tmp_path / "model"


def test_model_whose_weights_are_a_pickle_is_refused_and_not_run(model_folder, tmp_path):
    torch.save({"tokenizer": Malicious(tmp_path / "canary")}, model_folder / WEIGHTS)
    with pytest.raises(CheckpointError, match="missing or corrupt"):
        load_model(model_folder)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("what", ["optimizer.pt", "model.safetensors", "progress.json"])
def test_checkpoint_that_holds_code_is_set_aside_and_not_run(tmp_path, what):
    model = torch.nn.Linear(2, 2)
    folder = tmp_path / "epoch-000001-step-000000"
    folder.mkdir()
    from safetensors.torch import save_file

    for name in ("model.safetensors", "best.safetensors"):
        save_file(model.state_dict(), folder / name)
    torch.save(torch.optim.AdamW(model.parameters()).state_dict(), folder / "optimizer.pt")
    torch.save({"state": Malicious(tmp_path / "canary")}, folder / what)
    assert resume(tmp_path, model, torch.optim.AdamW(model.parameters())) is None
    assert not (tmp_path / "canary").exists()
    assert [path.name for path in tmp_path.iterdir()] == [f"corrupt-{folder.name}"]


def test_released_checkpoint_that_holds_code_is_refused_and_not_run(tmp_path):
    torch.save({"model": Malicious(tmp_path / "canary")}, tmp_path / "a.pt")
    (tmp_path / "a.csv").write_text("subject_session,d_input\na,3\n")
    with pytest.raises((CheckpointError, DataError)):
        import_checkpoint(tmp_path / "a.pt", tmp_path / "a.csv")
    assert not (tmp_path / "canary").exists()


def test_arrays_that_hold_objects_are_refused_and_not_run(tmp_path, capsys):
    objects = np.array([Malicious(tmp_path / "canary")] * 4, dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", spikes=objects)
    for name in ("a.npy", "a.npz"):
        (tmp_path / "m.yaml").write_text(
            f"ingest: {{bin_width_ms: 20, filters: null}}\nsessions: [{{file: {name}, subject: a, spikes: spikes}}]\n"
        )
        with pytest.raises(SystemExit) as ended:
            main(["ingest", str(tmp_path / "m.yaml"), "--store", str(tmp_path / "store"), "--dry-run"])
            main(["new-manifest", str(tmp_path / name)])
        assert ended.value.code in (0, 1, 2) and "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "canary").exists()


def test_list_of_electrodes_that_never_ends_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(ConfigError, match="not a regular file"):
            read_channels(path)


def test_environment_report_is_an_allowlist(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"https://user:{SECRET}@host:5000")
    known = {
        *("raydistill", "code", "torch", "ray", "numpy", "python", "machine", "system", "gpu", "threads", "bf16", "git")
    }
    assert set(provenance()) <= known
    assert SECRET not in json.dumps(provenance()) + str(examine(tmp_path))


def test_page_of_a_sweep_with_hostile_names_escapes_them(tmp_path):
    wicked = "<img src=x onerror=alert(1)>"
    path = write_sweep(tmp_path)
    text = path.read_text().replace("{SS-LFP: ss_lfp}", f"{{'{wicked}': ss_lfp}}")
    path.write_text(text.replace("does the page", f"{wicked} does the page"))
    sweep, _, runs = run_baselines(path)
    opened = OpenSweep(sweep, runs, overrides=(f"methods.{wicked}=ss_lfp",))
    write_report(opened, path, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert wicked not in page and "&lt;img src=x onerror=alert(1)&gt;" in page


@pytest.mark.parametrize("label", ["=1+1", "@SUM(A1)", "-x", "+x", "a\x1b[2Jb", "a\u202eb", "a\nb", " a", "x" * 81])
def test_label_that_a_spreadsheet_or_terminal_would_obey_is_refused(tmp_path, label):
    path = write_sweep(tmp_path)
    path.write_text(path.read_text().replace("{SS-LFP:", f"{{{json.dumps(label)}:"))
    with pytest.raises(ConfigError, match=r"method name .* is not allowed") as caught:
        load_sweep(path)
    assert str(caught.value).isprintable()


@pytest.fixture
def tracking_server(tmp_path):
    """The port of an MLflow server of the test."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    folder = tmp_path / "server"
    folder.mkdir()
    command += ["--backend-store-uri", f"sqlite:///{folder / 'db'}", "--artifacts-destination", str(folder / "files")]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # ten processes that nothing here needs
    server = subprocess.Popen(
        command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
            break
        except OSError:
            assert time.monotonic() < deadline and server.poll() is None
            time.sleep(0.3)
    yield port
    os.killpg(server.pid, signal.SIGKILL)
    server.wait(30)


def test_no_file_that_a_sweep_writes_holds_a_secret_of_the_environment(tmp_path, tracking_server, monkeypatch):
    path = write_sweep(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:{SECRET}@127.0.0.1:{tracking_server}")
    for name in SECRET_VARIABLES:
        monkeypatch.setenv(name, SECRET)
    swept = raydistill("sweep", path, "--runs", tmp_path / "runs", cwd=tmp_path, check=0)
    page = raydistill(
        "report", path, "--runs", tmp_path / "runs", "--out", tmp_path / "page.html", cwd=tmp_path, check=0
    )
    results = raydistill("results", path, "--runs", tmp_path / "runs", "--json", cwd=tmp_path, check=0)
    (folder,) = [f for f in (tmp_path / "runs" / "jobs").iterdir() if (f / WEIGHTS).exists()]
    decoded = ("decode", folder, "--session", "a_1", "--store", tmp_path / "store", "--out", tmp_path / "a.parquet")
    outputs = [swept, page, results, raydistill(*decoded, cwd=tmp_path, check=0)]
    assert not any(SECRET in done.stdout + done.stderr for done in outputs)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) > 30 and (tmp_path / "page.html").exists() and load_file(folder / WEIGHTS)
    holding = [file for file in files if SECRET.encode() in _content(file)]
    assert not holding


def _content(file):
    """The bytes of a file; of a zip archive, those of its members."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            return b"".join(archive.read(name) for name in archive.namelist())
    return file.read_bytes()
