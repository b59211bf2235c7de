"""Two machines that a third one reaches through SSH, all of them namespaces of this machine (machines.sh)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

PROGRAMS = ("/usr/sbin/sshd", "ssh", "ssh-keygen", "rsync", "unshare", "nsenter", "ip")
ADDRESSES = ("10.77.0.1", "10.77.0.2")
_SSHD = """Port 22
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PasswordAuthentication no
StrictModes no
PidFile none
"""


def why_not() -> str:
    """Why no machines can be made here; "" if they can."""
    if missing := [program for program in PROGRAMS if not shutil.which(program)]:
        return f"needs {', '.join(missing)} (apt-get install openssh-server rsync iproute2)"
    if os.geteuid() != 0:
        return "needs root, to make machines out of namespaces"
    tried = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, text=True)
    return f"this machine makes no namespaces: {tried.stderr.strip()}" if tried.returncode else ""


def prepare(folder: Path, package: str, machines: int = 2) -> None:
    """Write what machines.sh needs, and a folder `shared`.

    Args:
        package: folder from which the machines import raydistill; `$HOME` is that of the machine.
        machines: how many there will be, with those that machine.sh adds.
    """
    # A login through SSH would lose these, and with other kernels of OpenBLAS the last digits are others.
    kernels = " ".join(f"{name}={value}" for name, value in os.environ.items() if name.startswith("OPENBLAS_"))
    # Nobody knows the addresses of the machines' names, by which workers of a training would find each other.
    kernels += " GLOO_SOCKET_IFNAME=eth0"
    for home in ("client", *(f"home{number}" for number in range(1, machines + 1))):
        (folder / home / ".ray").mkdir(parents=True, exist_ok=True)
        variables = f"PATH={_PROGRAMS_OF_PYTHON}:$PATH PYTHONPATH={package} {kernels}"
        (folder / home / ".bashrc").write_text(f"export {variables}\n")
    for key in ("key", "host_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    (folder / "sshd_config").write_text(_SSHD.format(folder=folder))
    (folder / "shared").mkdir()


def run_there(folder: Path, commands: str, timeout_s: float, captured: bool = True) -> subprocess.CompletedProcess:
    """Run lines of bash on the machine that reaches the others, from the root of the repository.

    Args:
        captured: whether what they print is kept; otherwise it is printed.
    """
    environment = os.environ | {"RAY_AUTH_MODE": "token", "PATH": f"{_PROGRAMS_OF_PYTHON}:{os.environ['PATH']}"}
    return subprocess.run(
        [ROOT / "tests/cluster/machines.sh", folder, "bash", "-c", commands],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=captured,
        text=True,
        timeout=timeout_s,
    )


_PROGRAMS_OF_PYTHON = Path(sys.executable).parent
