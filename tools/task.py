"""Every command of the workbook, on every system: `python -m tools.task COMMAND` (`make COMMAND` calls the same).

Only the standard library, because these commands also install the rest: into .venv, with the versions of
requirements.lock. Settings are environment variables: VENV (another folder than .venv), RESOLUTION (`highest` or
`lowest-direct`: install what pyproject.toml allows instead of the lock, into build/venv-RESOLUTION),
UV_TORCH_BACKEND=cpu (the small build of torch), FACESEG_NO_SKIPS=1 (a missing browser, renderer or dataset is a
failure), and those of the package, such as FACESEG_DATA_DIR.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
RESOLUTION = os.environ.get("RESOLUTION") or "lock"
SCRIPTS = Path("Scripts", "python.exe") if os.name == "nt" else Path("bin", "python")
VENV = ROOT / (os.environ.get("VENV") or (".venv" if RESOLUTION == "lock" else f"build/venv-{RESOLUTION}"))
PYTHON = VENV / SCRIPTS
RENDERER = BUILD / "render-venv"
CUDA = ("cuda-", "nvidia-", "triton")  # what only the large build of torch needs
LAB = ["--ServerApp.root_dir=.", "--LabApp.default_url=/lab/tree/work"]
# Runs every cell; compares the output of those tagged nbval-check-output (`python -m tools.compared`).
NBVAL = ["-p", "tools.nbval_kernels", "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=600",
         "--nbval-sanitize-with=tests/notebooks/sanitize.cfg"]  # fmt: skip
TASKS = {}


def task(function):
    """Make a function a command: named after it, with dashes; its docstring is the line that `help` prints."""
    TASKS[function.__name__.replace("_", "-")] = function
    return function


def call(*command, **variables) -> None:
    """Run a program in the course's folder; if it fails, stop with its exit code."""
    process = subprocess.Popen([str(part) for part in command], cwd=ROOT, env={**os.environ, **variables})
    code = None
    while code is None:
        try:
            code = process.wait()
        except KeyboardInterrupt:  # the child got it as well, and may ask before it stops
            continue
    if code:
        sys.exit(code)


def module(name: str, *options, **variables) -> None:
    """Run a module with the Python of the environment, which is installed first if it is not there."""
    setup()
    call(PYTHON, "-m", name, *options, **variables)


def pytest(*options, **variables) -> None:
    """Run tests. Warnings are errors with the locked versions alone: old and new ones warn of each other."""
    module("pytest", *([] if RESOLUTION == "lock" else ["-W", "default"]), *options, **variables)


def no_skips() -> bool:
    return os.environ.get("FACESEG_NO_SKIPS") == "1"


@task
def help(*_) -> None:
    """list the commands"""
    make = Path(os.environ.get("MAKE", "")).name == "make"
    for name, function in sorted(TASKS.items()):
        print(f"  {'make' if make else 'python -m tools.task'} {name:16s} {function.__doc__}")
    print("\nSettings: FACESEG_DATA_DIR=folder of picsart/ and fasseg/   FACESEG_DATASET=sample|picsart|fasseg")
    print("          FACESEG_PROFILE=quick|full   UV_TORCH_BACKEND=cpu (a small torch)   VENV=.venv")


@task
def setup(*_) -> None:
    """install everything into .venv (once; about two minutes)"""
    stamp, wanted = VENV / ".ready", state()
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    if sys.version_info < (3, 10):  # noqa: UP036  (an older Python can start this file, and should say so)
        sys.exit(f"Python 3.10 to 3.13 is needed, this is {sys.version.split()[0]}: call a newer one by its name")
    if Path(sys.prefix) != VENV:  # a Python cannot make the environment that it runs in
        call(sys.executable, "-m", "venv", VENV)
    call(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv")
    packages = ["-r", lock_file(), "-e", "."]
    if RESOLUTION != "lock":
        packages = ["--resolution", RESOLUTION, "--upgrade", "-e", ".[export,notebooks,test]"]
    call(PYTHON, "-m", "uv", "pip", "install", "--quiet", "--python", PYTHON, *packages)
    stamp.write_text(wanted, encoding="utf-8")  # last: the environment is whole


def state() -> str:
    """What the environment is made from, as its stamp says: when this changes, it is installed anew."""
    files = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "requirements.lock")]
    return f"{RESOLUTION} {hashlib.sha256(b''.join(files)).hexdigest()}"


def lock_file() -> Path:
    """requirements.lock, without the CUDA libraries when the CPU build of torch is asked for."""
    lock = ROOT / "requirements.lock"
    if os.environ.get("UV_TORCH_BACKEND") != "cpu":
        return lock
    lines = lock.read_text(encoding="utf-8").splitlines(keepends=True)
    small = VENV / "requirements-cpu.txt"
    small.write_text("".join(line for line in lines if not line.startswith(CUDA)), encoding="utf-8")
    return small


@task
def run(*options) -> None:
    """execute all notebooks in order; executed copies and HTML pages go to build/"""
    module("tools.run_notebooks", *options)


@task
def copies(*options) -> None:
    """copy the notebooks without outputs into work/ (--new: a changed one beside your copy)"""
    call(sys.executable, "-m", "tools.copies", *options)


@task
def lab(*options) -> None:
    """open your copies of the notebooks, in work/, in JupyterLab"""
    copies(*[option for option in options if option == "--new"])
    module("jupyterlab", *LAB, *[option for option in options if option != "--new"])


@task
def test(*_) -> None:
    """all tests: units, notebooks and exercises, widgets, renderer"""
    for part in (unit, notebooks_test, browser_test, render_test):
        part()


@task
def unit(*options) -> None:
    """the unit tests, and those of the tools (options go to pytest)"""
    # One torch thread for each of the two workers: more only get in each other's way.
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    pytest("-n", 2, "tests/unit", "tests/tools", *options, OMP_NUM_THREADS=threads)


@task
def notebooks_test(*options) -> None:
    """the notebooks and their exercises (01 02: these alone)"""
    # Two checks: as committed (nbval), then form and exercises, solved and unsolved. `loadscope` keeps the cells of
    # one notebook on one worker and in order; 03 trains longest and begins.
    names = [option for option in options if re.fullmatch(r"0\d\w*", option)]
    options = [option for option in options if option not in names]
    found = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"), key=lambda path: ("03" not in path.name, path.name))
    found = [path for path in found if not names or path.name.startswith(tuple(names))]
    settings = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
                "FACESEG_PROFILE": os.environ.get("FACESEG_PROFILE", "quick")}  # fmt: skip
    setup()
    missing = not found or subprocess.run([PYTHON, "-m", "tools.workbook"], cwd=ROOT).returncode
    if missing and no_skips():
        sys.exit("the notebooks cannot run, see above, and FACESEG_NO_SKIPS=1 allows no skip")
    if missing:
        print("nbval skipped: no notebook, or no data, see above")
    else:
        pytest(*NBVAL, "-n", 2, "--dist", "loadscope", "--no-loadscope-reorder", *found, *options, **settings)
    chosen = ["-k", " or ".join(path.stem for path in found)] if names else []
    pytest("-n", 2, "--dist", "worksteal", "tests/notebooks", *chosen, *options, **settings)


@task
def browser_test(*options) -> None:
    """the widgets in a headless Chromium; screenshots in build/browser"""
    # After the notebooks: 05 takes the network that 03 has left.
    pytest("-s", "-rs", "tests/browser", *options)


@task
def render_test(*options) -> None:
    """the generator of data/sample"""
    installed = str(RENDERER / SCRIPTS) if (RENDERER / ".ready").is_file() else ""
    chosen = os.environ.get("FACESEG_RENDER_PYTHON") or installed
    pytest("-rs", "tests/render", *options, FACESEG_RENDER_PYTHON=chosen)


@task
def lint(*_) -> None:
    """ruff, the links made from pyproject.toml, the weight of the notebooks"""
    module("ruff", "check", ".")
    module("tools.links", "--check")
    module("tools.weight")


@task
def data(*_) -> None:
    """fetch the PicsArt portraits (about 60 MB)"""
    module("faceseg_utils", "data", "picsart")


@task
def links(*_) -> None:
    """after a change of the repository's address in pyproject.toml: rewrite all links"""
    module("tools.links")


@task
def urls(*_) -> None:
    """ask every external address in the texts whether it still answers (needs the network)"""
    call(sys.executable, "-m", "tools.urls")


@task
def lock(*_) -> None:
    """after a change of the dependencies in pyproject.toml: resolve requirements.lock anew"""
    if not PYTHON.is_file():  # an environment of the old lock is good enough, and may be all that can be had
        setup()
    call(PYTHON, "-m", "uv", "pip", "compile", "pyproject.toml", "--all-extras", "--universal",
         "--python-version", "3.10", "--upgrade", "--quiet", "--no-annotate", "--no-emit-index-url",
         "--custom-compile-command", "make lock", "-o", "requirements.lock")  # fmt: skip


@task
def rehearse(*options) -> None:
    """all notebooks with a cloud's published versions: rehearse colab, rehearse kaggle"""
    module("tools.rehearse", *options)


@task
def renderer(*_) -> None:
    """install what the generator of data/sample needs (about 1 GB) into build/render-venv"""
    # Blender as a module needs Python 3.11, hence an environment of its own; why --no-deps, its requirements file says.
    needs = ROOT / "data" / "render" / "requirements.txt"
    stamp, wanted = RENDERER / ".ready", needs.read_text(encoding="utf-8")
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    module("uv", "venv", "--quiet", "--clear", "--python", "3.11", RENDERER)
    module("uv", "pip", "install", "--quiet", "--python", RENDERER / SCRIPTS, "--no-deps", "-r", needs)
    stamp.write_text(wanted, encoding="utf-8")


@task
def render(*options) -> None:
    """make the rendered portraits of data/sample anew (hours)"""
    renderer()
    call(RENDERER / SCRIPTS, "-m", "data.render", *options)


@task
def colab_branch(*options) -> None:
    """push the notebooks without outputs to the branch that the Colab badges open (a workflow does it)"""
    call(sys.executable, "-m", "tools.colab_branch", *options)


@task
def summary(*_) -> None:
    """for workflows: write the tested versions, and how the job in STATUS ended, to its summary page"""
    freeze = [PYTHON, "-m", "uv", "pip", "freeze", "--quiet", "--python", PYTHON]
    versions = subprocess.run(freeze, cwd=ROOT, capture_output=True, text=True).stdout
    status, python = os.environ.get("STATUS", "unknown"), sys.version.split()[0]
    line = f"Python {python} on {sys.platform}, {RESOLUTION} versions: {status}"
    if status != "success":
        print(f"::warning title={RESOLUTION} versions::{line}")
    with open(os.environ.get("GITHUB_STEP_SUMMARY", os.devnull), "a", encoding="utf-8") as page:
        page.write(f"### {line}\n\n<details><summary>versions</summary>\n\n```\n{versions}```\n\n</details>\n")
    print(line)


@task
def clean(*_) -> None:
    """remove build/: pages, runs, the renderer (not .venv, not data, not work)"""
    shutil.rmtree(BUILD, ignore_errors=True)


def main(argv: list[str]) -> None:
    name, *options = argv or ["help"]
    if name not in TASKS:
        sys.exit(f"unknown command {name!r}; known are {', '.join(sorted(TASKS))}")
    if folder := os.environ.get("FACESEG_DATA_DIR"):  # notebooks run in notebooks/, where a relative folder would move
        os.environ["FACESEG_DATA_DIR"] = os.path.abspath(os.path.expanduser(folder))
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it looks for updates online
    os.environ.setdefault("PYTHONIOENCODING", "utf-8")  # a Windows console may know no middle dot
    TASKS[name](*options)


if __name__ == "__main__":
    main(sys.argv[1:])
