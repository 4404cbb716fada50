"""What the catalog says of each dataset agrees with itself, and every way to name a dataset is understood."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image

from faceseg_utils import paths
from faceseg_utils.data import catalog
from faceseg_utils.data.catalog import DATASETS, FACE, PALETTES, PARTS
from faceseg_utils.data.images import MaskError
from faceseg_utils.dataset import PortraitDataset


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("FACESEG_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", DATASETS)
def test_an_entry_agrees_with_itself(name):
    info = DATASETS[name]
    assert info.name == name and info.title and info.licence
    assert info.encoding in ("binary", "index", "colour")
    stored = {len(view.lookup) for view in info.views.values()}
    assert len(stored) == 1, "every view must translate all stored classes"
    for view in info.views.values():
        assert max(view.lookup) < len(view.classes) and min(view.lookup) >= 0
        assert len(view.palette) == len(view.classes)
        assert view.lookup[0] == 0, "background stays background"
    if info.encoding == "colour":
        assert len(info.colours) == stored.pop()
    if info.sources:
        assert re.fullmatch("[0-9a-f]{64}", info.digest)
        folders = {folder for pair in info.splits.values() for folder in pair if folder}
        assert folders == set(info.members), "what the splits read is what a download must hold"


def test_a_lookup_names_the_same_thing_in_both_views():
    face = dict(zip(PARTS, DATASETS["sample"].views["face"].lookup))
    assert {part: FACE[number] for part, number in face.items()} == {
        "background": "background", "skin": "skin", "nose": "nose", "eyes": "eyes", "brows": "hair", "ears": "skin",
        "lips": "mouth", "mouth": "mouth", "hair": "hair", "facial hair": "hair", "glasses": "background",
        "headwear": "background", "clothes": "background",
    }  # fmt: skip
    assert DATASETS["sample"].views["person"].lookup == (0,) + (1,) * 12
    assert DATASETS["fasseg"].views["person"].lookup == (0, 1, 1, 1, 1, 1)


def test_colours_of_a_palette_differ():
    for classes, colours in PALETTES.items():
        assert len(set(colours)) == len(classes)


def test_names_are_found_where_the_variable_points(data_dir, make_dataset):
    folder = make_dataset("picsart", root=data_dir / "picsart")
    info, root = catalog.find("picsart")
    assert root == folder and info == DATASETS["picsart"]
    assert catalog.location("fasseg") == data_dir / "fasseg"
    assert catalog.location("sample") == paths.course_root() / "data" / "sample"  # comes with the course


def test_without_the_variable_data_lies_in_the_course(monkeypatch):
    monkeypatch.delenv("FACESEG_DATA_DIR", raising=False)
    assert catalog.location("picsart") == paths.course_root() / "data" / "picsart"


def test_the_course_is_found_from_its_notebooks_folder(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    shutil.copy(paths.course_root() / "pyproject.toml", tmp_path)
    monkeypatch.chdir(tmp_path / "notebooks")
    assert paths.course_root() == tmp_path


def test_a_readers_own_project_is_not_taken_for_the_course(tmp_path, monkeypatch):
    course = paths.course_root()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "my-project"\n')
    monkeypatch.chdir(tmp_path / "notebooks")
    assert paths.course_root() == course and catalog.find("sample")[1] == course / "data" / "sample"


def test_picsart_in_the_reports_layout_keeps_its_name_and_views(data_dir, make_dataset):
    make_dataset("report", root=data_dir / "picsart")
    info, _ = catalog.find("picsart")
    assert info.name == "picsart" and info.splits["val"] == ("train/images", "train/masks")


def test_a_folder_of_ones_own_is_a_dataset(make_dataset):
    info, root = catalog.find(make_dataset("own"))
    assert info.splits == {"train": ("images", "masks"), "val": ("images", "masks")}
    assert info.encoding == "binary" and root.name == "own"


def test_a_trimap_says_where_nobody_knows(make_dataset):
    root = make_dataset("own", 3)
    (root / "masks").rename(root / "trimaps")
    person = np.arange(48 * 40).reshape(48, 40) % 3  # 0, 1 and 2: not known
    Image.fromarray(person.astype(np.uint8)).save(root / "trimaps" / "00.png")
    data = PortraitDataset(root, "all")
    assert data.info.encoding == "index" and (data[0][1] == np.where(person == 2, 255, person)).all()
    with pytest.raises(MaskError, match="holds the values 255 but may hold class indices 0 to 2"):
        data[1]  # a mask of 0 and 255


@pytest.mark.parametrize("wrong, meant", [("picsarts", "picsart"), ("faseg", "fasseg"), ("Sample", "sample")])
def test_an_unknown_name_comes_with_the_nearest(wrong, meant):
    with pytest.raises(ValueError, match=f"unknown dataset '{wrong}'.*Did you mean '{meant}'"):
        catalog.find(wrong)


def test_a_missing_dataset_comes_with_the_command_that_fetches_it(data_dir):
    with pytest.raises(FileNotFoundError, match="python -m faceseg_utils data picsart") as error:
        catalog.find("picsart")
    assert str(data_dir) in str(error.value) and "\n" not in str(error.value)


def test_the_default_is_the_variable_else_the_sample_else_picsart(monkeypatch, tmp_path):
    monkeypatch.setenv("FACESEG_DATASET", "fasseg")
    assert catalog.default_dataset() == "fasseg"
    monkeypatch.delenv("FACESEG_DATASET")
    monkeypatch.setattr(paths, "course_root", lambda: tmp_path)
    assert catalog.default_dataset() == "picsart"
    (tmp_path / "data" / "sample").mkdir(parents=True)
    (tmp_path / "data" / "sample" / "portraits.csv").touch()
    assert catalog.default_dataset() == "sample"
