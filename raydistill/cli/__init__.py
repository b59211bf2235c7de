"""The command line: parse, call, print. Results are written to stdout, progress and messages to stderr.

Exit codes: 0 success; 1 some jobs or recordings failed and the others finished, or Ray was lost; 2 invalid input;
130 interrupted or out of time, 143 ended by SIGTERM, 129 by SIGHUP: finished work is kept.
"""

import contextlib
import os
import sys
import traceback

from cyclopts import App
from cyclopts.exceptions import CycloptsError, UnusedCliTokensError

from raydistill import __version__
from raydistill.cli.machine import bench, doctor
from raydistill.cli.models import decode, import_
from raydistill.cli.output import close_stdout, say
from raydistill.cli.recordings import export, ingest, inspect, new_manifest, sessions, synth
from raydistill.cli.runs import archive, gc, note, track, verify
from raydistill.cli.searches import search
from raydistill.cli.streaming import deploy, send
from raydistill.cli.sweeps import plan, report, results, run, sweep, ui
from raydistill.cluster.isolation import leave_working_folder
from raydistill.cluster.threads import any_running
from raydistill.config.secrets import check_no_secret
from raydistill.errors import RaydistillError
from raydistill.interrupts import CONTINUES, handled
from raydistill.object_store import cause_of

app = App(
    name="raydistill",
    help="Pretrain, distill and compare models of neural recordings, from raw files to statistics.",
    version=__version__,
    suppress_keyboard_interrupt=False,  # main() reports an interrupt
)
for command in (
    *(sweep, plan, results, report, search, run),
    *(verify, gc, archive, track, note),
    *(synth, new_manifest, ingest, sessions, inspect, export),
    *(import_, decode, send, deploy, ui, bench, doctor),
):
    app.command(command)


def main(argv: list[str] | None = None) -> None:
    """Entry point of the `raydistill` command.

    Args:
        argv: arguments without the program's name; None: those of the process.
    """
    if argv is None:
        leave_working_folder()
    try:
        code = _run(argv)
    except Exception:
        if argv is not None:
            raise
        traceback.print_exc()
        code = 1
    if argv is None and "ray" in sys.modules and (code or any_running()):
        _flush()
        os._exit(code)  # an orderly end would shut Ray down, whose processes may have been killed, and wait for it
    sys.exit(code)


def _run(argv: list[str] | None) -> int:
    """Run a command, and print what ended it before its time; returns the exit code."""
    try:
        for argument in sys.argv[1:] if argv is None else argv:
            check_no_secret(argument, "the command line")
        with handled():
            code = app(argv, exit_on_error=False, print_error=False, result_action="return_value") or 0
            sys.stdout.flush()
            return code
    except UnusedCliTokensError as err:
        unexpected = " ".join(err.unused_tokens or ())
        say(f"raydistill: unexpected argument{'s' if len(err.unused_tokens or ()) > 1 else ''}: {unexpected}")
    except (RaydistillError, CycloptsError) as err:
        say(f"raydistill: {err}")
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has read enough
        close_stdout()
        return 0
    except OSError as err:  # no permission, no space, no such folder
        if err.filename is None and "AWS Error" in str(err):
            say(f"raydistill: the object store of the sessions: {cause_of(err)}")
        else:
            say(f"raydistill: {err.filename or 'a file'}: {err.strerror or err}; finished work is kept")
    except KeyboardInterrupt as err:
        code = getattr(err, "code", 130)
        ended = str(err) or "interrupted"
        with contextlib.suppress(OSError):  # the terminal may be closed
            say(f"raydistill: {ended}; {getattr(err, 'then', CONTINUES)}")
        return code
    return 2


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
