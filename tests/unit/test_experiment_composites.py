"""Composites: people in front of other backgrounds, labels that fit, no photo that has to judge among their sources."""

import dataclasses

import cv2
import numpy as np
import pandas as pd
import pytest

from experiments import composites, plan
from faceseg_utils.config import TrainConfig
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.engine import loader

RED, BLUE = (200, 60, 60), (40, 60, 220)


def person(rows: slice, columns: slice, ground=BLUE) -> tuple[np.ndarray, np.ndarray]:
    """A red rectangle on a plain ground: photo and mask of the size of a frame."""
    photo, mask = np.full((*composites.FRAME, 3), ground, np.uint8), np.zeros(composites.FRAME, np.uint8)
    photo[rows, columns], mask[rows, columns] = RED, 1
    return photo, mask


def test_sources_are_photos_that_a_run_learns_from(named):
    named("picsart", count=40)
    used = {item.stem for item in composites.sources(0.2)}
    learned, monitor, val = loader.datasets(TrainConfig(dataset="picsart", size=(32, 32), holdout=0.2))
    assert used and used <= set(learned.stems)
    assert not used & {*monitor.stems, *val.stems, *PortraitDataset("picsart", "exam").stems}


def test_near_duplicates_of_photos_that_judge_are_left_out(named):
    root = named("picsart", count=40)
    stems = sorted(item.stem for item in composites.sources(0.2))
    judge = PortraitDataset("picsart", "val").items[0].image
    (root / "train" / f"{stems[0]}.jpg").write_bytes(judge.read_bytes())
    assert stems[0] not in {item.stem for item in composites.sources(0.2)}


def test_the_runs_of_the_plan_hold_out_what_composites_leave_out():
    using = [config for config in plan.PLAN.values() if "build/composites" in config.extra]
    assert using and all(config.holdout == TrainConfig.holdout and config.train_on == "train" for config in using)


def test_the_free_rectangle_is_the_largest_without_person():
    mask = np.zeros((320, 240), np.uint8)
    mask[150:, 100:150] = 1
    assert composites.free_rectangle(mask) == (slice(0, 140), slice(0, 240))  # 33,600 pixels; at the left: 28,800
    mask[:150, 200:] = 1
    assert composites.free_rectangle(mask) == (slice(0, 320), slice(0, 90))
    mask[:] = 1
    rows, columns = composites.free_rectangle(mask)
    assert mask[rows, columns].size == 0 and composites.background(np.zeros((320, 240, 3), np.uint8), mask) is None


def test_a_background_shows_nothing_of_its_person():
    photo, mask = person(slice(120, 320), slice(60, 240))
    behind = composites.background(photo, mask)
    assert behind.shape == photo.shape and (behind == BLUE).all()


@pytest.mark.parametrize("seed", range(8))
def test_the_label_is_what_the_picture_shows(seed):
    behind = np.full((*composites.FRAME, 3), BLUE, np.uint8)
    photo, mask = composites.compose(person(slice(100, 320), slice(70, 170)), behind, np.random.default_rng(seed))
    red = photo[..., 0].astype(int) - photo[..., 2] > -20  # between both, whatever the colours were moved by
    assert 0.02 < mask.mean() < 1 and (red == mask).mean() > 0.98
    assert set(np.unique(mask)) == {0, 1} and photo.shape == (320, 240, 3)
    assert mask[-1].any() and (mask[-1] == mask[-4]).all(), "cut off by the lower edge, and still so"
    assert np.abs(photo[-1].astype(int) - photo[-4]).max() < 12


@pytest.mark.parametrize("seed", range(10))
def test_a_person_cut_off_on_both_sides_fills_the_frame(seed):
    behind = np.full((*composites.FRAME, 3), BLUE, np.uint8)
    _, mask = composites.compose(person(slice(100, 320), slice(0, 240)), behind, np.random.default_rng(seed))
    assert mask[-1].all() and mask.any(1).sum() > 0.6 * 220 - 3, "never smaller than in its photo"


def test_people_take_on_the_colours_of_the_place():
    someone, blue = person(slice(100, 320), slice(70, 170)), {}
    for ground in (BLUE, (240, 220, 40)):
        behind = np.full((*composites.FRAME, 3), ground, np.uint8)
        made = [composites.compose(someone, behind, np.random.default_rng(seed)) for seed in range(8)]
        blue[ground] = np.array([photo[mask == 1].mean(0)[2] for photo, mask in made])
    difference = blue[BLUE] - blue[240, 220, 40]
    assert (difference > 0).all() and difference.max() > 30 and np.ptp(difference) > 20, "some more, some less"


def test_the_outline_is_soft_and_without_the_old_background():
    photo, mask = person(slice(60, 260), slice(60, 180), ground=(0, 255, 0))
    behind = np.full_like(photo, 0)
    made, label = composites.compose((photo, mask), behind, np.random.default_rng(1))
    row = made[np.nonzero(label)[0].mean().astype(int)].astype(int)  # across the middle of the person
    assert (made[..., 1].astype(int) - made[..., 0]).max() < 10, "no green of the old background"
    steps = np.abs(np.diff(row[:, 0]))
    assert (steps > 5).sum() >= 4 and steps.max() < 0.8 * row[:, 0].max(), "two feathered edges"


@pytest.mark.parametrize("cut", [(False, False), (True, False), (False, True), (True, True)])
def test_a_person_stays_cut_off_where_the_photo_cut_it_off(cut):
    for seed in range(30):
        random = np.random.default_rng(seed)
        extent = int(random.integers(240, 400) if all(cut) else random.integers(60, 400))
        first = composites.position(extent, 240, cut, random)
        assert not cut[0] or first <= 0
        assert not cut[1] or first + extent >= 240
        assert min(first + extent, 240) - max(first, 0) >= 0.4 * min(extent, 240), "most of it is to be seen"


def test_colours_go_to_those_of_the_background():
    random = np.random.default_rng(0)
    someone, ground = (
        (np.array(colour) / 255 + random.normal(0, 0.05, (40, 40, 3))).clip(0, 1).astype(np.float32)
        for colour in (RED, BLUE)
    )
    inside = np.ones((40, 40), bool)
    same, half, all_of_it = (composites.match_colours(someone, ground, inside, s) for s in (0, 0.5, 1))
    assert np.allclose(same, someone, atol=0.01)
    lab = [cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).mean((0, 1)) for picture in (someone, half, all_of_it, ground)]
    assert np.allclose(lab[1], (lab[0] + lab[3]) / 2, atol=8) and np.allclose(lab[2], lab[3], atol=8)


def test_a_folder_to_learn_from_made_the_same_each_time(named, tmp_path):
    named("picsart", count=40)
    items = composites.sources(0.2)
    table = composites.write(tmp_path / "one", items, 6)
    composites.write(tmp_path / "two", items, 9)
    composites.write(tmp_path / "two", items, 6)  # made again, with fewer
    for one in sorted((tmp_path / "one").rglob("*.*")):
        assert one.read_bytes() == (tmp_path / "two" / one.relative_to(tmp_path / "one")).read_bytes()
    assert len(list((tmp_path / "two" / "images").iterdir())) == 6
    assert (table["person"] != table["background"]).all() and table["person"].is_unique
    assert set(table["person"]) | set(table["background"]) <= {item.stem for item in items}

    config = TrainConfig(dataset="picsart", size=(32, 32), holdout=0.2)
    before, after = (loader.datasets(c)[0] for c in (config, dataclasses.replace(config, extra=str(tmp_path / "one"))))
    assert after.stems == [*before.stems, *table["id"]]
    assert set(after[-1][1].unique().tolist()) <= {0, 1, 255}
    assert (pd.read_csv(tmp_path / "one" / "composites.csv")["share"] > 0).all()
