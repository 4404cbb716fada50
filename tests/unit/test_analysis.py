"""Small cases that can be worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from faceseg_utils import dice
from faceseg_utils.analysis import errors

BOX = np.zeros((40, 40), np.uint8)
BOX[10:30, 10:30] = 1


def shifted(by):
    return np.roll(BOX, by, axis=1)


def test_error_kinds_and_their_size():
    target = np.array([[0, 1, 2, 255, 1]])
    prediction = np.array([[1, 0, 1, 1, 1]])
    assert errors.error_kinds(prediction, target).tolist() == [[2, 1, 3, 0, 0]]
    with pytest.raises(ValueError, match=r"prediction is \(1, 4\) but target is \(1, 5\): compare at"):
        errors.error_kinds(prediction[:, :4], target)


def test_components_are_ordered_by_area_and_join_at_corners():
    mask = np.zeros((6, 6), bool)
    mask[0, 0] = mask[1, 1] = True  # one piece: they touch at a corner
    mask[3:6, 3:6] = True
    labels, areas = errors.components(mask)
    assert areas.tolist() == [9, 2]
    assert labels[4, 4] == 1 and labels[0, 0] == labels[1, 1] == 2 and labels[0, 5] == 0
    assert errors.components(np.zeros((3, 3)))[1].tolist() == []


def test_holes_do_not_touch_the_frame():
    mask = BOX.copy()
    mask[15, 15] = mask[20:22, 20] = 0
    mask[10:13, 20] = 0  # a bay: open to the outside
    assert errors.holes(mask) == 2 and errors.holes(BOX) == 0


def test_image_scores_of_a_shifted_box():
    scores = errors.image_scores(shifted(2), BOX)
    assert scores["false_positives"] == scores["false_negatives"] == 2 * 20
    assert scores["dice"] == pytest.approx(2 * 360 / 800) and scores["iou"] == pytest.approx(360 / 440)
    assert scores["false_positive_share"] == 40 / 1600 and scores["person_share"] == 0.25
    assert scores["boundary_f1"] == 1 and scores["components"] == 1 and scores["holes"] == 0


def test_image_scores_are_those_of_evaluation():
    target = BOX.copy()
    target[:3] = 255
    scores = errors.image_scores(shifted(3), target)
    assert {name: scores[name] for name in ("dice", "iou", "boundary_f1")} == dice.photo_scores(shifted(3), target)


def test_image_scores_leave_ignored_pixels_out():
    target = BOX.copy()
    target[:, :20] = 255
    scores = errors.image_scores(np.ones_like(BOX), target)
    assert scores["false_positives"] == 40 * 20 - 10 * 20
    assert scores["false_negatives"] == 0 and scores["person_share"] == 200 / 800


def test_score_table_joins_metadata_by_stem():
    metadata = pd.DataFrame({"pose": ["left", "front"], "dice": [0, 0]}, index=pd.Index(["b", "a"]))
    table = errors.score_table([BOX, BOX], [BOX, shifted(1)], ["a", "b"], metadata)
    assert table.loc["a", "dice"] == 1 and table.loc["a", "pose"] == "front" and table.loc["b", "pose"] == "left"


def test_distance_counts_from_either_side_of_the_border():
    row = np.array([[0, 0, 0, 1, 1, 1]])
    assert errors.distance_to_border(row).tolist() == [[3, 2, 1, 1, 2, 3]]
    assert np.isinf(errors.distance_to_border(np.ones((3, 3)))).all()


def border_widths(probability, reach=16):
    return errors.profile_widths(*errors.border_profiles(probability, probability > 0.5, reach))


@pytest.mark.parametrize("ramp", [4, 8, 16])
def test_blur_of_a_straight_ramp_is_four_fifths_of_it(ramp):
    columns = np.arange(80)
    probability = np.broadcast_to(np.clip(0.5 - (columns - 39.5) / ramp, 0, 1), (60, 80))
    widths = border_widths(probability)
    assert len(widths) > 10 and np.allclose(widths, 0.8 * ramp, atol=0.25)


def test_blur_of_a_mask_itself_is_one_step():
    assert np.median(border_widths(BOX.astype(float))) == pytest.approx(0.8, abs=0.05)
    wide = np.zeros((30, 30))
    wide[:, :28] = 0.7  # neither .9 nor .1 before the frame
    assert len(border_widths(wide)) == 0


def test_blur_is_infinite_where_the_probability_never_falls():
    probability = np.where(BOX, 0.8, 0.2)
    assert np.isinf(border_widths(probability, reach=6)).all()
    assert border_widths(np.zeros((9, 9))).shape == (0,)


def test_blur_beside_the_frame_is_never_nan():
    rows, columns = np.mgrid[:40, :40]
    disc = (np.hypot(rows - 38, columns - 2) < 15).astype(float)
    widths = border_widths(disc)
    assert len(widths) > 5 and np.isfinite(widths).all() and np.median(widths) < 1.2


def test_slices_by_word_and_by_number():
    table = pd.DataFrame({"dice": np.linspace(0.5, 1, 12), "hat": ["yes", "no"] * 6, "share": np.arange(12.0)})
    by_word = errors.slices(table, "hat")
    assert by_word.index.tolist() == ["no", "yes"] and by_word["n"].tolist() == [6, 6]
    by_number = errors.slices(table, "share")
    assert (by_number["low"] <= by_number["mean"]).all() and (by_number["mean"] <= by_number["high"]).all()
    assert by_number["n"].tolist() == [4, 4, 4] and by_number["mean"].is_monotonic_increasing
    assert by_number.index[0].startswith("0.00 to "), "no share below the smallest"
    with pytest.raises(ValueError, match="no column 'pose'"):
        errors.slices(table, "pose")


def test_intervals_draw_people_not_photos():
    table = pd.DataFrame({"dice": [0.8] * 4 + [0.9] * 4, "light": "soft"})
    alone = errors.slices(table, "light")
    paired = errors.slices(table.assign(seed=[1, 1, 2, 2, 3, 3, 4, 4]), "light")
    assert alone["n"].item() == 8 and paired["n"].item() == 4
    assert paired["low"].item() < alone["low"].item() and paired["mean"].item() == pytest.approx(0.85)


def test_person_probability_of_classes():
    classes = np.stack([np.full((2, 2), 0.3), np.full((2, 2), 0.5), np.full((2, 2), 0.2)])
    assert np.allclose(errors.person_probability(classes), 0.7)
