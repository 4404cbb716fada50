"""The task runner: the same commands with and without make, on every system."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools import task
from tools.workbook import ROOT

# What a learner's machine runs, Windows included.
LINUX = {"bench_memory.py"}  # reads /proc
RUN_BY_LEARNERS = [path for folder in ("tools", "faceseg_utils") for path in sorted((ROOT / folder).rglob("*.py"))
                   if path.name not in LINUX]  # fmt: skip
POSIX = {"signal", "fcntl", "resource", "pwd", "pty"}


def ask(*command, **variables):
    return subprocess.run([sys.executable, "-m", "tools.task", *command], cwd=ROOT, env=os.environ | variables,
                          text=True, capture_output=True)  # fmt: skip


def test_make_has_the_same_commands():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", "")
    targets = re.search(r"^TASKS = (.*)$", makefile, re.MULTILINE)[1].split()
    assert sorted([*targets, "help"]) == sorted(task.TASKS)


def test_commands_of_the_first_makefile_are_all_there():
    names = "setup run lab test unit notebooks-test browser-test render-test lint data render renderer lock links clean"
    assert set(names.split()) <= set(task.TASKS)


def test_help_lists_every_command_with_one_line():
    shown = ask("help", MAKE="").stdout
    for name, function in task.TASKS.items():
        assert re.search(rf"^  python -m tools\.task {name} +\S", shown, re.MULTILINE)
        assert "\n" not in function.__doc__
    assert "\n  make unit " in ask("help", MAKE="/usr/bin/make").stdout


def test_unknown_command_is_refused_in_one_line():
    done = ask("nonsense")
    assert done.returncode == 1 and done.stderr.startswith("unknown command 'nonsense'; known are browser-test, ")


def test_runs_before_anything_is_installed():
    """-S -s: no site-packages at all."""
    for name in ("task", "copies", "colab_branch", "urls", "weight"):
        done = subprocess.run([sys.executable, "-S", "-s", "-c", f"import tools.{name}"], cwd=ROOT, capture_output=True)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of three files, whose environment is only pretended; `calls` holds what would have been run."""
    (tmp_path / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    lines = ["# how", "cuda-toolkit==13.3", "numpy==2.1", "nvidia-cublas==13.1 ; sys_platform == 'linux'",
             "torch==2.15", "triton==3.9"]  # fmt: skip
    (tmp_path / "requirements.lock").write_text("\n".join(lines) + "\n", encoding="utf-8")
    venv = tmp_path / "venv"
    venv.mkdir()
    for name, value in {"ROOT": tmp_path, "VENV": venv, "PYTHON": venv / task.SCRIPTS, "RESOLUTION": "lock"}.items():
        monkeypatch.setattr(task, name, value)
    monkeypatch.delenv("UV_TORCH_BACKEND", raising=False)
    monkeypatch.setattr(task, "calls", [], raising=False)
    monkeypatch.setattr(task, "call", lambda *command, **_: task.calls.append([str(part) for part in command]))
    return tmp_path


def test_setup_installs_the_lock_once_and_again_when_it_changes(course):
    task.setup()
    assert [command[1:4] for command in task.calls] == [["-m", "venv", str(task.VENV)], ["-m", "pip", "install"],
                                                        ["-m", "uv", "pip"]]  # fmt: skip
    assert task.calls[2][-4:] == ["-r", str(course / "requirements.lock"), "-e", "."]
    task.setup()
    assert len(task.calls) == 3
    (course / "requirements.lock").write_text("numpy==2.2\n", encoding="utf-8")
    task.setup()
    assert len(task.calls) == 6


def test_setup_that_was_cut_off_starts_again(course, monkeypatch):
    monkeypatch.setattr(task, "call", lambda *command, **_: sys.exit(1) if "uv" in command[2:] else None)
    with pytest.raises(SystemExit):
        task.setup()
    assert not (task.VENV / ".ready").exists()


def test_setup_of_other_versions_leaves_the_lock_aside(course, monkeypatch):
    monkeypatch.setattr(task, "RESOLUTION", "lowest-direct")
    task.setup()
    assert task.calls[2][-5:] == ["--resolution", "lowest-direct", "--upgrade", "-e", ".[export,notebooks,test]"]


def test_cpu_build_of_torch_comes_without_cuda(course, monkeypatch):
    monkeypatch.setenv("UV_TORCH_BACKEND", "cpu")
    assert task.lock_file().read_text(encoding="utf-8") == "# how\nnumpy==2.1\ntorch==2.15\n"


def test_lock_of_the_course_without_cuda_keeps_everything_else():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    dropped = {line.split("==")[0] for line in lines if line.startswith(task.CUDA)}
    assert dropped and all(name == "triton" or name.startswith(("nvidia-", "cuda-")) for name in dropped)


def test_failing_command_passes_its_exit_code_on():
    with pytest.raises(SystemExit) as stop:
        task.call(sys.executable, "-c", "raise SystemExit(7)")
    assert stop.value.code == 7


def test_a_relative_data_folder_means_the_reader_s_own(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setitem(task.TASKS, "look", lambda *_: seen.update(os.environ))
    monkeypatch.setenv("FACESEG_DATA_DIR", "photos")
    monkeypatch.chdir(tmp_path)
    task.main(["look"])
    assert seen["FACESEG_DATA_DIR"] == str(tmp_path / "photos") and seen["NO_ALBUMENTATIONS_UPDATE"] == "1"


def test_notebooks_can_be_chosen_and_03_begins(monkeypatch):
    calls = []
    monkeypatch.setattr(task, "setup", lambda: None)
    monkeypatch.setattr(task, "PYTHON", sys.executable)
    monkeypatch.setattr(task, "call", lambda *command, **variables: calls.append(([*map(str, command)], variables)))
    task.notebooks_test()
    names = [Path(part).stem for part in calls[0][0] if part.endswith(".ipynb")]
    assert names == ["03_training", *(p.stem for p in sorted((ROOT / "notebooks").glob("0[!3]*.ipynb")))]
    assert calls[0][1]["OMP_NUM_THREADS"] and calls[0][1]["FACESEG_PROFILE"]
    task.notebooks_test("01", "02", "--collect-only")
    assert [Path(p).stem[:2] for p in calls[2][0] if p.endswith(".ipynb")] == ["01", "02"]
    assert calls[3][0][-3:] == ["-k", "01_data_exploration or 02_unet_architecture", "--collect-only"]


@pytest.mark.parametrize("path", RUN_BY_LEARNERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_in_it_is_for_one_system_only(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    faults = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = {getattr(node, "module", None), *(name.name for name in node.names)}
            faults += [f"{node.lineno}: imports {name}" for name in names & POSIX]
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        keywords = {keyword.arg for keyword in node.keywords}
        if name in {"symlink", "symlink_to", "fork", "killpg", "mkfifo"} or "shell" in keywords:
            faults.append(f"{node.lineno}: {name}")
        if _opens_text(node) and "encoding" not in keywords:
            faults.append(f"{node.lineno}: {name} without encoding")
    assert not faults, faults


def _opens_text(call: ast.Call) -> bool:
    """open(...) but not in binary mode; path.read_text(...), path.write_text(...) but not the package's own."""
    if isinstance(call.func, ast.Name):
        modes = [part.value for part in call.args[1:2] if isinstance(part, ast.Constant)]
        return call.func.id == "open" and not any("b" in mode for mode in modes)
    owner = getattr(getattr(call.func, "value", None), "id", "")
    return isinstance(call.func, ast.Attribute) and call.func.attr in {"read_text", "write_text"} and owner != "paths"
