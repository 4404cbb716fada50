"""`python -m experiments`: what it prints, its exit codes, and errors of one line. The modules import one way."""

import ast
import runpy
import sys
from graphlib import TopologicalSorter

import pytest

from experiments import command
from faceseg_utils.paths import course_root, experiments_folder

from .test_experiment import CONFIG, edit_json, write_run

RUNS = len(list((experiments_folder() / "runs").glob("*/summary.json")))
MODULES = {
    ".".join(path.relative_to(course_root()).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
    for path in experiments_folder().rglob("*.py")
}


@pytest.fixture
def experiments(monkeypatch, capsys):
    """`experiments(...)` runs `python -m experiments ...` and returns exit code, output and errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["experiments", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module("experiments", run_name="__main__")
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return run


def test_the_log_of_record_is_printed_best_run_first(experiments):
    code, out, err = experiments()
    lines = out.splitlines()
    assert code == 0 and not err and lines[2].startswith("picsart-lite0-record-s0 ") and len(lines) == RUNS + 2


def test_a_log_is_checked_and_the_exit_code_says_how_it_went(experiments, tmp_path):
    write_run(tmp_path / "made-up-s0", CONFIG)
    assert experiments("--check", tmp_path) == (0, "1 run, complete and consistent\n", "")
    write_run(tmp_path / "made-up-s1", CONFIG | {"seed": 1}, old=True)
    assert experiments("--check", tmp_path) == (0, "2 runs, complete and consistent\n", "")
    edit_json(tmp_path / "made-up-s1" / "summary.json", minutes=9)
    code, out, err = experiments("--check", tmp_path)
    assert code == 1 and out == "made-up-s1: metrics.csv adds up to 3.00 min, summary.json 9\n" and not err


def test_the_log_of_record_and_its_models_pass_the_check(experiments):
    assert experiments("--check") == (0, f"{RUNS} runs, complete and consistent\n", "")


@pytest.mark.parametrize("options", [(), ("--check",)])
def test_a_folder_that_does_not_exist_is_one_line(experiments, tmp_path, options):
    code, out, err = experiments(*options, tmp_path / "nope")
    assert code == 1 and not out and err == f"error: {tmp_path / 'nope'}: no such folder\n"


@pytest.mark.parametrize("options", [(), ("--check",)])
@pytest.mark.parametrize(
    ("name", "content"),
    [("config.json", "[]"), ("summary.json", "[]"), ("summary.json", "null"), ("val_scores.csv", "name\na\n")],
)
def test_a_damaged_file_is_named_in_one_line(experiments, tmp_path, options, name, content):
    write_run(tmp_path / "made-up-s0", CONFIG)
    (tmp_path / "made-up-s0" / name).write_text(content)
    code, out, err = experiments(*options, tmp_path)
    assert code == 1 and f"made-up-s0/{name}: cannot be read" in (out + err).replace("\\", "/")
    assert (out + err).count("\n") == 1


def test_publishing_names_what_is_wrong_in_one_line(experiments, tmp_path):
    write_run(tmp_path / "made-up-s0", CONFIG)
    for run, name, message in (
        (tmp_path / "made-up-s0", "../evil", "'../evil' cannot name a model"),
        (tmp_path / "nope", "nope-s0", "nope: config.json is missing"),
        (tmp_path / "made-up-s0", "made-up-s0", "no model here"),
    ):
        code, out, err = experiments("publish", run, name)
        assert code == 1 and not out and message in err and err.startswith("error: ") and err.count("\n") == 1


@pytest.mark.parametrize("error", [ValueError, FloatingPointError, RuntimeError, FileNotFoundError])
def test_a_failure_becomes_one_line(capsys, error):
    def main(arguments):
        raise error("first\nsecond")

    with pytest.raises(SystemExit, match="1"):
        command.run(main)
    assert capsys.readouterr().err == "error: first second\n"


def test_the_modules_import_each_other_one_way_and_at_the_top():
    graph = {}
    for name, tree in MODULES.items():
        nodes = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
        if name != "experiments.peers.predict":  # runs in the peers' environment
            assert all(node in tree.body for node in nodes), f"{name} imports inside a function"
        wanted = {f"{node.module}.{a.name}" for node in nodes if isinstance(node, ast.ImportFrom) for a in node.names}
        wanted |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
        graph[name] = wanted & MODULES.keys()
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError for a circle
