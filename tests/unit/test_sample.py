"""The rendered portraits in data/sample: complete, well formed, balanced, and labelled where anatomy says."""

import collections
import csv
import functools
import pathlib

import numpy as np
import pytest
from PIL import Image

from data.render import card as render_card

SAMPLE = pathlib.Path(__file__).parents[2] / "data" / "sample"
CLASSES = ["background", "skin", "nose", "eyes", "brows", "ears", "lips", "mouth", "hair", "facial hair",
           "glasses", "headwear", "clothes"]
PALETTE = [(24, 26, 37), (246, 193, 151), (232, 140, 96), (64, 132, 244), (46, 160, 90), (255, 145, 0),
           (225, 29, 88), (255, 255, 255), (112, 66, 35), (128, 128, 20), (30, 210, 200), (240, 210, 60),
           (150, 95, 220)]
COLUMNS = {"id", "seed", "split", "sex", "age", "age_group", "african", "asian", "caucasian", "skin_tone",
           "skin_group", "hair_style", "hair_colour", "facial_hair", "glasses", "headwear", "yaw", "pitch", "roll",
           "pose", "expression", "clothes", "pattern", "light", "background", "distractor", "pair", "mirrored"}


@functools.cache
def rows():
    with open(SAMPLE / "portraits.csv", newline="") as file:
        return list(csv.DictReader(file))


@functools.cache
def mask_of(name):
    return np.asarray(Image.open(SAMPLE / "masks" / f"{name}.png"))


def centre(mask, name, least=12):
    """(x, y) of a class's middle, or None when hardly any of it is in view."""
    y, x = np.nonzero(mask == CLASSES.index(name))
    return (x.mean(), y.mean()) if len(x) >= least else None


def centres():
    """[(row, {class: (x, y)})] with the classes that are in view."""
    found = []
    for row in rows():
        where = {name: centre(mask_of(row["id"]), name) for name in CLASSES}
        found.append((row, {name: at for name, at in where.items() if at is not None}))
    return found


def broken(rule):
    """Ids of the portraits for which rule(row, where) is False; None means the rule does not apply."""
    return [row["id"] for row, where in centres() if rule(row, where) is False]


def test_table_agrees_with_the_files():
    ids = [row["id"] for row in rows()]
    assert set(rows()[0]) == COLUMNS
    assert ids == [f"{i:04d}" for i in range(len(ids))]
    assert sorted(p.stem for p in (SAMPLE / "images").glob("*.jpg")) == ids
    assert sorted(p.stem for p in (SAMPLE / "masks").glob("*.png")) == ids
    empty = [(row["id"], name) for row in rows() for name in COLUMNS - {"pair"} if row[name] == ""]
    assert not empty
    assert "CC0" in (SAMPLE / "LICENSE").read_text()


def test_there_are_enough_and_they_are_small():
    splits = [row["split"] for row in rows()]
    assert splits.count("train") == 256
    assert splits.count("val") == 64
    assert len(splits) == 320
    size = sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file())
    assert size <= 8e6, f"data/sample has {size / 1e6:.1f} MB"


def test_masks_have_the_size_of_the_image_and_known_classes():
    for row in rows():
        with Image.open(SAMPLE / "images" / f"{row['id']}.jpg") as image:
            assert (image.mode, image.size) == ("RGB", (240, 320)), row["id"]
        with Image.open(SAMPLE / "masks" / f"{row['id']}.png") as mask:
            assert (mask.mode, mask.size) == ("P", (240, 320)), row["id"]
            assert mask.getpalette()[:39] == [value for colour in PALETTE for value in colour], row["id"]
        assert mask_of(row["id"]).max() < len(CLASSES), row["id"]


def test_a_plausible_share_is_person():
    for row in rows():
        mask = mask_of(row["id"])
        assert 0.2 < (mask > 0).mean() < 0.9, row["id"]
        assert 0.015 < np.isin(mask, [1, 2, 3, 4, 6]).mean() < 0.4, row["id"]


def test_the_card_counts_what_is_there():
    card = SAMPLE.parent / "README.md"
    assert card.read_text() == render_card.current(), "run: python -m data.render.card"


def test_most_people_are_shown_once():
    shown = collections.Counter(row["seed"] for row in rows())
    assert len(shown) >= 280
    assert max(shown.values()) == 2


def test_no_person_is_in_both_parts():
    parts = {}
    for row in rows():
        parts.setdefault(row["seed"], set()).add(row["split"])
    assert all(len(part) == 1 for part in parts.values())


def test_pairs_share_everything_but_the_background():
    by_id = {row["id"]: row for row in rows()}
    paired = [row for row in rows() if row["pair"]]
    assert len(paired) >= 32
    for row in paired:
        partner = by_id[row["pair"]]
        assert partner["pair"] == row["id"]
        assert partner["seed"] == row["seed"]
        assert partner["split"] == row["split"]
        assert (row["distractor"] == "none") != (partner["distractor"] == "none")
        assert np.array_equal(mask_of(row["id"]), mask_of(partner["id"]))


@pytest.mark.parametrize("split", ["train", "val"])
def test_both_parts_hold_the_variety(split):
    part = [row for row in rows() if row["split"] == split]

    def share(column, *values):
        return np.mean([row[column] in values for row in part])

    assert 0.4 < share("sex", "female") < 0.6
    for group in ("light", "medium", "dark"):
        assert 0.2 < share("skin_group", group) < 0.47
    for age in ("young", "middle", "old"):
        assert 0.2 < share("age_group", age) < 0.47
    assert share("pose", "three-quarter") > 0.2
    assert share("pose", "profile") > 0.06
    assert share("expression", "smile", "open smile") > 0.3
    assert 0.05 < 1 - share("glasses", "none") < 0.45
    assert 0.05 < 1 - share("headwear", "none") < 0.45
    assert 0.2 < 1 - share("distractor", "none") < 0.46
    assert len({row["light"] for row in part}) >= 5


# ---- labels agree with anatomy, on every portrait (roll stays within 15 degrees, so up is up)

def test_brows_over_eyes_over_nose_over_lips():
    order = ["brows", "eyes", "nose", "lips"]

    def rule(row, where):
        heights = [where[name][1] for name in order if name in where]
        return all(a < b for a, b in zip(heights, heights[1:], strict=False))

    assert broken(rule) == []


def test_every_face_has_nose_and_lips_and_clothes_and_skin():
    assert broken(lambda row, where: {"skin", "nose", "clothes"} <= set(where)) == []
    # a moustache may hide lips, sunglasses and a hat's shadow hide nothing else
    assert broken(lambda row, where: "lips" in where or row["facial_hair"] in ("full", "moustache", "goatee")) == []
    # lids may be closed, and dark lenses hide the eyes
    open_eyes = {"smile", "open smile", "neutral", "surprised", "talking", "serious"}
    assert broken(lambda row, where: "eyes" in where or row["glasses"] == "sunglasses"
                  or row["expression"] not in open_eyes or row["pose"] == "profile") == []


def test_inside_of_the_mouth_lies_at_the_lips():
    def rule(row, where):
        if "mouth" in where and "lips" in where:
            return float(np.hypot(*np.subtract(where["mouth"], where["lips"]))) < 16
    assert broken(rule) == []


def test_head_is_over_the_clothes():
    assert broken(lambda row, where: where["nose"][1] < where["clothes"][1]) == []


def test_what_is_on_the_head_starts_above_the_brows():
    def rule(row, where):
        if "brows" not in where:
            return None
        top = [np.nonzero(mask_of(row["id"]) == CLASSES.index(name))[0].min()
               for name in ("hair", "headwear") if name in where]
        return not top or min(top) < where["brows"][1]
    assert broken(rule) == []


def test_facial_hair_is_below_and_glasses_are_at_the_eyes():
    def beard(row, where):
        if "facial hair" in where:
            return where["facial hair"][1] > where["nose"][1]

    def glasses(row, where):
        if "glasses" in where and "lips" in where:
            return where["glasses"][1] < where["nose"][1] + 4

    assert broken(beard) == []
    assert broken(glasses) == []


def test_ears_are_between_the_crown_and_the_chin():
    def rule(row, where):
        if "ears" in where and "brows" in where and "lips" in where:
            height = where["lips"][1] - where["brows"][1]
            return where["brows"][1] - height < where["ears"][1] < where["lips"][1] + height
    assert broken(rule) == []


def test_the_nose_points_where_the_table_says():
    def rule(row, where):
        yaw = float(row["yaw"])
        if abs(yaw) > 20 and "eyes" in where:
            return (where["nose"][0] - where["eyes"][0] > -2) if yaw > 0 else (where["nose"][0] - where["eyes"][0] < 2)
    # in a profile the far eye hides behind the nose, so only the turned head's ear and nose are compared there
    def profile(row, where):
        yaw = float(row["yaw"])
        if abs(yaw) > 30 and "ears" in where:
            return (where["nose"][0] > where["ears"][0]) == (yaw > 0)
    assert broken(lambda row, where: rule(row, where) if row["pose"] == "three-quarter" else None) == []
    assert broken(profile) == []


def test_what_the_table_names_is_in_the_mask():
    def worn(column, name):
        return broken(lambda row, where: None if row[column] == "none" else name in where)

    assert worn("headwear", "headwear") == []
    assert worn("glasses", "glasses") == []
    assert broken(lambda row, where: row["headwear"] != "none" or "headwear" not in where) == []
    assert broken(lambda row, where: row["glasses"] != "none" or "glasses" not in where) == []
    bearded = {"full", "goatee", "moustache"}
    assert broken(lambda row, where: ("facial hair" in where) == (row["facial_hair"] in bearded)) == []


def test_hair_has_no_specks():
    """No island of hair is smaller than a few pixels: those are strands that nobody would call hair."""
    from scipy import ndimage

    for row in rows():
        islands, count = ndimage.label(mask_of(row["id"]) == CLASSES.index("hair"))
        sizes = np.bincount(islands.ravel())[1:]
        assert count == 0 or sizes.min() >= 6, row["id"]
