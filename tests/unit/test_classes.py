"""Scores of many classes, from confusion matrices: by hand, and against counts in loops."""

import numpy as np
import pandas as pd
import pytest

from faceseg_utils.analysis.classes import class_scores, confusions, overall, report
from faceseg_utils.data.catalog import FACE, IGNORE
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.model import Segmenter, UNet
from faceseg_utils.network.saved import ModelConfig

NAMES = ("background", "skin", "eyes", "hat")
# Two photos: rows are true classes, columns predicted ones. Nobody wears a hat; no model sees one.
TABLES = np.array([
    [[50, 0, 0, 0], [10, 30, 0, 0], [0, 4, 6, 0], [0, 0, 0, 0]],
    [[80, 20, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
])  # fmt: skip


def test_scores_of_each_class_by_hand():
    scores = class_scores(TABLES, NAMES)
    assert scores.loc["skin"].to_dict() == pytest.approx({
        "dice": 2 * 30 / (40 + 54), "iou": 30 / 64, "recall": 30 / 40, "precision": 30 / 54,
        "pixels": 40, "share": 40 / 200, "photos": 1,
    })  # fmt: skip
    assert scores["pixels"].tolist() == [150, 40, 10, 0] and scores["photos"].tolist() == [2, 1, 1, 0]
    assert scores.loc["hat", ["dice", "iou", "recall", "precision"]].isna().all()


def test_four_ways_to_one_number():
    dice = {"background": 260 / 290, "skin": 60 / 94, "eyes": 12 / 16}
    iou = {name: d / (2 - d) for name, d in dice.items()}
    found = overall(TABLES)
    assert found.to_dict() == pytest.approx({
        "macro_dice": (dice["skin"] + dice["eyes"]) / 2,
        "macro_iou": (iou["skin"] + iou["eyes"]) / 2,
        "frequency_iou": (150 * iou["background"] + 40 * iou["skin"] + 10 * iou["eyes"]) / 200,
        "pixel_accuracy": 166 / 200,
    })  # fmt: skip


def test_a_class_that_is_only_invented_counts_as_zero_and_is_named():
    tables = TABLES.copy()
    tables[0, 0, 3] = 5
    scores = class_scores(tables, NAMES)
    assert scores.at["hat", "dice"] == 0 and np.isnan(scores.at["hat", "recall"])
    assert overall(tables)["macro_dice"] == pytest.approx(scores["dice"][["skin", "eyes", "hat"]].mean())
    assert report(tables, NAMES).endswith("in no true mask: hat; predicted all the same, so Dice 0 in the means")
    assert report(TABLES, NAMES).endswith("in no true mask: hat; not in the means")
    assert "in no true mask" not in report(TABLES[:, :3, :3], NAMES[:3])


def test_a_perfect_answer_scores_one_in_every_way():
    perfect = np.diag([5, 3, 2])[None]
    assert overall(perfect).tolist() == [1, 1, 1, 1]
    assert class_scores(perfect, NAMES[:3])[["dice", "iou", "recall", "precision"]].eq(1).all().all()


def test_confusions_come_photo_by_photo_at_native_size(named):
    named("fasseg", count=3)
    options = {"width": 4, "depth": 2}
    config = ModelConfig("unet", FACE, (64, 64), (0.5,) * 3, (0.5,) * 3, options)
    segmenter = Segmenter(UNet(classes=6, **options).eval(), config)
    photos = PortraitDataset("fasseg", "exam")
    tables = confusions(segmenter, photos)
    assert tables.shape == (3, 6, 6)
    for table, (photo, mask) in zip(tables, photos):
        prediction = segmenter.classify(photo)
        expected = pd.crosstab(mask.ravel(), prediction.ravel()).reindex(index=range(6), columns=range(6), fill_value=0)
        assert (table == expected).all().all() and table.sum() == (mask != IGNORE).sum()
