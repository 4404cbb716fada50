"""The workflows that a fork gets: read here, and their commands tried in a clean clone."""

import itertools
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import ruff
import yaml

from tools import task
from tools.workbook import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
READ = {"contents": "read"}
RIGHTS = {  # of the only jobs that may change anything
    ("colab.yml", "publish"): {"contents": "write"},
    ("pages.yml", "publish"): READ | {"pages": "write", "id-token": "write"},
}
COMMAND = re.compile(r"python -m tools\.task ([\w-]+)((?: [\w-]+)*)")


def read(path: Path) -> dict:
    return yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)  # `on` stays a word


def _jobs():
    for path in WORKFLOWS:
        for name, job in read(path)["jobs"].items():
            yield pytest.param(path, name, job, id=f"{path.stem}-{name}")


JOBS = list(_jobs())


def commands(job: dict) -> list[str]:
    """Every `run` line of a job, once for each row of its matrix."""
    matrix = job.get("strategy", {}).get("matrix", {})
    axes = [[(name, value) for value in values] for name, values in matrix.items() if name != "include"]
    rows = [dict(row) for row in itertools.product(*axes)] if axes else matrix.get("include", [{}])
    lines = []
    for row, step in itertools.product(rows, job["steps"]):
        if "run" in step:
            lines.append(re.sub(r"\$\{\{ matrix\.(\w+) }}", lambda found, row=row: row[found[1]], step["run"]))
    return lines


def test_there_are_four():
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "colab.yml", "pages.yml", "weekly.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_starts_without_rights_and_is_not_run_twice_at_once(path):
    workflow = read(path)
    assert workflow["permissions"] == {} and workflow["concurrency"]["group"]
    assert "pull_request_target" not in workflow["on"]
    if path.name not in ("colab.yml", "pages.yml"):  # torch for a machine without a GPU, and no test left out
        assert workflow["env"]["UV_TORCH_BACKEND"] == "cpu" and workflow["env"]["FACESEG_NO_SKIPS"] == "1"


@pytest.mark.parametrize("path, name, job", JOBS)
def test_job_has_the_least_rights_and_ends(path, name, job):
    assert job["permissions"] == RIGHTS.get((path.name, name), READ)
    assert 0 < int(job["timeout-minutes"]) <= 60


@pytest.mark.parametrize("path, name, job", JOBS)
def test_actions_are_pinned_by_commit_with_the_version_beside(path, name, job):
    for step in job["steps"]:
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
            assert re.search(rf"{step['uses']} # v\d+\.\d+\.\d+\n", path.read_text(encoding="utf-8"))
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] == "false"


def test_an_action_has_one_pin_everywhere():
    text = "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    pins = set(re.findall(r"(actions/[\w-]+)@(\w+) # (\S+)", text))
    assert len(pins) == len({name for name, _, _ in pins}) == 6


@pytest.mark.parametrize("path, name, job", JOBS)
def test_every_step_is_a_command_of_the_task_runner(path, name, job):
    for line in commands(job):
        found = COMMAND.fullmatch(line)
        assert found and found[1] in task.TASKS, line


def test_ci_covers_what_it_promises():
    ci = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]
    rows = [(row["task"], row["python"]) for row in ci["linux"]["strategy"]["matrix"]["include"]]
    assert {python for name, python in rows if name == "unit"} == {"3.10", "3.11", "3.12", "3.13"}
    assert {name for name, _ in rows} == {"lint", "unit", "notebooks-test", "browser-test", "render-test"}
    assert ci["systems"]["strategy"]["matrix"]["system"] == ["macos-latest", "windows-latest"]
    assert commands(ci["systems"])[1:3] == ["python -m tools.task unit", "python -m tools.task notebooks-test 01 02"]
    versions = ci["versions"]
    assert versions["continue-on-error"] == "true" and "summary" in commands(versions)[-1]
    assert {row["resolution"] for row in versions["strategy"]["matrix"]["include"]} == {"highest", "lowest-direct"}
    assert [name for name, job in ci.items() if "continue-on-error" in job] == ["versions"]


def test_weekly_plays_every_list_of_versions():
    weekly = read(ROOT / ".github" / "workflows" / "weekly.yml")["jobs"]
    clouds = sorted(path.stem for path in (ROOT / "tools" / "rehearse").glob("*.txt"))
    assert weekly["clouds"]["strategy"]["matrix"]["cloud"] == clouds == ["colab", "kaggle"]


def test_the_page_that_is_published_is_the_demo():
    steps = read(ROOT / ".github" / "workflows" / "pages.yml")["jobs"]["publish"]["steps"]
    (folder,) = [step["with"]["path"] for step in steps if "pages-artifact" in step["uses"]]
    assert (ROOT / folder / "index.html").is_file()


def test_pre_commit_runs_what_the_lint_job_runs():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (hook,) = [hook for repo in config["repos"] for hook in repo["hooks"]]
    linux = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["linux"]
    assert hook["entry"] == "python -m tools.task lint" in commands(linux)
    assert (hook["language"], hook["pass_filenames"]) == ("system", False)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clean clone, and an environment that lends it the packages of this one, but not this checkout."""
    folder = tmp_path_factory.mktemp("fork")
    subprocess.run(["git", "clone", "-q", "--depth", "1", ROOT.as_uri(), folder / "course"], check=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    borrowed = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")})) / "borrowed.pth"
    borrowed.write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    shutil.copy(ruff.find_ruff_bin(), folder / "venv" / task.SCRIPTS.parent)  # a program, not a module
    settings = {"VENV": str(folder / "venv"), "CI": "true", "FACESEG_NO_SKIPS": "1", "OMP_NUM_THREADS": "1"}
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHONPATH"))}

    def run(*command):
        return subprocess.run([sys.executable, *command], cwd=folder / "course", env=environment | settings,
                              text=True, capture_output=True)  # fmt: skip

    ready = run("-c", "from tools import task; (task.VENV / '.ready').write_text(task.state())")
    assert ready.returncode == 0, ready.stderr
    return run


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the Linux steps")
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no git checkout")
@pytest.mark.parametrize("line", [
    "setup", "lint", "copies", "summary",
    "unit -q -n 0 -k named_packages", "notebooks-test 04 --collect-only -q", "browser-test --collect-only -q",
], ids=lambda line: line.split()[0])  # fmt: skip
def test_steps_run_in_a_clean_clone(clone, line):
    name, *options = line.split()
    steps = [step for path in WORKFLOWS for job in read(path)["jobs"].values() for step in commands(job)]
    assert name == "copies" or any(f"tools.task {name}" in step for step in steps)
    done = clone("-m", "tools.task", name, *options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    if "collect-only" in line:
        assert re.search(r"\d+ tests? collected|\d+/\d+ tests collected|: \d+$", done.stdout, re.MULTILINE)
