"""What Ray's processes must not take from this one: its working folder, and secrets of its environment.

Python imports from the folders of `sys.path` in order. Ray puts the working folder of the driver first on the path of
every worker, before the standard library, where a user's `random.py` or `h5py.py` would be run instead of the module
of that name.
"""

import os
import sys
import sysconfig
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ray.job_config import JobConfig

SAFE_PATH = {"PYTHONSAFEPATH": "1"}
"""Tells Python not to put the working folder, or the folder of the script, on its path."""
_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")


def leave_working_folder() -> None:
    """Take the working folder off the path of this process and of those that it will start.

    A folder that `PYTHONPATH` names stays, but not an empty name in it (`PYTHONPATH=:/libraries`), which means the
    working folder. The folder from which this package was imported stays too.
    """
    os.environ |= SAFE_PATH
    if "PYTHONPATH" in os.environ:
        named = [os.path.abspath(folder) for folder in os.environ["PYTHONPATH"].split(os.pathsep) if folder]
        os.environ["PYTHONPATH"] = os.pathsep.join(named)
    own = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    kept = [own, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    here, library = os.path.realpath(os.getcwd()), sysconfig.get_path("stdlib")
    before = sys.path.index(library) if library in sys.path else len(sys.path)
    sys.path[:before] = [
        folder for folder in sys.path[:before] if folder and (folder in kept or os.path.realpath(folder) != here)
    ]


def job_config() -> "JobConfig":
    """The configuration of a Ray job whose workers do not import from the driver's working folder."""
    return _without_driver_path()()


@cache
def _without_driver_path() -> type:
    from ray.job_config import JobConfig

    class WithoutDriverPath(JobConfig):
        """Ray appends the driver's folders to this list before it sends the configuration."""

        @property
        def _py_driver_sys_path(self) -> list[str]:
            return []

        @_py_driver_sys_path.setter
        def _py_driver_sys_path(self, folders: list[str]) -> None:
            pass

    return WithoutDriverPath


def keep_secrets_from_trials() -> None:
    """Let Ray Tune pass no secrets to its trials.

    It would put them into the description of each actor, which Ray writes into its logs. A worker on this machine has
    this process's environment; the nodes of a cluster have their own credentials.
    """
    from ray.tune.execution import class_cache

    class_cache.ENV_VARS_TO_PROPAGATE.difference_update(_SECRETS)
