"""The cell of notebook 03 that trains a preset in full, played small: its first two lines, as a reader changes them."""

import json
import os
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from PIL import Image

from faceseg_utils.config import PRESETS
from faceseg_utils.data import catalog
from faceseg_utils.dataset import PortraitDataset
from tools import run_notebooks, workbook

NOTEBOOK = workbook.NOTEBOOKS / "03_training.ipynb"
PRESET, CHANGES = "RUN = None", "changes = {}"
SMALL = "changes = {{'size': (64, 64), 'limit': 8, 'epochs': {epochs}}}"
DATA = os.environ.get("FACESEG_DATA_DIR", "")
REAL = DATA if Path(DATA, "picsart").is_dir() else ""


def made_up(folder: Path) -> Path:
    """Thirty rendered portraits under picsart/, as the report's archive has them: train/images, train/masks."""
    portraits = PortraitDataset("sample", "train", "person")
    for part in ("images", "masks"):
        (folder / "picsart" / "train" / part).mkdir(parents=True)
    for i in range(30):
        photo, mask = portraits[i]
        Image.fromarray(photo).save(folder / "picsart" / "train" / "images" / f"{i}.jpg")
        Image.fromarray(mask * 255).save(folder / "picsart" / "train" / "masks" / f"{i}.png")
    return folder


@pytest.fixture
def course(tmp_path, monkeypatch):
    """An empty course: what the cell writes to runs/ lands here."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").write_text('name = "faceseg-utils"\n', encoding="utf-8")
    monkeypatch.setenv("FACESEG_DATASET", "picsart")
    return tmp_path


def play(course: Path, *runs: tuple[str, int]) -> list[str]:
    """Execute set-up, imports and then the cell for each (preset, epochs); returns what each of the runs printed."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    (whole,) = [cell for cell in code if cell.source.startswith(PRESET)]
    assert f"\n{CHANGES}" in whole.source, "the second line of the cell is where a reader changes the preset"
    cells = code[:2]
    for preset, epochs in runs:
        source = whole.source.replace(PRESET, f"RUN = '{preset}'", 1)
        source = source.replace(CHANGES, SMALL.format(epochs=epochs), 1)
        cells.append(nbformat.v4.new_code_cell(source))
    done = run_notebooks.execute(nbformat.v4.new_notebook(cells=cells), NOTEBOOK.stem, folder=course / "notebooks")
    return [workbook.text_output(cell) for cell in done.cells[2:]]


@pytest.mark.slow
def test_it_trains_says_the_hours_and_goes_on_where_it_was(course, monkeypatch):
    monkeypatch.setenv("FACESEG_DATA_DIR", str(made_up(course / "data")))
    first, again, longer = play(course, *[("report-default", epochs) for epochs in (1, 1, 2)])
    assert "8 photos, 1 epochs: about 0.0 hours on " in first and "epoch   1" in first
    assert "epoch   1" not in again and again.splitlines()[-1] == first.splitlines()[-1], "nothing was left to do"
    assert "epoch   1" not in longer and "epoch   2" in longer
    folder = course / "runs" / "report-default"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    own = {"size": [64, 64], "limit": 8, "epochs": 2}
    report = {name: getattr(PRESETS["report-default"], name) for name in config if name not in own}
    assert config == report | own and config["train_on"] == "train+exam" and config["batch_size"] == 4
    assert len(pd.read_csv(folder / "metrics.csv")) == 2


@pytest.mark.slow
@pytest.mark.parametrize("folder", [pytest.param(REAL, id="real")] if REAL else [])
def test_it_takes_the_real_photos_where_they_are(course, folder, monkeypatch):
    monkeypatch.setenv("FACESEG_DATA_DIR", folder)
    (printed,) = play(course, ("report-default", 1))
    assert "8 photos, 1 epochs" in printed and " on 150 validation photos" in printed.splitlines()[-1]


@pytest.mark.slow
def test_every_preset_that_it_names_trains(course, monkeypatch):
    monkeypatch.setenv("FACESEG_DATA_DIR", str(made_up(course / "data")))
    source = next(cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.source.startswith(PRESET))
    named = [preset for preset in PRESETS if f'"{preset}"' in source.splitlines()[0]]
    assert {"report-default", "report-tuned", "full"} <= set(named)
    for printed in play(course, *[(preset, 1) for preset in named if preset != "report-default"]):
        assert "Dice 0." in printed.splitlines()[-1]
    assert catalog.find("picsart")[1] == course / "data" / "picsart", "no other photos were used"
