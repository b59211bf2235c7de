"""The command line: parse, call, print. Results are written to stdout, progress and messages to stderr.

Exit codes: 0 success; 1 some jobs or recordings failed and the others finished; 2 invalid input; 130 interrupted,
finished work is kept.
"""

import sys

from cyclopts import App
from cyclopts.exceptions import CycloptsError, UnusedCliTokensError

from raydistill import __version__
from raydistill.cli.machine import bench, doctor
from raydistill.cli.models import decode, import_
from raydistill.cli.output import close_stdout, say
from raydistill.cli.recordings import export, ingest, inspect, new_manifest, sessions, synth
from raydistill.cli.runs import archive, gc, note, verify
from raydistill.cli.sweeps import plan, report, results, run, search, sweep, ui
from raydistill.errors import RaydistillError

app = App(
    name="raydistill",
    help="Pretrain, distill and compare models of neural recordings, from raw files to statistics.",
    version=__version__,
    suppress_keyboard_interrupt=False,  # main() reports an interrupt
)
for command in (
    *(sweep, plan, results, report, search, run),
    *(verify, gc, archive, note),
    *(synth, new_manifest, ingest, sessions, inspect, export),
    *(import_, decode, ui, bench, doctor),
):
    app.command(command)


def main(argv: list[str] | None = None) -> None:
    """Entry point of the `raydistill` command.

    Args:
        argv: arguments without the program's name; None: those of the process.
    """
    try:
        code = app(argv, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except UnusedCliTokensError as err:
        unexpected = " ".join(err.unused_tokens or ())
        say(f"raydistill: unexpected argument{'s' if len(err.unused_tokens or ()) > 1 else ''}: {unexpected}")
        sys.exit(2)
    except (RaydistillError, CycloptsError) as err:
        say(f"raydistill: {err}")
        sys.exit(2)
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has read enough
        close_stdout()
        sys.exit(0)
    except OSError as err:  # no permission, no space, no such folder
        say(f"raydistill: {err.filename or 'a file'}: {err.strerror or err}; finished work is kept")
        sys.exit(2)
    except KeyboardInterrupt as err:
        say(f"raydistill: {str(err) or 'interrupted'}; finished work is kept; run the same command again to continue")
        sys.exit(130)
    sys.exit(code or 0)
