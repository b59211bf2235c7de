"""Who may import whom, read from the source of every module, imports inside functions included."""

import ast
import graphlib
import subprocess
import sys
from collections import defaultdict

import pytest

from tests.paths import ROOT, SWEEPS

PACKAGE = ROOT / "raydistill"

# Part of the package -> the parts that it may import: what it builds on, never what builds on it.
ALLOWED = {
    "__init__": "models",
    "errors": "",
    "interrupts": "",
    "cluster": "errors interrupts",
    "config": "errors",
    "files": "config errors",
    "marker": "files config errors",
    "ownership": "files config errors",
    "locks": "files errors",
    "object_store": "files errors",
    "lease": "object_store files errors",
    "mirrored": "object_store marker ownership files errors",
    "papers": "errors",
    "store": "locks files config papers errors",
    "shared_folders": "shared_place object_store cluster errors",
    "recordings": "shared_folders object_store store files config cluster papers errors",
    "simulation": "recordings store files config papers errors",
    "feed": "store files config errors",
    "models": "feed store marker ownership files config errors",
    "objective": "models feed",
    "objectives": "objective models feed store config errors",
    "training": "mirrored object_store objectives objective models feed store marker ownership files config cluster "
    "errors",
    "evaluation/decoders": "store errors",
    "evaluation/baselines": "evaluation/decoders store errors",
    "evaluation/measure": "",
    "evaluation/tuning": "",
    "evaluation/equal_settings": "evaluation/tuning",
    "evaluation": "evaluation/baselines evaluation/decoders evaluation/measure evaluation/tuning "
    "evaluation/equal_settings models feed store ownership files config papers errors",
    "tracking": "files errors",
    "decode": "evaluation models feed store files config errors",
    "stream": "decode evaluation recordings models feed store config cluster interrupts errors",
    "sweep/config": "evaluation/baselines models papers config errors",
    "sweep/planning": "sweep/config evaluation/baselines evaluation/measure evaluation/tuning "
    "evaluation/equal_settings models feed simulation papers store mirrored lease object_store marker ownership locks "
    "files config errors",
    "sweep/tuning": "sweep/planning sweep/config evaluation/tuning evaluation/equal_settings store config errors",
    "sweep/answering": "sweep/tuning sweep/planning sweep/config training evaluation tracking papers store files "
    "config errors",
    "sweep/running": "sweep/answering sweep/planning sweep/config training evaluation tracking simulation recordings "
    "interrupts shared_folders mirrored objectives models feed store ownership files config cluster errors",
    "sweep/searching": "sweep/running sweep/answering sweep/planning sweep/config evaluation tracking models store "
    "files config cluster errors",
    "bench": "stream sweep training evaluation simulation recordings objectives models feed store files config cluster "
    "errors",
    "doctor": "models cluster errors",
    "shared_place": "mirrored object_store errors",
    "doctor_nodes": "doctor shared_place object_store sweep/planning store models cluster errors",
    "cli": "bench stream decode doctor_nodes doctor sweep evaluation tracking simulation recordings models store "
    "config object_store cluster interrupts errors",
}
# Heavy or replaceable library -> the only files, or the folder, that know it.
CONFINED = {
    "ray": (
        "bench/workers.py",
        "cluster/",
        "recordings/ingest.py",
        "feed/reading.py",
        "training/distributed.py",
        "sweep/running/driver.py",
        "sweep/running/fanout.py",
        "sweep/running/jobs.py",
        "sweep/running/recordings.py",
        "sweep/searching/trials.py",
    ),
    "mlflow": ("tracking/",),
    "optuna": ("sweep/searching/",),
    "pynwb": ("recordings/", "simulation/", "decode/nwb_export.py"),
    "hdmf_zarr": ("recordings/readers/nwb_parts/zarr.py",),
    "numcodecs": ("recordings/readers/nwb_parts/zarr.py",),
    "zarr": ("recordings/readers/nwb_parts/zarr.py",),
    "neo": ("recordings/readers/neo.py",),
    "cvxpy": ("models/msid/solver.py",),
    "clarabel": ("models/msid/solver.py",),
    "pylsl": ("stream/lsl.py",),
    "zmq": ("stream/zmq.py",),
    "onnx": ("stream/deploy.py", "stream/onnx_step.py"),
    "onnxruntime": ("stream/onnx_step.py",),
    "onnxscript": ("stream/deploy.py",),
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
    """The part that a module or dotted name belongs to: the longest that it begins with."""
    names = path.removesuffix(".py").split("/")
    return next((p for n in (2, 1) if (p := "/".join(names[:n])) in ALLOWED), None)


@pytest.mark.parametrize("file", FILES)
def test_module_imports_only_what_its_part_builds_on(file):
    own = part(file)
    if own is None:
        assert file == "sweep/__init__.py", f"{file} has no place in the order of the package"
        return
    allowed = ALLOWED[own].split()
    for line, name in imports(file):
        package, *inside = name.split(".")
        if package == "raydistill" and inside and (other := part("/".join(inside))) is not None:
            assert other == own or other in allowed or other.split("/")[0] in allowed, f"{file}:{line} imports {name}"


def test_modules_import_each_other_in_no_circle():
    known = {f"raydistill.{file.removesuffix('.py').replace('/', '.')}": file for file in FILES}
    graph = {
        module: {target for _, name in imports(file) for target in (name, name.rpartition(".")[0]) if target in known}
        for module, file in known.items()
    }
    graphlib.TopologicalSorter({module: targets - {module} for module, targets in graph.items()}).prepare()


def test_store_and_planning_import_no_torch():
    modules = [
        f"raydistill.{file.removesuffix('.py').replace('/', '.')}"
        for file in FILES
        if file.startswith(("store/", "config/", "papers/", "evaluation/baselines", "sweep/config/", "sweep/planning/"))
    ]
    code = f"import importlib, sys; [importlib.import_module(m) for m in {modules}]; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("file", FILES)
def test_module_leaves_confined_libraries_to_their_files(file):
    for line, name in imports(file):
        homes = CONFINED.get(name.split(".")[0])
        assert homes is None or file.startswith(homes), f"{file}:{line} imports {name}"


@pytest.mark.parametrize("command", [["--help"], ["plan", str(SWEEPS / "demo.yaml"), "--runs", "runs"]])
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


def test_no_two_classes_of_the_package_have_one_name():
    homes = defaultdict(list)
    for file in FILES:
        for node in ast.walk(ast.parse((PACKAGE / file).read_text())):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(file)
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}
