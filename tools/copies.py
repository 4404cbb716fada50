"""Learners' copies: the notebooks without outputs, in work/, which git ignores: `python -m tools.copies [--new]`.

A copy is the learner's own and never overwritten. It remembers what it was made from; when the original has changed
since, one line says so, and `--new` puts the new one beside the old as NAME.new.ipynb. Only the standard library.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEY = "faceseg_copy_of"  # in a copy's metadata: the digest of the original without its outputs


def bare(original: Path) -> dict:
    """A notebook as JSON without outputs, execution counts, times, widget state and CI's tags, as if never run."""
    notebook = json.loads(original.read_text(encoding="utf-8"))
    notebook["metadata"].pop("widgets", None)
    for cell in notebook["cells"]:
        cell["metadata"].pop("execution", None)
        if tags := [tag for tag in cell["metadata"].pop("tags", []) if not tag.startswith("nbval-")]:
            cell["metadata"]["tags"] = tags
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return notebook


def text(notebook: dict) -> str:
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def digest(notebook: dict) -> str:
    """Of the cells alone: a new version of Jupyter in the metadata is no news to a learner."""
    return hashlib.sha256(text(notebook["cells"]).encode()).hexdigest()


def made_from(copy: Path) -> str:
    """The digest that a copy remembers; empty if it cannot be read or was not made here."""
    try:
        return json.loads(copy.read_text(encoding="utf-8"))["metadata"].get(KEY, "")
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return ""


def copy(original: Path, folder: Path, new: bool = False) -> str:
    """Make the copy of one notebook in `folder` if there is none, or with `new` a second one if the original changed.

    Returns a line that says what was done or is to be done, empty if the copy is up to date.
    """
    notebook = bare(original)
    now = digest(notebook)
    notebook["metadata"][KEY] = now
    mine = folder / original.name
    beside = sorted(folder.glob(f"{original.stem}.new*.ipynb"))
    if not mine.exists():
        target = mine
    elif any(made_from(each) == now for each in (mine, *beside)):
        return ""
    elif new:
        names = (f"{original.stem}.new{number if number > 1 else ''}.ipynb" for number in itertools.count(1))
        target = next(folder / name for name in names if not (folder / name).exists())
    else:
        return (f"{mine.name}: the notebook has changed since your copy was made; "
                "`make lab ARGS=--new` (python -m tools.task lab --new) puts the new one beside it")  # fmt: skip
    with open(target, "x", encoding="utf-8", newline="\n") as file:  # "x": rather an error than a lost exercise
        file.write(text(notebook))
    return f"{target.name}: copied, without outputs"


def copy_all(folder: Path, new: bool = False, notebooks: Path = ROOT / "notebooks") -> list[str]:
    """Copy every notebook of the course into `folder`, which is made if it is not there. Returns the lines to print."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [copy(original, folder, new) for original in sorted(notebooks.glob("[0-9]*.ipynb"))]
    return [line for line in lines if line]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.copies", description="Copy the notebooks into work/.")
    parser.add_argument("--new", action="store_true", help="put a changed notebook beside your copy")
    lines = copy_all(ROOT / "work", parser.parse_args(argv).new)
    print("\n".join(f"work/{line}" for line in lines) or "work/: your copies are up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
