"""All notebooks as Colab or Kaggle would run them: `python -m tools.rehearse colab|kaggle [notebook ...]`.

tools/rehearse/NAME.txt lists the versions that the cloud publishes, with date and source. An environment of exactly
these is made in build/rehearse-NAME; then each notebook runs in a folder of its own, as on a new machine: its set-up
cell clones the repository, here from this checkout (what is committed of it) instead of GitHub, and installs what is
missing. Prints the minutes of each, and fails if a cell fails or a version of the cloud was replaced.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat

from tools import colab, links, run_notebooks, workbook

LISTS = Path(__file__).with_suffix("")
LONGEST = 5  # minutes that a notebook may take
SCRIPTS = "Scripts/python.exe" if os.name == "nt" else "bin/python"


def environment(cloud: str, python: str = "") -> Path:
    """The interpreter of a new environment with the cloud's versions and nothing of ours."""
    versions = LISTS / f"{cloud}.txt"
    python = python or re.search(r"^# python: (\S+)", versions.read_text(encoding="utf-8"))[1]
    folder = run_notebooks.BUILD / f"rehearse-{cloud}"
    interpreter = folder / SCRIPTS
    for command in (["venv", "--quiet", "--clear", "--python", python, folder],
                    ["pip", "install", "--quiet", "--python", interpreter, "-r", versions]):  # fmt: skip
        subprocess.run([sys.executable, "-m", "uv", *command], check=True)
    return interpreter


def kept(interpreter: Path) -> str:
    """The versions, in that environment, of what a cloud's machine must keep."""
    code = "from importlib.metadata import version; import sys; print([f'{n} {version(n)}' for n in sys.argv[1:]])"
    return subprocess.run([interpreter, "-c", code, *colab.KEEP], check=True, capture_output=True, text=True).stdout


def kernel(interpreter: Path, folder: Path) -> None:
    """Describe a kernel named `cloud` in `folder`: that interpreter, and git sent to this checkout."""
    variables = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.{workbook.ROOT.as_uri()}.insteadOf",
                 "GIT_CONFIG_VALUE_0": links.address(), "FACESEG_PROFILE": "quick", "PYTHONPATH": "",
                 "NO_ALBUMENTATIONS_UPDATE": "1"}  # fmt: skip
    command = [str(interpreter), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    place = folder / "kernels" / "cloud"
    place.mkdir(parents=True)
    spec = {"argv": command, "display_name": "cloud", "language": "python", "env": variables}
    (place / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")


def play(path: Path, folder: Path) -> float:
    """Run one notebook in `folder`, an empty one outside of the course. Returns the minutes."""
    start = time.perf_counter()
    notebook = nbformat.read(path, as_version=4)
    run_notebooks.execute(notebook, path.stem, kernel="cloud", folder=folder)
    return (time.perf_counter() - start) / 60


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.rehearse", description="Run the notebooks as on a cloud.")
    parser.add_argument("cloud", choices=sorted(path.stem for path in LISTS.glob("*.txt")))
    parser.add_argument("notebook", nargs="*", help="names or parts of names, e.g. 03; all if none is given")
    parser.add_argument("--python", default="", help="another interpreter than the list's (path or version)")
    parser.add_argument("--only-environment", action="store_true", help="make the environment and stop")
    options = parser.parse_args(argv)
    interpreter = environment(options.cloud, options.python)
    before = kept(interpreter)
    print(f"{options.cloud}: {before.strip()}", flush=True)
    if options.only_environment:
        return 0
    os.environ.pop("FACESEG_DATA_DIR", None)  # a new machine has no photos but those in the repository
    paths = [path for path in workbook.notebooks()
             if not options.notebook or any(name in path.stem for name in options.notebook)]  # fmt: skip
    failed = False
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        kernel(interpreter, Path(place))
        os.environ["JUPYTER_PATH"] = place
        for path in paths:
            content = Path(place, path.stem)
            content.mkdir()
            try:
                minutes = play(path, content)
            except run_notebooks.CellFailed as failure:
                failed = True
                print(f"{path.stem:28s}  FAILED\n\n{failure}\n", flush=True)
            else:
                slow = f"   longer than {LONGEST} minutes" if minutes > LONGEST else ""
                print(f"{path.stem:28s}{minutes:6.1f} min{slow}", flush=True)
    if (after := kept(interpreter)) != before:
        print(f"the set-up cell replaced versions of the cloud:\n  {before}  {after}")
        failed = True
    return int(failed)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
