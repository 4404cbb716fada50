"""What every committed notebook looks like, whatever it says."""

import json
import re

import nbformat
import pytest

from tools import run_notebooks, workbook

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
