"""Who may import whom, read from the source of every module, imports inside functions included."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "raydistill"

# Part of the package -> the parts that it may import: what it builds on, never what builds on it.
ALLOWED = {
    "__init__": "models",
    "errors": "",
    "cluster": "",
    "config": "errors",
    "store": "config errors",
    "recordings": "store config cluster errors",
    "models": "store config errors",
    "objectives": "models store config errors",
    "training": "objectives models store config errors",
    "evaluation": "objectives models store config errors",
    "tracking": "errors",
    "sweep": "training evaluation tracking recordings objectives models store config cluster errors",
    "bench": "sweep training evaluation tracking recordings objectives models store config cluster errors",
    "doctor": "models errors",
    "decode": "evaluation recordings store config errors",
    "cli": "bench decode doctor sweep training evaluation tracking recordings objectives models store config errors",
}
# Heavy or replaceable library -> the only files, or the folder, that know it.
CONFINED = {
    "ray": (
        "cluster.py",
        "recordings/ingest.py",
        "store/batches.py",
        "training/distributed.py",
        "sweep/run.py",
        "sweep/fanout.py",
        "sweep/search.py",
    ),
    "mlflow": ("tracking.py",),
    "optuna": ("sweep/search.py",),
    "pynwb": ("recordings/",),
    "matplotlib": ("evaluation/figures/",),
}
HEAVY = {"torch", "ray", "mlflow", "optuna", "scipy", "pandas"}

FILES = [file.relative_to(PACKAGE).as_posix() for file in sorted(PACKAGE.rglob("*.py"))]


def imports(file):
    """(line, dotted name) of everything that a file imports; `from a import b` counts as a.b."""
    for node in ast.walk(ast.parse((PACKAGE / file).read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relatively; name the module in full"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def part(path):
    return path.split("/")[0].removesuffix(".py")


@pytest.mark.parametrize("file", FILES)
def test_module_imports_only_what_its_part_builds_on(file):
    assert part(file) in ALLOWED, f"{part(file)} has no place in the order of the package"
    allowed = {part(file), *ALLOWED[part(file)].split()}
    for line, name in imports(file):
        package, *inside = name.split(".")
        if package == "raydistill" and inside and inside[0] in ALLOWED:
            assert inside[0] in allowed, f"{file}:{line} imports {name}"


@pytest.mark.parametrize("file", FILES)
def test_module_leaves_confined_libraries_to_their_files(file):
    for line, name in imports(file):
        homes = CONFINED.get(name.split(".")[0])
        assert homes is None or file.startswith(homes), f"{file}:{line} imports {name}"


@pytest.mark.parametrize("command", [["--help"], ["plan", str(ROOT / "sweeps" / "demo.yaml"), "--runs", "runs"]])
def test_light_command_imports_nothing_heavy(command, tmp_path):
    code = f"""
import sys
from raydistill.cli import main
try:
    main(sys.argv[1:])
except SystemExit as done:
    assert not done.code, done.code
heavy = {HEAVY} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code, *command], check=True, cwd=tmp_path, stdout=subprocess.DEVNULL)
