"""What this machine offers a sweep and what it lacks. Looks only: starts no Ray, writes nothing that stays."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Literal

from raydistill.errors import without_password

GIB = 2**30
ROOMY = {"memory": 4 * GIB, "disk": 5 * GIB}
"""Below these a small sweep still runs, but a Ray (0.8 GB), its workers and their checkpoints get crowded."""
HEAD_WIDTH = 32
"""Of the paper's encoder."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the examination; `warn` works but not as it should, `missing` does not work."""

    name: str
    state: Literal["ok", "warn", "missing"]
    detail: str


def examine(runs: Path = Path("runs")) -> list[Check]:
    """All checks, in the order in which a reader would put things right."""
    return [
        *_packages(),
        *_devices(),
        _cores(),
        _memory(),
        _compiler(),
        _ray_auth(),
        _runs_folder(Path(runs)),
        _tracking(Path(runs)),
    ]


def _packages() -> Iterator[Check]:
    import platform

    yield Check("python", "ok", platform.python_version())
    try:
        requirements = metadata.requires("raydistill") or []
    except metadata.PackageNotFoundError:
        yield Check("raydistill", "missing", "not installed, so its pins are unknown: run `pip install -e .`")
        return
    from packaging.requirements import Requirement

    for requirement in map(Requirement, requirements):
        if requirement.marker is None:  # the others belong to the extras
            yield _package(requirement.name, requirement.specifier)


def _package(name, wanted) -> Check:
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, "missing", f"not installed: run `pip install '{name}{wanted}'`")
    if version in wanted:
        return Check(name, "ok", version)
    return Check(name, "warn", f"{version} is not the tested {wanted}: run `pip install '{name}{wanted}'`")


def _devices() -> list[Check]:
    if not util.find_spec("torch"):
        return []  # named among the packages already
    import torch

    from raydistill.models.layers.precision import has_bf16

    device = f"CPU, {torch.get_num_threads()} threads; no CUDA device"
    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        device = ", ".join(f"{card.name} ({card.total_memory / GIB:.0f} GiB)" for card in cards)
    device += "" if has_bf16("cuda" if torch.cuda.is_available() else "cpu") else "; no bf16: trainings run in fp32"
    return [
        Check("device", "ok", device),
        Check("attention", "ok", _attention("cuda" if torch.cuda.is_available() else "cpu")),
    ]


def _attention(device: str) -> str:
    """What `attend` will do, in the words of the function that decides it."""
    import torch

    from raydistill.models.layers.attention import choose_kernel

    dtype = torch.bfloat16 if device == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    kernels = (choose_kernel(torch.device(device), dtype, equal, HEAD_WIDTH) for equal in (True, False))
    equal, ragged = kernels
    return f"equal lengths: {equal.name}, because {equal.reason}; ragged: {ragged.name}, because {ragged.reason}"


def _cores() -> Check:
    usable, all_cores = len(os.sched_getaffinity(0)), os.cpu_count()
    if usable < 2:
        return Check("cores", "warn", f"{usable} of {all_cores}: Ray Data and training share it, expect to wait")
    return Check("cores", "ok", f"{usable} of {all_cores} usable")


def _memory() -> Check:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")  # a container's share
    if limit.exists() and (text := limit.read_text().strip()).isdigit():
        total = min(total, int(text))
    state = "ok" if total >= ROOMY["memory"] else "warn"
    return Check("memory", state, f"{total / GIB:.1f} GiB" + ("" if state == "ok" else ": use fewer workers"))


def _compiler() -> Check:
    asked = os.environ.get("CXX")
    for name in [asked] if asked else ["g++", "clang++", "c++"]:
        if path := shutil.which(name):
            return Check("compiler", "ok", path)
    return Check("compiler", "warn", f"no C++ compiler ({asked or 'g++, clang++'}): torch.compile needs one")


def _ray_auth() -> Check:
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
        mode = os.environ["RAY_AUTH_MODE"]
        return Check(
            "ray auth",
            "warn",
            f"RAY_AUTH_MODE={mode}: whoever reaches this machine's ports can run code on it; set RAY_AUTH_MODE=token",
        )
    if os.environ.get("RAY_AUTH_TOKEN"):
        return Check("ray auth", "ok", "token of RAY_AUTH_TOKEN")
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    file = Path(named) if named else Path.home() / ".ray" / "auth_token"
    if not file.exists():
        if named:
            return Check("ray auth", "warn", f"RAY_AUTH_TOKEN_PATH={file} is not there: Ray will refuse to start")
        return Check("ray auth", "ok", f"token; the first start writes {file}")
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return Check("ray auth", "warn", f"others may read the token in {file}: run `chmod 600 {file}`")
    return Check("ray auth", "ok", f"token in {file}")


def _runs_folder(runs: Path) -> Check:
    existing = next(folder for folder in (runs.resolve(), *runs.resolve().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Check("runs", "missing", f"cannot write in {existing}: {error.strerror}; name another with `--runs`")
    free = shutil.disk_usage(existing).free
    state = "ok" if free >= ROOMY["disk"] else "warn"
    return Check("runs", state, f"{runs.resolve()}, {free / GIB:.1f} GiB free")


def _tracking(runs: Path) -> Check:
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        return Check("tracking", "ok", "MLFLOW_TRACKING_URI=" + without_password(uri))
    return Check("tracking", "ok", f"{runs.resolve() / 'mlflow.db'} (MLFLOW_TRACKING_URI is not set)")
