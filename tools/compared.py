"""Which outputs nbval compares in CI: `python -m tools.compared 03` tags them; without a notebook, it counts them.

A notebook is executed twice, in fresh kernels and under conditions as different as one machine allows: number of
threads, instruction sets (another CPU), time zone, hash seed, folder, with and without other datasets. A cell
that prints text or shows a table, and twice printed what is committed, is tagged `nbval-check-output`; every other
cell loses that tag. A cell tagged `nbval-ignore-output` is left out on purpose. What tests/notebooks/sanitize.cfg
replaces may vary; figures are not compared.

Training differs in the last digits from machine to machine, and the last digits decide what is trained next: no number
behind a training is the same everywhere, unless it is rounded far enough. Notebooks that build on each other's runs
belong into one call, in their order: `python -m tools.compared 03 05`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

import nbformat

from tools import task, workbook

TAG, LEFT_OUT = "nbval-check-output", "nbval-ignore-output"
CONDITIONS = [
    {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "TZ": "UTC", "FACESEG_DATA_DIR": ""},
    {
        "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONHASHSEED": "1", "TZ": "Pacific/Auckland",
        "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
    },
]  # fmt: skip


class Failed(Exception):
    """A cell raised; the message is that of nbval."""


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The cells as nbval numbers them."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shows_text(cell: nbformat.NotebookNode) -> bool:
    """Does a code cell print text or show a table? A figure and the text in its place do not count."""
    for output in cell.get("outputs", []):
        kinds = set(output.get("data", {}))
        picture = any(kind.startswith("image/") for kind in kinds)
        if kinds & {"text/markdown", "text/html"} or ("text/plain" in kinds and not picture):
            return True
        if output.get("name") == "stdout" and output.text.strip():
            return True
    return False


def is_tagged(cell: nbformat.NotebookNode, tag: str = TAG) -> bool:
    return tag in cell.metadata.get("tags", [])


def tag_cells(notebook: nbformat.NotebookNode, same: set[int]) -> None:
    """Tag the code cells that show text and are among `same`, their numbers; remove the tag from all others."""
    for number, cell in enumerate(code_cells(notebook)):
        tags = [tag for tag in cell.metadata.get("tags", []) if tag != TAG]
        if number in same and shows_text(cell) and LEFT_OUT not in tags:
            tags.append(TAG)
        cell.metadata.pop("tags", None)
        if tags:
            cell.metadata["tags"] = tags


def count(notebook: nbformat.NotebookNode) -> tuple[int, int]:
    """(cells that are compared, code cells that show text)."""
    shown = [cell for cell in code_cells(notebook) if shows_text(cell)]
    return sum(map(is_tagged, shown)), len(shown)


def copy_course(target: Path) -> Path:
    """The files that git knows or would take, as they are now: nothing that an earlier run has left."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=workbook.ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, names.split("\0")):
        if (workbook.ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(workbook.ROOT / name, target / name)
    return target


def same_as_committed(path: Path, course: Path, variables: dict[str, str]) -> set[int]:
    """Run a notebook of a course as CI does, all outputs compared: the numbers of the code cells where they agree.

    Raises:
        Failed: a cell raises, takes too long or loses its kernel.
    """
    report = course / "compared.xml"
    options = [option for option in task.NBVAL if option != "--nbval-lax"]
    command = [sys.executable, "-m", "pytest", *options, "--nbval", f"--junitxml={report}", str(path)]
    environment = {**os.environ, "FACESEG_PROFILE": "quick", "NO_ALBUMENTATIONS_UPDATE": "1", **variables}
    done = subprocess.run(command, cwd=course, env=environment, capture_output=True, text=True)
    same = set()
    for case in ElementTree.parse(report).iter("testcase") if report.is_file() else []:
        faults = [part for part in case if part.tag in ("failure", "error", "skipped")]
        if not faults:
            same.add(int(case.get("name").split()[1]))
        elif "Cell outputs differ" not in (faults[0].text or ""):
            raise Failed(faults[0].text or faults[0].get("message"))
    if done.returncode not in (0, 1) or not report.is_file():
        raise Failed(f"{done.stdout}\n{done.stderr}")
    report.unlink()
    return same


def compare(paths: list[Path], conditions: list[dict] = CONDITIONS) -> dict[Path, set[int]]:
    """For each notebook the numbers of the code cells that print what is committed under all conditions."""
    same = {}
    for number, variables in enumerate(conditions):
        with tempfile.TemporaryDirectory(prefix=f"condition-{number}-") as place:
            course = copy_course(Path(place) / f"course{number}")
            for path in paths:
                found = same_as_committed(course / path.relative_to(workbook.ROOT), course, variables)
                same[path] = same.get(path, found) & found
                print(f"{path.stem}, conditions {number + 1}: {len(found)} cells as committed", flush=True)
    return same


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.compared", description=__doc__.splitlines()[0])
    parser.add_argument("notebook", nargs="*", help="names or parts of names, e.g. 03")
    wanted = parser.parse_args(argv).notebook
    found = workbook.notebooks()
    paths = [path for path in found if any(Path(name).stem in path.stem for name in wanted)]
    before = {path: path.read_bytes() for path in paths}
    try:
        same = compare(paths) if paths else {}
    except Failed as failure:
        print(failure, file=sys.stderr)
        return 1
    for path in paths:
        if path.read_bytes() != before[path]:
            print(f"{path.name} was changed meanwhile: run this again", file=sys.stderr)
            return 1
        notebook = nbformat.read(path, as_version=4)
        tag_cells(notebook, same[path])
        nbformat.write(notebook, path)
    for path in found:
        compared, shown = count(nbformat.read(path, as_version=4))
        print(f"{path.stem:28s}{compared:3d} of {shown} code cells that show text are compared")
    return 0


if __name__ == "__main__":
    sys.exit(main())
