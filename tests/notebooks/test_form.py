"""What every committed notebook looks like, whatever it says."""

import json
import re

import nbformat
import pytest

from tools import minutes, run_notebooks, weight, workbook

LONGEST_CELL = 25
# Paths of somebody's machine: they mean nothing to a reader, and they change with every execution.
ABSOLUTE = re.compile(r"(?<![\w./:-])(/(?:home|root|Users|tmp|work|mnt|var|opt)/\S+|[A-Z]:\\+Users\S*)")


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [(i, cell) for i, cell in enumerate(notebook.cells) if cell.cell_type == "code" and cell.source]


def test_opens_with_title_badge_and_setup(notebook):
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.startswith("# ")
    colab, setup = workbook.tagged(notebook, "colab"), workbook.tagged(notebook, "setup")
    assert len(colab) == len(setup) == 1, "one cell tagged `colab`, one tagged `setup`: run `make links`"
    assert notebook.cells[colab[0]].cell_type == "markdown"
    assert setup[0] == code_cells(notebook)[0][0], "the set-up is the first code cell"
    assert workbook.text_output(notebook.cells[setup[0]]).strip(), "the set-up ends in the banner"


def test_committed_executed_and_without_errors(notebook):
    for index, cell in code_cells(notebook):
        assert cell.execution_count, f"cell {index} was not executed: nbval would check nothing"
        assert not [out for out in cell.outputs if out.output_type == "error"], f"cell {index} shows an error"


def test_metadata_is_clean(notebook, path):
    assert "widgets" not in notebook.metadata, "GitHub does not show a notebook with widget state"
    cleaned = run_notebooks.clean(nbformat.from_dict(json.loads(json.dumps(notebook))))
    assert cleaned == notebook, f"run `python -m tools.run_notebooks --in-place {path.stem}`"
    assert notebook.metadata.language_info.name == "python"


def test_a_progress_bar_leaves_nothing_behind():
    stream = nbformat.v4.new_output
    epoch, warning = "epoch   1  train loss 0.123\n", "watch failed\n"
    bar = [("stderr", text) for text in ("\r  0%|    | 0/2", "\r 50%|##  | 1/2", "\r                ", "\r")]
    said = [*bar, ("stdout", epoch), *bar, ("stderr", warning), *bar]
    cell = nbformat.v4.new_code_cell(outputs=[stream("stream", name=name, text=text) for name, text in said])
    cleaned = run_notebooks.clean(nbformat.v4.new_notebook(cells=[cell]))
    assert [output.text for output in cleaned.cells[0].outputs] == [epoch, warning]


def test_code_cells_are_short(notebook):
    long = {i: n for i, cell in code_cells(notebook) if (n := len(cell.source.splitlines())) > LONGEST_CELL}
    assert not long, f"cells of more than {LONGEST_CELL} lines: {long}"


def test_is_no_longer_than_the_course_allows(path):
    found = minutes.measure(path)
    above = {name for name in found if found[name] > minutes.LIMITS[name] and name != "bytes"}
    assert not above, f"{path.stem}: above the limit, see `python -m tools.minutes {path.stem}`"
    assert not [line for line in weight.too_heavy() if path.name in line]


def test_header_states_the_minutes(notebook, path):
    first = code_cells(notebook)[0][0]
    states = any(minutes.sentence(path) in cell.source for cell in notebook.cells[:first])
    assert states, f'{path.stem}: a text above the set-up should say "{minutes.sentence(path)}"'


def test_what_counts_as_words_lines_figures_and_minutes(tmp_path):
    picture = nbformat.v4.new_output("display_data", {"image/png": "", "text/plain": "a figure"})
    text, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    folded = "<details><summary>{}</summary>\n\n```python\nx = 1\n```\nfour words of it</details>"
    cells = [
        text("[![Colab](badge.svg)](address)", metadata={"tags": ["colab"]}),
        text("# Two words\n\nDice of 0.82, and [a link](https://example.org/some/words)."),  # 2 + 6
        code("x = 1\n\n# a comment\ny = 2\n", outputs=[picture, picture]),
        code("hidden = 1\n", outputs=[picture], metadata={"jupyter": {"source_hidden": True}}),
        text("![alt text](figure.png)\n\nDifficulty 2 of 3 · 8 minutes"),  # 6
        text(folded.format("Hint") + folded.format("Solution") + folded.format("Answers")),  # 5
        text("word " * 1800, metadata={"tags": ["side"]}),
    ]
    path = tmp_path / "07_made_up.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    found = minutes.measure(path)
    wanted = {"cells": 7, "words": 1819, "lines": 3, "figures": 4, "bytes": path.stat().st_size, "minutes": 10}
    assert found == wanted and set(found) == set(minutes.LIMITS)
    aside = "; the side paths take about 10 more"
    assert minutes.sentence(path) == "about 10 minutes to read and solve, 10 of them for the exercises" + aside
    assert minutes.minutes(cells[:-1]) == (10, 8) and minutes.minutes(cells) == (20, 8)


def test_pictures_have_alt_text(notebook):
    for index, cell in code_cells(notebook):
        for output in cell.outputs:
            for kind in set(output.get("data", {})) & {"image/png", "image/jpeg", "image/svg+xml"}:
                alt = output.metadata.get(kind, {}).get("alt", "")
                assert len(alt) > 10, f"cell {index}: a picture without alt text"
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            assert not re.search(r"!\[\s*\]\(", cell.source), f"cell {index}: a picture without alt text"


def test_no_path_of_a_machine(notebook):
    for index, cell in enumerate(notebook.cells):
        texts = [cell.source, *([workbook.text_output(cell)] if cell.cell_type == "code" else [])]
        texts += [str(out.get("data", {}).get("text/html", "")) for out in cell.get("outputs", [])]
        for text in texts:
            found = ABSOLUTE.search(text)
            assert not found, f"cell {index}: {found.group()}"
