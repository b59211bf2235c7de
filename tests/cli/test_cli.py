"""The command line's frame: every parameter is explained, and the examples are valid for their command."""

import re
import shlex
from pathlib import Path

import pytest

from raydistill.bench.choose import OPTIONS, run
from raydistill.cli import app, main
from raydistill.cli.sweeps import next_steps
from raydistill.config.load import build_from
from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import ConfigError
from raydistill.recordings.planning.discover import plan_sources
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.config.search import load_search
from tests.paths import SWEEPS

COMMANDS = [name for name in app if not name.startswith("-")]


def parameters(command):
    return app[command].assemble_argument_collection(parse_docstring=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_command_explains_itself_and_each_of_its_parameters(command):
    assert app[command].help.strip()
    unexplained = [argument.name for argument in parameters(command) if not (argument.parameter.help or "").strip()]
    assert unexplained == []


def example(command):
    """The example in the help text of --set."""
    (option,) = [argument for argument in parameters(command) if argument.name == "--set"]
    return re.search(r"--set (\S+?=\S+?);", option.parameter.help)[1]


def test_commands_with_overrides_are_those_whose_example_is_checked():
    with_set = {command for command in COMMANDS for argument in parameters(command) if argument.name == "--set"}
    of_sweeps = {"sweep", "plan", "results", "report", "track", "archive", "note"}
    assert with_set == of_sweeps | {"search", "synth", "ingest"}


@pytest.mark.parametrize("command", ["sweep", "plan", "results", "report", "track", "archive", "note"])
def test_example_of_set_is_valid_for_a_sweep(command):
    load_sweep(SWEEPS / "demo.yaml", [example(command)])


def test_example_of_set_is_valid_for_a_search():
    load_search(next(SWEEPS.glob("search*.yaml")), [example("search")])


def test_example_of_set_is_valid_for_synthetic_recordings():
    build_from(SyntheticConfig, [example("synth")])


def test_example_of_set_is_valid_for_an_ingest(tmp_path):
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text("sessions:\n  - {name: a, subject: s, file: a.nwb}\n")
    (recording,) = plan_sources(str(manifest), None, [example("ingest")], None)
    assert recording.config.bin_width_ms == 20


@pytest.mark.parametrize(
    ("what", "options", "message"),
    [
        (
            "checkpoint",
            {"minutes": 1.0},
            "--minutes is an option of `bench ingest` and `bench schedule`; `bench checkpoint` takes no option",
        ),
        ("train", {"sessions": 2}, "`bench train` takes --segments, --bins, --precision, --compile, --device"),
        ("load", {"compile": True}, "--compile is an option of `bench train`; `bench load` takes --sessions"),
    ],
)
def test_bench_with_an_option_of_another_benchmark_is_refused(what, options, message):
    with pytest.raises(ConfigError) as caught:
        run(what, print, options)
    assert message in str(caught.value)


def test_bench_command_with_an_option_of_another_benchmark_exits_2(capsys):
    with pytest.raises(SystemExit) as done:
        main(["bench", "evaluate", "--device", "cpu"])
    assert done.value.code == 2
    assert capsys.readouterr().err.startswith("raydistill: --device is an option of `bench train`")


def test_bench_help_names_the_benchmarks_that_take_each_option():
    text = {argument.name: argument.parameter.help for argument in parameters("bench")}
    for benchmark, options in OPTIONS.items():
        for option in options:
            assert benchmark in text[f"--{option}"].partition(":")[0]


def test_file_that_cannot_be_written_is_one_line_and_exits_2(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as done:
        main(["synth", str(Path(tmp_path / "file"))])
    assert done.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_next_steps_of_a_sweep_name_its_runs_folder_and_overrides():
    *_, numbers = next_steps(Path("s.yaml"), Path("my runs/sweeps/s"), "my runs", ["seeds=[0, 1]"])
    command = shlex.split(numbers.removeprefix("the numbers as JSON"))
    assert command == ["raydistill", "results", "s.yaml", "--json", "--runs", "my runs", "--set=seeds=[0, 1]"]
    _, bound, _ = app.parse_args(command[1:])
    assert bound.arguments["runs"] == "my runs" and bound.arguments["set_"] == ("seeds=[0, 1]",)


def test_surplus_arguments_are_named_and_exit_with_two(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["doctor", "one", "two"])
    assert stopped.value.code == 2 and capsys.readouterr().err == "raydistill: unexpected arguments: one two\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["gc", "--runs", "gs://lab/runs"],
        ["archive", "nothing.yaml", "--to", "s3://lab/archive"],
        ["report", "nothing.yaml", "--out", "s3://lab/page.html"],
        ["synth", "s3://lab/recordings"],
        ["export", "S", "--store", "nowhere", "--nwb", "s3://lab/S.nwb"],
        ["inspect", "S", "--store", "nowhere", "--out", "s3://lab/S.png"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_path_of_an_object_store_is_refused_where_a_local_folder_of_that_name_would_be_made(
    arguments, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as done:
        main(arguments)
    message = capsys.readouterr().err
    assert done.value.code == 2 and "it must be on a disk" in message and message.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["sweep", "search", "run", "ingest"])
@pytest.mark.parametrize("hours", ["nan", "inf", "0", "-1"])
def test_time_limit_without_time_is_refused_before_anything_starts(command, hours, capsys):
    store = ["--store", "nowhere"] if command == "ingest" else []
    with pytest.raises(SystemExit) as done:
        main([command, "nothing.yaml", *store, "--max-hours", hours])
    assert done.value.code == 2
    assert (
        capsys.readouterr().err == f'raydistill: Invalid value "{float(hours)}" for --max-hours. it must be above 0.\n'
    )
