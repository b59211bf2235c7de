"""Checks of this machine before a sweep: packages, devices, memory and folders.

No check starts Ray or leaves a file behind.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

from raydistill.cluster import cores
from raydistill.cluster.folder import place_for_ray
from raydistill.errors import counted, without_password

GIB = 2**30
ROOMY = {"memory": 4 * GIB, "disk": 5 * GIB, "ray": 1 * GIB}
"""Bytes below which a small sweep still runs, but Ray (0.8 GB), its workers and their checkpoints have little room."""
HEAD_WIDTH = 32
"""Head width for which the attention is shown: that of the `paper` preset."""

State = Literal["ok", "warn", "missing"]


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one check. `warn`: usable with a limitation; `missing`: must be fixed first."""

    name: str
    state: State
    detail: str


def examine(runs: Path = Path("runs")) -> list[Check]:
    """All checks, in the order in which problems should be fixed."""
    return [
        *_packages(),
        *devices(),
        *_cores_and_memory(),
        _compiler(),
        _ray_auth(),
        _ray_folder(),
        _runs_folder(Path(runs)),
        _tracking(Path(runs)),
    ]


def _packages() -> Iterator[Check]:
    import platform

    yield Check("python", "ok", platform.python_version())
    try:
        requirements = metadata.requires("raydistill") or []
    except metadata.PackageNotFoundError:
        yield Check("raydistill", "missing", "not installed, so its requirements are unknown: run `pip install -e .`")
        return
    from packaging.requirements import Requirement

    for requirement in map(Requirement, requirements):
        if requirement.marker is None:  # those with a marker belong to an extra
            yield _package(requirement.name, requirement.specifier)


def _package(name: str, required: "SpecifierSet") -> Check:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, "missing", f"not installed: run `pip install '{name}{required}'`")
    if version in required:
        return Check(name, "ok", version)
    return Check(name, "warn", f"{version} is not the tested {required}: run `pip install '{name}{required}'`")


def devices() -> list[Check]:
    """The device of this machine, and the attention that it will use."""
    if not util.find_spec("torch"):
        return []  # already reported by _packages()
    import torch

    from raydistill.models.layers.precision import has_bf16

    device = f"CPU, {counted(torch.get_num_threads(), 'thread')}; no CUDA device"
    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        device = ", ".join(f"{card.name} ({card.total_memory / GIB:.0f} GiB)" for card in cards)
    device += "" if has_bf16("cuda" if torch.cuda.is_available() else "cpu") else "; no bf16: trainings run in fp32"
    return [
        Check("device", "ok", device),
        Check("attention", "ok", _attention("cuda" if torch.cuda.is_available() else "cpu")),
    ]


def _attention(device: str) -> str:
    """Which attention kernels `attend` will choose, with its reasons."""
    import torch

    from raydistill.models.layers.attention import choose_kernel

    dtype = torch.bfloat16 if device == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    kernels = (choose_kernel(torch.device(device), dtype, equal, HEAD_WIDTH) for equal in (True, False))
    equal, ragged = kernels
    return f"equal lengths: {equal.name}, because {equal.reason}; ragged: {ragged.name}, because {ragged.reason}"


def _cores_and_memory() -> list[Check]:
    if not util.find_spec("psutil"):
        return []  # already reported by _packages()
    return [_cores(cores(), os.cpu_count() or 1), _memory()]


def _cores(usable: int, all_cores: int) -> Check:
    if usable < 2:
        return Check("cores", "warn", f"{usable} of {all_cores} usable: Ray Data and training share it and are slow")
    return Check("cores", "ok", f"{usable} of {all_cores} usable")


def _memory() -> Check:
    import psutil

    total = psutil.virtual_memory().total
    limit = Path("/sys/fs/cgroup/memory.max")  # limit of a container (Linux only)
    if limit.exists() and (text := limit.read_text().strip()).isdigit():
        total = min(total, int(text))
    state: State = "ok" if total >= ROOMY["memory"] else "warn"
    return Check("memory", state, f"{total / GIB:.1f} GiB" + ("" if state == "ok" else ": use fewer workers"))


def _compiler() -> Check:
    chosen = os.environ.get("CXX")
    for name in [chosen] if chosen else ["g++", "clang++", "c++"]:
        if path := shutil.which(name):
            return Check("compiler", "ok", path)
    return Check("compiler", "warn", f"no C++ compiler ({chosen or 'g++, clang++'}): torch.compile needs one")


def _ray_auth() -> Check:
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        mode = os.environ["RAY_AUTH_MODE"]
        return Check(
            "ray auth",
            "warn",
            f"RAY_AUTH_MODE={mode}: anyone who reaches this machine's ports can run code; set RAY_AUTH_MODE=token",
        )
    if os.environ.get("RAY_AUTH_TOKEN"):
        return Check("ray auth", "ok", "token from RAY_AUTH_TOKEN")
    variable = os.environ.get("RAY_AUTH_TOKEN_PATH")
    file = Path(variable) if variable else Path.home() / ".ray" / "auth_token"
    if not file.exists():
        if variable:
            return Check("ray auth", "warn", f"RAY_AUTH_TOKEN_PATH={file}: no such file, so Ray will refuse to start")
        return Check("ray auth", "ok", f"token; Ray writes {file} when it first starts")
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Check("ray auth", "warn", f"other users can read the token in {file}: run `chmod 600 {file}`")
    return Check("ray auth", "ok", f"token in {file}")


def _ray_folder() -> Check:
    """Where a local Ray lives, and that it is reached from this machine alone."""
    place = Path(place_for_ray())
    detail = (
        f"in a private folder of {place}, on the loopback interface only; with --address, as the cluster was set up"
    )
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Check("local ray", "missing", f"cannot write to {place}: {error.strerror}; set RAY_TMPDIR to a folder")
    free = shutil.disk_usage(place).free
    if free < ROOMY["ray"]:
        return Check("local ray", "warn", f"{free / GIB:.1f} GiB free in {place}; set RAY_TMPDIR to a folder with more")
    return Check("local ray", "ok", detail)


def _runs_folder(runs: Path) -> Check:
    existing = next(folder for folder in (runs.resolve(), *runs.resolve().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Check(
            "runs", "missing", f"cannot write to {existing}: {error.strerror}; name another folder with `--runs`"
        )
    free = shutil.disk_usage(existing).free
    state: State = "ok" if free >= ROOMY["disk"] else "warn"
    return Check("runs", state, f"{runs.resolve()}, {free / GIB:.1f} GiB free")


def _tracking(runs: Path) -> Check:
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        return Check("tracking", "ok", "MLFLOW_TRACKING_URI=" + without_password(uri).partition("?")[0])
    return Check("tracking", "ok", f"{runs.resolve() / 'mlflow.db'} (MLFLOW_TRACKING_URI is not set)")
