"""A sweep on machines of which some are lost and one is added: the table of one machine, to the last digit.

    python -m tests.cluster.losing_nodes

makes machines out of namespaces, with one CPU for Ray each, and types what a user would: `ray up` with
cluster.local.yaml, a sweep, `ray down`. The file names four machines, of which the fourth is still off. While the sweep
runs on the other three, one is switched off for good on which a worker of the pretraining runs, and the fourth is
switched on. In the middle of the jobs on one session, the head is switched off, which drives the sweep. Then the same
commands continue on the same disk. Every line is printed with the seconds since the start.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from tests.cluster.machines import prepare, run_there, why_not
from tests.cluster.test_local_cluster import adapted
from tests.commands import raydistill, read_json
from tests.paths import ROOT
from tests.sweep.tiny_sweep import SWEEP

PREFIX = "raydistill-nodes-"
FILE = "cluster.local.yaml"
SESSIONS = "{names: [S1_02, S1_03, S2_02, S2_03]}"
CHANGES = {
    "subjects: 1": "subjects: 2",
    "{names: [S1_03]}": SESSIONS,
    "pretraining: {epochs: 3}": "pretraining: {epochs: 40}",
    "training: {epochs: 2}": "training: {epochs: 400, patience: 400}",
    "distilled: {distill: teacher, each: held_out}": "distilled: {distill: teacher, each: held_out}\n"
    "  ss_lfp: {train: lfp, each: held_out}",
    "MS-Spike: teacher}": "MS-Spike: teacher, SS-LFP: ss_lfp}",
}
PRETRAINS, HAS_A_JOB = "ray::RayTrainWorker", "ray::ImplicitFunc.train"
"""Titles of the processes of Ray in which a pretraining and a job on one session run."""
LATE = 4
"""The machine that is switched on late."""
LATER_S = 15
"""From the loss of a machine until then."""
OF_SSH = re.compile(r"^\d{4}-\d\d-\d\d .* -- |To ensure this mount updates|onnection to 10.77|Permanently added")
_STARTED = float(os.environ.setdefault("STARTED", str(time.monotonic())))
"""As the process says that has started this one."""


def say(text: str) -> None:
    """Print with the seconds since the start, and without the path of the folder."""
    print(
        f"{time.monotonic() - _STARTED:6.0f} s  {re.sub(rf'{tempfile.gettempdir()}/{PREFIX}[^/]*/', '', text)}",
        flush=True,
    )


def text_of_sweep() -> str:
    """The tiny sweep with more jobs, which take longer."""
    text = SWEEP
    for before, after in CHANGES.items():
        assert before in text, before
        text = text.replace(before, after)
    return text


class Machines:
    """The machines as one sees them who can press their switches."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.switched_on: dict[int, subprocess.Popen] = {}

    def process(self, number: int) -> psutil.Process:
        """The first process of a machine, above all others on it."""
        return psutil.Process(int((self.folder / f"machine{number}").read_text()))

    def works(self, number: int, title: str) -> bool:
        """Whether a process with this title runs there."""
        return any(title in command_of(p) for p in self.process(number).children(recursive=True))

    def switch_off(self, number: int) -> None:
        """Kill everything on a machine at once."""
        say(f"--- machine {number} is switched off")
        self.process(number).send_signal(signal.SIGKILL)

    def switch_on(self, number: int) -> None:
        """Start a machine; nothing of Ray runs on it yet."""
        say(f"--- machine {number} is switched on")
        (self.folder / f"machine{number}").unlink(missing_ok=True)
        command = [ROOT / "tests/cluster/machine.sh", self.folder, str(number)]
        self.switched_on[number] = subprocess.Popen(command)
        while not (self.folder / f"machine{number}").exists():
            time.sleep(0.1)


@contextlib.contextmanager
def typed(command: str, quiet: bool = False) -> Iterator[subprocess.Popen]:
    """A command that runs; waits for its end.

    Args:
        quiet: whether its lines are not printed. Of the others, Ray's own about SSH are left out.
    """
    say(f"$ {command}")
    began = time.monotonic()
    process = subprocess.Popen(shlex.split(command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output = []

    def show() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            output.append(line)
            if not quiet and not OF_SSH.search(line):
                say(f"  {line.rstrip()}")

    shown = threading.Thread(target=show, daemon=True)
    shown.start()
    yield process
    code = process.wait()
    shown.join(5)
    if quiet and code:
        print(*output[-40:])
    say(f"  exit code {code} after {time.monotonic() - began:.0f} s")


def command_of(process: psutil.Process) -> str:
    """The command line of a process; "" if it has ended."""
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def wait_until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    """Wait while the command runs; fails if it ends first."""
    while not condition():
        assert process.poll() is None, "the command ended too early"
        time.sleep(0.1)


def inside(folder: Path) -> None:
    """What happens on the machine from which the others are reached."""
    machines, file = Machines(folder), folder / FILE
    machines.switch_on(3)
    runs = folder / "shared/runs"
    count = "for i in $(seq 60); do ray status | grep '3 local.cluster.node' && exit 0; sleep 1; done; exit 1"
    # Through a pipe, the sweep prints lines instead of a table that changes.
    sweep = f"set -o pipefail; raydistill sweep {folder}/sweep.yaml --runs {runs} --address auto 2>&1 | cat"
    with typed("ray get-auth-token --generate", quiet=True):
        pass
    (Path.home() / ".ray/auth_token").chmod(0o600)

    def bring_up() -> None:
        with typed(f"ray up --yes {file}", quiet=True):
            pass
        with typed(f'ray exec {file} "{count}"', quiet=True):
            pass

    bring_up()
    with typed(f'ray exec {file} "{sweep}"') as first:
        wait_until(lambda: len(lines(runs)) > 5, first)
        lost = 3 if machines.works(3, PRETRAINS) else 2  # one of its two workers may be on the head
        machines.switch_off(lost)
        time.sleep(LATER_S)
        machines.switch_on(LATE)
        wait_until(lambda: all(machines.works(n, HAS_A_JOB) for n in (1, LATE)) and done(runs) > 6, first)
        machines.switch_off(1)
    machines.switch_on(1)
    bring_up()
    with typed(f'ray exec {file} "{sweep}"'):
        pass
    with typed(f"ray down --yes {file}", quiet=True):
        pass


def lines(runs: Path) -> list[str]:
    """The epochs of the pretraining."""
    return [line for file in runs.glob("jobs/*/history.jsonl") for line in file.read_text().splitlines()]


def done(runs: Path) -> int:
    """Number of finished jobs."""
    return len(list(runs.glob("jobs/*/_SUCCESS")))


def main() -> None:
    """Prepare, let it happen, and compare."""
    if problem := why_not():
        sys.exit(problem)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as scratch:
        folder = Path(scratch)
        (folder / "sweep.yaml").write_text(text_of_sweep())
        began = time.monotonic()
        raydistill("sweep", "sweep.yaml", "--runs", "alone", cwd=folder, check=0)
        say(f"on one machine, without a cluster: {time.monotonic() - began:.0f} s")
        prepare(folder, package="$HOME/raydistill", machines=LATE)
        text = adapted(folder, workers="10.77.0.2, 10.77.0.3, 10.77.0.4")
        (folder / FILE).write_text(text.replace("ray start", "ray start --num-cpus=1"))
        command = f"{shlex.quote(sys.executable)} -m tests.cluster.losing_nodes --inside {folder}"
        run_there(folder, command, timeout_s=3600, captured=False).check_returncode()
        alone, cluster = (
            read_json("results", "sweep.yaml", "--runs", runs, cwd=folder) for runs in ("alone", "shared/runs")
        )
        for part in ("scores", "baselines", "tests"):
            assert alone[part] == cluster[part] != [], part
        say(f"the same {len(alone['scores'])} scores, to the last digit")


if __name__ == "__main__":
    inside(Path(sys.argv[2])) if sys.argv[1:2] == ["--inside"] else main()
