"""A test that takes `path` runs once for each notebook, one that takes `exercise` once for each exercise."""

import re

import nbformat
import pytest

from tools import workbook


def pytest_generate_tests(metafunc):
    paths = workbook.notebooks()
    if "path" in metafunc.fixturenames:
        places = [(path.stem, path) for path in paths]
        _parametrise(metafunc, "path", places, "notebooks/ holds no notebook yet")
    if "exercise" in metafunc.fixturenames:
        places = []
        for path in paths:
            notebook = nbformat.read(path, as_version=4)
            for index in workbook.tagged(notebook, "exercise"):
                name = re.search(r"check\(\W(\w+)", notebook.cells[index].source)
                places.append((f"{path.stem}-{name.group(1) if name else index}", (path, index)))
        _parametrise(metafunc, "exercise", places, "no notebook holds an exercise yet", indirect=True)


def _parametrise(metafunc, argument, named, reason, **options):
    values = [pytest.param(value, id=name) for name, value in named]
    nothing = [pytest.param(None, id="none", marks=pytest.mark.skip(reason=reason))]
    metafunc.parametrize(argument, values or nothing, **options)


def pytest_collection_modifyitems(items):
    """Whole notebooks first, 03 before all, since it trains longest: no worker is left waiting for it at the end."""
    items.sort(key=lambda item: ("runs_solved" not in item.name, "03_training" not in item.name))


@pytest.fixture(autouse=True)
def no_bets_of_ours(tmp_path, monkeypatch):
    """Notebooks that run here do not see, or change, the bets and scores of whoever works in this checkout."""
    monkeypatch.setenv("FACESEG_BETS", str(tmp_path / "bets"))


@pytest.fixture
def exercise(request):
    """The exercise itself; a cell that is no proper exercise fails its own test only."""
    return workbook.exercise_at(*request.param)
