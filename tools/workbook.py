"""What the notebooks hold: their files, tags and exercises.

`python -m tools.workbook` says whether the data that the notebooks need is on this machine, by exit code too.
"""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"

DIFFICULTY = re.compile(r"Difficulty ([123]) of 3 · (\d+) minutes?")
HINT = re.compile(r"<details>\s*<summary>\s*Hint")
SOLUTION = re.compile(r"<details>\s*<summary>\s*Solution.*?</summary>\s*```python\n(.*?)```", re.DOTALL)


def notebooks(folder: Path = NOTEBOOKS) -> list[Path]:
    """All notebooks in reading order."""
    return sorted(folder.glob("[0-9]*.ipynb"))


def tagged(notebook: nbformat.NotebookNode, tag: str) -> list[int]:
    """The indices of the cells that carry `tag`."""
    return [i for i, cell in enumerate(notebook.cells) if tag in cell.metadata.get("tags", [])]


def text_output(cell: nbformat.NotebookNode) -> str:
    """Everything a code cell printed or showed as text."""
    parts = []
    for output in cell.get("outputs", []):
        parts.append(output.get("text") or output.get("data", {}).get("text/plain", ""))
    return "\n".join("".join(part) for part in parts)


def missing_data() -> str:
    """Why the notebooks cannot run here for want of data, in one line; empty if they can."""
    from faceseg_utils.data import catalog

    try:
        catalog.find(catalog.default_dataset())
    except (FileNotFoundError, ValueError) as error:
        return str(error)
    return ""


@dataclass(frozen=True)
class Exercise:
    """An exercise as it stands in a notebook: the stub cell, the text before it, the folded text after it."""

    notebook: Path
    cell: int  # index of the stub cell
    name: str  # first argument of `check`
    answer: str  # second argument of `check`, as source
    stub: str  # the whole cell
    check: str  # the statement that calls `check`, as source
    solution: str  # empty if there is none
    before: str
    after: str

    def filled_in(self) -> str:
        """The cell with the solution in place of the stub."""
        return f"{self.solution.rstrip()}\n\n{self.check}"


def exercises(path: Path) -> list[Exercise]:
    """All exercises of a notebook.

    Raises:
        ValueError: a cell tagged `exercise` has no call `check("name", answer)`.
    """
    notebook = nbformat.read(path, as_version=4)
    return [exercise_at(path, index) for index in tagged(notebook, "exercise")]


def exercise_at(path: Path, index: int) -> Exercise:
    """The exercise in the cell `index` of a notebook. Raises as `exercises` does."""
    cells = nbformat.read(path, as_version=4).cells
    source = cells[index].source
    calls = [node for node in ast.parse(source).body if _is_check(node)]
    if len(calls) != 1:
        raise ValueError(f'{path.name}, cell {index}: an exercise ends in one call `check("name", answer)`')
    name, answer = calls[0].value.args
    after = []
    for cell in cells[index + 1 :]:
        if cell.cell_type != "markdown":
            break
        after.append(cell.source)
    before = cells[index - 1].source if index and cells[index - 1].cell_type == "markdown" else ""
    found = SOLUTION.search("\n\n".join(after))
    return Exercise(
        notebook=path, cell=index, name=name.value,
        answer=ast.get_source_segment(source, answer), stub=source,
        check=ast.get_source_segment(source, calls[0]),
        solution=found.group(1) if found else "", before=before, after="\n\n".join(after),
    )  # fmt: skip


def _is_check(node: ast.stmt) -> bool:
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and len(node.value.args) == 2):
        return False
    called = node.value.func
    name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
    return name == "check" and isinstance(node.value.args[0], ast.Constant)


if __name__ == "__main__":
    reason = missing_data()
    print(reason or "data: found")
    sys.exit(bool(reason))
