"""How much of it is there to read, and how long does it take? `python -m tools.minutes [notebook ...]`.

For each notebook the counts that the course limits, and the sentence about minutes that its header states. Cells
tagged `side` are side paths: they count against the limits, but not as minutes of the main path.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat

from tools import weight, workbook

WORDS, LINES, FIGURES = 180, 12, 2  # per minute of reading
LIMITS = {"cells": 75, "words": 2800, "lines": 320, "figures": 12, "bytes": weight.LIMIT, "minutes": 90}
STEP = 5  # minutes: the header rounds, so that it need not change with every word

FOLDED = re.compile(r"<details>\s*<summary>\s*(?:Solution|Answer).*?</details>", re.DOTALL)
NOT_READ = re.compile(
    r"```.*?```|!\[[^\]]*\]\([^)]*\)|\]\([^)]*\)|<[^>]+>", re.DOTALL
)  # code, pictures, addresses, tags
PICTURES = {"image/png", "image/jpeg", "image/svg+xml"}


def words(text: str) -> int:
    """Words of Markdown outside folded solutions and answers."""
    return len(re.findall(r"\w[\w'.,-]*", NOT_READ.sub(" ", FOLDED.sub(" ", text))))


def counts(cells: list) -> dict[str, int]:
    """Of some cells: their number, words outside folded solutions, lines of visible code, figures.

    Lines that are blank, or in a cell whose source Jupyter hides (`jupyter.source_hidden`), do not count. Figures are
    pictures among outputs and in the text; the Colab badge is none.
    """
    found = dict.fromkeys(("cells", "words", "lines", "figures"), 0) | {"cells": len(cells)}
    for cell in cells:
        if cell.cell_type == "code":
            if not cell.metadata.get("jupyter", {}).get("source_hidden"):
                found["lines"] += sum(bool(line.strip()) for line in cell.source.splitlines())
            found["figures"] += sum(bool(PICTURES & set(output.get("data", {}))) for output in cell.outputs)
        elif "colab" not in cell.metadata.get("tags", []):
            found["words"] += words(cell.source)
            found["figures"] += len(re.findall(r"!\[|<img\b", FOLDED.sub("", cell.source)))
    return found


def minutes(cells: list) -> tuple[int, int]:
    """Minutes of these cells: (all of it, the exercises among it); exercises take what their texts state."""
    found = counts(cells)
    stated = [workbook.DIFFICULTY.search(cell.source) for cell in cells if cell.cell_type == "markdown"]
    exercises = sum(int(match.group(2)) for match in stated if match)
    reading = found["words"] / WORDS + found["lines"] / LINES + found["figures"] / FIGURES
    return round(reading + exercises), exercises


def measure(path: Path) -> dict[str, int]:
    """Everything that LIMITS limits: whole notebook, but minutes of the main path."""
    cells = nbformat.read(path, as_version=4).cells
    main, _ = minutes([cell for cell in cells if not _aside(cell)])
    return counts(cells) | {"bytes": path.stat().st_size, "minutes": main}


def _aside(cell) -> bool:
    return "side" in cell.metadata.get("tags", [])


def sentence(path: Path) -> str:
    """What the header of a notebook states about its minutes, rounded to STEP."""
    cells = nbformat.read(path, as_version=4).cells
    total, exercises = (_rounded(n) for n in minutes([cell for cell in cells if not _aside(cell)]))
    text = f"about {total} minutes to read and solve, {exercises} of them for the exercises"
    aside, _ = minutes([cell for cell in cells if _aside(cell)])
    return text + (f"; the side paths take about {_rounded(aside)} more" if aside else "")


def _rounded(number: int) -> int:
    return max(STEP, STEP * round(number / STEP)) if number else 0


def main(arguments: list[str]) -> int:
    wanted = [Path(name).stem for name in arguments]
    paths = [p for p in workbook.notebooks() if not wanted or any(name in p.stem for name in wanted)]
    if not paths:
        print(f"no notebook {' or '.join(wanted)} in {workbook.NOTEBOOKS}", file=sys.stderr)
        return 1
    print(f"{'':26}" + "".join(f"{name:>11}" for name in LIMITS))
    print(f"{'limit':26}" + "".join(f"{limit:>11,}" for limit in LIMITS.values()))
    for path in paths:
        found = measure(path)
        print(
            f"{path.stem:26}"
            + "".join(f"{found[name]:>10,}{'*' if found[name] > LIMITS[name] else ' '}" for name in LIMITS)
        )
    print("* above the limit\n")
    for path in paths:
        print(f"{path.stem}: {sentence(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
