"""Every notebook also runs with all its exercises solved, and each check then says so."""

import nbformat
import pytest

from tools import run_notebooks, workbook


@pytest.mark.slow
def test_notebook_runs_solved(path):
    if reason := workbook.missing_data():
        pytest.skip(reason)
    notebook = nbformat.read(path, as_version=4)
    solved = workbook.exercises(path)
    for exercise in solved:
        notebook.cells[exercise.cell].source = exercise.filled_in()
    try:
        run_notebooks.execute(notebook, path.stem, timeout=900)
    except run_notebooks.CellFailed as failure:
        pytest.fail(str(failure), pytrace=False)
    for exercise in solved:
        said = workbook.text_output(notebook.cells[exercise.cell])
        assert f"Exercise {exercise.name}: Correct." in said, f"{exercise.name}: {said}"
