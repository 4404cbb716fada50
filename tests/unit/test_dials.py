"""The dials in data/dials: one key moves, in order, the rest stays; exact labels; and nothing can learn from them."""

import collections
import csv
import functools
import pathlib

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from data.render import dataset as render_dataset
from data.render import dials, labels, sampler
from faceseg_utils import PortraitDataset, TrainConfig
from faceseg_utils.__main__ import main
from faceseg_utils.data import catalog, download, images
from faceseg_utils.engine import loader

FOLDER = pathlib.Path(__file__).parents[2] / "data" / "dials"
EACH = [(dial, person) for dial in dials.DIALS for person in range(len(dials.PEOPLE))]


@functools.cache
def rows():
    with open(FOLDER / "dials.csv", newline="") as file:
        return list(csv.DictReader(file))


def turned(dial, person):
    """The rows of one person at the six settings of a dial, in order."""
    return [row for row in rows() if (row["dial"], row["person"]) == (dial, str(person))]


@functools.cache
def picture(row_id):
    """Image float [H, W, 3] in 0..255 and mask uint8 [H, W]."""
    image = np.asarray(Image.open(FOLDER / "images" / f"{row_id}.jpg")).astype(float)
    return image, np.asarray(Image.open(FOLDER / "masks" / f"{row_id}.png"))


def measured(measure, dial, person):
    return np.array([measure(*picture(row["id"])) for row in turned(dial, person)])


def brightness(image, mask):
    return image.mean()


def share(image, mask):
    return (mask > 0).mean()


def from_skin(image, mask):
    """Distance between the mean colours of the wall and of the skin, RGB."""
    wall = ndimage.binary_erosion(mask == 0, iterations=4)
    return np.linalg.norm(image[wall].mean(0) - np.median(image[mask == 1], 0))


# --- The files --------------------------------------------------------------------------------------------------------


def test_the_table_is_what_the_generator_says_and_names_every_file():
    assert rows() == [{key: str(value) for key, value in row.items()} for row in dials.table()]
    assert len(rows()) == 4 * 8 * 6
    for kind in ("image", "mask"):
        there = {path.relative_to(FOLDER).as_posix() for path in (FOLDER / f"{kind}s").iterdir()}
        assert there == {row[kind] for row in rows()}
    assert "CC0" in (FOLDER / "LICENSE").read_text()


def test_they_are_small():
    size = sum(path.stat().st_size for kind in ("images", "masks") for path in (FOLDER / kind).iterdir())
    assert size <= 3.5e6, f"{size / 1e6:.2f} MB"
    assert (FOLDER / "contact_sheet.jpg").stat().st_size <= 300_000


@pytest.mark.parametrize("dial", dials.DIALS)
def test_labels_have_the_size_of_the_image_and_show_a_person(dial):
    palette = [value for colour in labels.PALETTE for value in colour]
    for row in (row for row in rows() if row["dial"] == dial):
        with Image.open(FOLDER / row["image"]) as image, Image.open(FOLDER / row["mask"]) as mask:
            assert (image.mode, image.size, mask.mode, mask.size) == ("RGB", (240, 320), "P", (240, 320)), row["id"]
            assert mask.getpalette()[: len(palette)] == palette, row["id"]
        mask = picture(row["id"])[1]
        assert mask.max() < len(labels.CLASSES) and 0.05 < (mask > 0).mean() < 0.95, row["id"]
        shown = {labels.CLASSES[index] for index in np.unique(mask)}
        assert {"background", "skin", "nose", "lips", "clothes"} <= shown, row["id"]
        assert shown & {"hair", "headwear"}, row["id"]


# --- The people -------------------------------------------------------------------------------------------------------


def test_nobody_is_in_the_sample_and_they_are_balanced():
    with open(FOLDER.parent / "sample" / "portraits.csv", newline="") as file:
        known = {int(row["seed"]) for row in csv.DictReader(file)}
    assert not known & set(dials.PEOPLE) and not set(render_dataset.SITTERS) & set(dials.PEOPLE)
    people = [sampler.persona(seed) for seed in dials.PEOPLE]
    assert len(set(dials.PEOPLE)) == 8
    assert sorted(collections.Counter(p["sex"] for p in people).values()) == [4, 4]
    assert {p["skin_tone"] for p in people} == {1, 2, 3, 4, 5, 6}
    assert sorted(collections.Counter(p["age_group"] for p in people).values()) == [2, 3, 3]


# --- One key moves, the rest stays ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dial", dials.DIALS)
def test_the_persona_keeps_everything_but_the_key(dial):
    for seed in dials.PEOPLE:
        for value in dials.DIALS[dial]:
            now, drawn = dials.persona(dial, seed, value), sampler.persona(seed)
            assert now.keys() == drawn.keys()
            assert {key for key in now if now[key] != drawn[key]} <= dials.KEYS[dial]


@pytest.mark.parametrize("dial", ["backdrop", "light"])
def test_what_is_not_rendered_anew_has_equal_masks(dial):
    for person in range(8):
        assert len({(FOLDER / row["mask"]).read_bytes() for row in turned(dial, person)}) == 1


def test_a_backdrop_does_not_touch_the_person():
    for person in range(8):
        shown = [picture(row["id"]) for row in turned("backdrop", person)]
        inside = ndimage.binary_erosion(shown[0][1] > 0, iterations=9)  # JPEG smears colour over blocks of 16
        assert max(abs(image - shown[0][0])[inside].mean() for image, _ in shown) < 1.5


# --- In order, as measured from the pictures --------------------------------------------------------------------------


@pytest.mark.parametrize("person", range(8))
@pytest.mark.parametrize("dial, measure", [("light", brightness), ("fill", share), ("backdrop", from_skin)])
def test_each_setting_goes_further(dial, measure, person):
    values = measured(measure, dial, person)
    assert (np.diff(values) < 0).all(), values.round(3)
    assert values[-1] < 0.5 * values[0], "from one end to the other"


@pytest.mark.parametrize("person", range(8))
def test_the_head_turns_to_one_side(person):
    yaw = np.array([float(row["yaw"]) for row in turned("yaw", person)])
    assert (np.diff(abs(yaw)) > 0).all() and len(set(np.sign(yaw[1:]))) == 1 and abs(yaw[[0, -1]]).tolist() == [0, 90]

    def nose_ahead_of_hair(image, mask):
        columns = [np.nonzero(np.isin(mask, classes))[1].mean() for classes in ([2], [8, 11])]
        return columns[0] - columns[1]

    ahead = measured(nose_ahead_of_hair, "yaw", person) * np.sign(yaw[-1])
    assert ahead[-1] > 30 + abs(ahead[0])


# --- Loading, and never learning --------------------------------------------------------------------------------------


@pytest.mark.parametrize("view, count", [("person", 2), ("face", 6), ("parts", 13)])
def test_they_load_in_every_view_with_their_table(view, count):
    photos = PortraitDataset("dials", "test", view)
    assert len(photos) == 192 and len(photos.classes) == count
    photo, mask = photos[0]
    assert photo.shape == (320, 240, 3) and mask.max() < count
    assert photos.table["dial"].tolist() == [row["dial"] for row in rows()]
    assert photos.table["value"].dtype == float
    assert set(collections.Counter(photos.people).values()) == {24}


def test_the_folder_is_whole():
    info = catalog.DATASETS["dials"]
    assert download.folder_digest(FOLDER, info.members) == info.digest


@pytest.mark.parametrize("choices", [{"dataset": "dials"}, {"dataset": "sample", "extra": "dials"}])
def test_training_refuses_them(choices):
    with pytest.raises(ValueError, match="dataset 'dials' has no split '(train|val|all)': it has test") as refused:
        loader.datasets(TrainConfig(**choices))
    assert "\n" not in str(refused.value)


def test_the_command_refuses_them_in_one_line(tmp_path, capsys):
    for options in (["--dataset", "dials"], ["--dataset", "sample", "--extra", "dials"]):
        assert main(["train", *options, "--out", str(tmp_path / "run")]) == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "dataset 'dials' has no split" in error


def test_nor_does_their_path_make_them_a_folder_of_ones_own():
    with pytest.raises(ValueError, match="none of the 192 photos is in the split 'train'"):
        PortraitDataset(FOLDER, "train")
    with pytest.raises(images.MaskError):  # what --extra would read: masks of 13 classes are not those of a folder
        PortraitDataset(FOLDER, "all")[0]
