"""Execute the notebooks in order: `python -m tools.run_notebooks [--in-place] [notebook ...]`, or `make run`.

Executed copies and HTML pages go to build/; a line for each notebook says the minutes and the final Dice. The
first failing cell ends the run with its notebook, number, source and error. With `--in-place` the notebooks
themselves are written back, cleaned for a commit.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter

from tools import workbook

BUILD = workbook.ROOT / "build"
WIDGET = "application/vnd.jupyter.widget-view+json"
FINAL_DICE = re.compile(r"^final Dice:\s*(\S+)", re.MULTILINE)


class CellFailed(Exception):
    """A cell did not run to its end; the message says which one and why."""


def execute(
    notebook: nbformat.NotebookNode, name: str, timeout: int = 3600,
    kernel: str = "python3", folder: Path = workbook.NOTEBOOKS,
) -> nbformat.NotebookNode:  # fmt: skip
    """Run all cells of `notebook` in a fresh kernel that works in `folder`, and fill in the outputs.

    Raises:
        CellFailed: at the first cell that raises, passes `timeout` seconds or loses its kernel.
    """
    running = [0]
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name=kernel,
        record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # ipykernel warns of its own defaults
        resources={"metadata": {"path": str(folder)}},
        on_cell_start=lambda cell, cell_index: running.__setitem__(0, cell_index),
    )
    try:
        return client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise CellFailed(_report(notebook, name, running[0], error, timeout)) from None


def _report(notebook: nbformat.NotebookNode, name: str, index: int, error: Exception, timeout: int) -> str:
    if isinstance(error, CellTimeoutError):
        reason = f"it ran longer than {timeout} s"
    elif isinstance(error, DeadKernelError):
        reason = "the kernel died: out of memory? Close other programs or take the quick profile"
    else:
        reason = f"{error.ename}: {error.evalue}"
    lines = notebook.cells[index].source.splitlines()
    shown = "\n".join(f"    {line}" for line in lines[:6]) + ("\n    ..." if len(lines) > 6 else "")
    return f"{name}: cell {index + 1} of {len(notebook.cells)} failed\n{shown}\n  {reason}"


def final_dice(notebook: nbformat.NotebookNode) -> str:
    """What the last line `final Dice: ...` in the outputs says, '-' if there is none."""
    found = [match for cell in notebook.cells if cell.cell_type == "code"
             for match in FINAL_DICE.findall(workbook.text_output(cell))]  # fmt: skip
    return found[-1] if found else "-"


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Remove what must not be committed: widget state (GitHub refuses to show it), times, kernel names, bars."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata.language_info = {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":  # a widget without its state shows an error: its static figure stays
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    return without_bars(notebook)


def without_bars(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Leave of stderr what stays on a screen: a progress bar returns to the start of its line and overwrites itself."""
    for cell in notebook.cells:
        outputs = []
        for output in cell.get("outputs", []):
            piece = output.get("name") == "stderr"
            if piece and outputs and outputs[-1].get("name") == "stderr":
                outputs[-1].text += output.text
            else:
                outputs.append(output)
        for output in outputs:
            if output.get("name") == "stderr":
                output.text = "\n".join(line.rsplit("\r", 1)[-1] for line in output.text.split("\n"))
        if outputs:
            cell.outputs = [output for output in outputs if output.get("text") != ""]
    return notebook


def run(path: Path, in_place: bool) -> tuple[float, str]:
    """Execute one notebook and write what came out, also when a cell fails. Gives minutes and final Dice."""
    notebook = nbformat.read(path, as_version=4)
    start = time.perf_counter()
    try:
        execute(notebook, path.stem)
        if in_place:
            nbformat.write(clean(notebook), path)
    finally:
        if not in_place:
            nbformat.write(without_bars(notebook), BUILD / path.name)
            page, _ = HTMLExporter().from_notebook_node(notebook)
            (BUILD / f"{path.stem}.html").write_text(page, encoding="utf-8")
    return (time.perf_counter() - start) / 60, final_dice(notebook)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.run_notebooks", description="Run the notebooks.")
    parser.add_argument("notebook", nargs="*", help="names or parts of names, e.g. 03; all if none is given")
    parser.add_argument("--in-place", action="store_true", help="write the outputs back into notebooks/")
    options = parser.parse_args(argv)

    if os.environ.get("FACESEG_DATA_DIR"):  # the kernels work in notebooks/, so a relative folder would move
        os.environ["FACESEG_DATA_DIR"] = os.path.abspath(os.environ["FACESEG_DATA_DIR"])
    if reason := workbook.missing_data():
        print(reason, file=sys.stderr)
        return 1
    wanted = [Path(name).stem for name in options.notebook]
    paths = [path for path in workbook.notebooks()
             if not wanted or any(name in path.stem for name in wanted)]  # fmt: skip
    if not paths:
        print(f"no notebook {' or '.join(wanted) or 'at all'} in {workbook.NOTEBOOKS}", file=sys.stderr)
        return 1
    BUILD.mkdir(exist_ok=True)
    if not os.environ.get("FACESEG_BETS"):  # not a learner's bets and scores; all notebooks begin with none
        os.environ["FACESEG_BETS"] = str(BUILD / "play")
        if not wanted:
            shutil.rmtree(BUILD / "play", ignore_errors=True)

    total = 0.0
    for path in paths:
        print(f"{path.stem:28s}", end="", flush=True)
        try:
            minutes, dice = run(path, options.in_place)
        except CellFailed as failure:
            print(f"  FAILED\n\n{failure}", flush=True)
            if not options.in_place:
                print(f"  The whole traceback stands in build/{path.stem}.html")
            return 1
        total += minutes
        print(f"{minutes:6.1f} min   final Dice {dice}", flush=True)
    print(f"{'all':28s}{total:6.1f} min   {'written in place' if options.in_place else 'see build/'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
