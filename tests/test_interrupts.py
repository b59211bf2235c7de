"""Signals and lost helpers raise one kind of interrupt in the main thread; a second signal ends the process at once."""

import signal
import subprocess
import sys
import textwrap

import pytest

from raydistill.interrupts import Interrupted, handled, kept


def run(code, *, signals=(), ignoring=None):
    """Run a program that prints "ready" when it waits; returns its exit code and what it printed after that."""
    program = "import signal, subprocess, sys, threading, time\nfrom raydistill import interrupts\n" + textwrap.dedent(
        code
    )
    before = f"import signal; signal.signal({ignoring}, signal.SIG_IGN)\n" if ignoring else ""
    process = subprocess.Popen([sys.executable, "-c", before + program], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    for number in signals:
        process.send_signal(number)
    printed, _ = process.communicate(timeout=30)
    return process.returncode, printed


WAITING = """
try:
    with interrupts.handled():
        print("ready", flush=True)
        time.sleep(20)
except interrupts.Interrupted as err:
    print(err.code, err)
"""


@pytest.mark.parametrize(
    ("number", "printed"),
    [
        (signal.SIGINT, "130 interrupted\n"),
        (signal.SIGTERM, "143 ended by SIGTERM\n"),
        (signal.SIGHUP, "129 ended by SIGHUP, which a closed terminal sends\n"),
    ],
)
def test_signal_is_an_interrupt_with_the_exit_code_of_a_shell(number, printed):
    assert run(WAITING, signals=[number]) == (0, printed)


def test_signals_that_come_together_are_one_interrupt():
    assert run(WAITING, signals=[signal.SIGHUP, signal.SIGHUP])[1].startswith("129 ")


def test_second_signal_ends_the_process_and_its_children_at_once():
    code = """
    with interrupts.handled():
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        interrupts.TOGETHER_S = 0.0
        try:
            print("ready", flush=True)
            time.sleep(20)
        except KeyboardInterrupt:  # a clean-up that hangs
            import os, signal
            threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
            time.sleep(20)
    """
    # The output is read to its end, which comes when the child, too, has ended.
    assert run(code, signals=[signal.SIGINT])[0] == 143


def test_hangup_that_nohup_ignores_stays_ignored():
    code = WAITING.replace("time.sleep(20)", "time.sleep(1); print('to the end')")
    assert run(code, signals=[signal.SIGHUP], ignoring="signal.SIGHUP") == (0, "to the end\n")


def test_interrupt_of_another_thread_is_raised_in_the_main_thread():
    code = """
    try:
        with interrupts.handled():
            threading.Timer(0.2, interrupts.throw, [interrupts.Interrupted("lost", code=1)]).start()
            print("ready", flush=True)
            time.sleep(20)
    except interrupts.Interrupted as err:
        print(err.code, err)
    """
    assert run(code) == (0, "1 lost\n")


def test_interrupt_of_another_thread_does_not_interrupt_the_clean_up_after_a_signal():
    code = """
    try:
        with interrupts.handled():
            try:
                print("ready", flush=True)
                time.sleep(20)
            finally:
                threading.Timer(0.1, interrupts.throw, [interrupts.Interrupted("lost", code=1)]).start()
                time.sleep(0.5)
                print("cleaned")
    except interrupts.Interrupted as err:
        print(err.code, err)
    """
    assert run(code, signals=[signal.SIGINT]) == (0, "cleaned\n130 interrupted\n")


def test_signal_together_with_an_interrupt_of_another_thread_does_not_interrupt_the_clean_up():
    code = """
    import os
    try:
        with interrupts.handled():
            threading.Timer(0.2, interrupts.throw, [interrupts.Interrupted("lost", code=1)]).start()
            print("ready", flush=True)
            try:
                time.sleep(20)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.1)
                print("cleaned")
    except interrupts.Interrupted as err:
        print(err.code, err)
    """
    assert run(code) == (0, "cleaned\n1 lost\n")


def test_interrupt_that_a_library_drops_is_raised_again():
    code = """
    class Dropping:
        def __del__(self):  # Python ignores exceptions here
            print("ready", flush=True)
            time.sleep(20)

    sys.unraisablehook = lambda _: None
    try:
        with interrupts.handled():
            Dropping()
            time.sleep(10)
            print("to the end")
    except interrupts.Interrupted as err:
        print(err.code, err)
    """
    assert run(code, signals=[signal.SIGTERM]) == (0, "143 ended by SIGTERM\n")


def test_interrupt_that_a_library_replaces_does_not_interrupt_the_clean_up():
    code = """
    def replacing():
        try:
            print("ready", flush=True)
            time.sleep(20)
        except interrupts.Interrupted:
            pass
        raise KeyboardInterrupt

    try:
        with interrupts.handled():
            try:
                replacing()
            finally:
                time.sleep(0.1)
                print("cleaned")
    except interrupts.Interrupted as err:
        print(err.code, err)
    """
    assert run(code, signals=[signal.SIGTERM]) == (0, "cleaned\n143 ended by SIGTERM\n")


def test_handlers_of_a_library_are_replaced_by_those_before():
    before = signal.getsignal(signal.SIGTERM)
    with kept():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(Interrupted, match="SIGTERM"), kept():
        sys.exit(int(signal.SIGTERM))
    with handled():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before
