"""Labels that are wrong by a known amount."""

import numpy as np
import pytest

from faceseg_utils.analysis import labels
from faceseg_utils.dice import boundary_f1, dice_score

ROWS, COLUMNS = np.mgrid[:120, :100]
DISC = (np.hypot(ROWS - 60, COLUMNS - 50) < 35).astype(np.uint8)
CUT_OFF = (np.hypot(ROWS - 110, COLUMNS - 50) < 35).astype(np.uint8)  # the frame cuts through it
RING = DISC - (np.hypot(ROWS - 60, COLUMNS - 50) < 12).astype(np.uint8)


def drawn(mask, every, jitter, seed=0):
    return labels.draw_by_hand(mask, every, jitter, np.random.default_rng(seed))


NESTED = RING | (np.hypot(ROWS - 60, COLUMNS - 50) < 6).astype(np.uint8)  # a piece inside of the hole


@pytest.mark.parametrize("mask", [DISC, CUT_OFF, RING, NESTED, np.zeros_like(DISC), np.ones_like(DISC)])
def test_many_exact_clicks_give_the_mask_back(mask):
    same = drawn(mask, every=1, jitter=0)
    assert same.shape == mask.shape and same.dtype == np.uint8
    assert dice_score(same, mask)[0] > 0.98 and set(np.unique(same)) <= {0, 1}


def test_fewer_and_less_exact_clicks_cost_more():
    exact, coarse, shaky = (dice_score(drawn(DISC, *how), DISC)[0] for how in ((2, 0), (40, 0), (10, 3)))
    assert exact > 0.98 > coarse and exact > shaky > 0.9
    inside = drawn(DISC, 40, 0)
    assert inside.sum() < DISC.sum(), "straight lines between clicks cut corners off a round outline"


def test_a_drawing_can_be_repeated_and_leaves_out_what_has_no_label():
    assert (drawn(DISC, 10, 2) == drawn(DISC, 10, 2)).all() and (drawn(DISC, 10, 2) != drawn(DISC, 10, 2, seed=1)).any()
    unknown = np.where(DISC, 255, 0).astype(np.uint8)
    assert drawn(unknown, 4, 0).sum() == 0


def test_a_planted_fault_lies_on_the_border_and_nowhere_else():
    for seed in range(6):
        spoilt, changed = labels.plant_fault(DISC, 9, np.random.default_rng(seed))
        assert ((spoilt != DISC) == changed).all() and 60 < changed.sum() < 200  # about half of a disc of 254 pixels
        assert len(set(spoilt[changed])) == 1
    with pytest.raises(ValueError, match="no border"):
        labels.plant_fault(np.zeros((9, 9), np.uint8), 3, np.random.default_rng(0))


def test_suspects_are_large_and_sure():
    probability = np.where(DISC, 0.99, 0.01)
    target = DISC.copy()
    target[50:60, 45:55] = 0  # 100 pixels that the label leaves out: to the model, an invention of its own
    target[5:13, 5:13] = 1  # 64 pixels that the model misses
    target[5:10, 80:85] = 1  # too small
    probability[55:65, 60:70], target[55:65, 60:70] = 0.7, 0  # large, and not sure
    found = labels.suspects(probability, target)
    assert found[["kind", "area", "row", "column"]].to_numpy().tolist() == [
        ["invented", 100, 50, 45],
        ["missed", 64, 5, 5],
    ]
    assert len(labels.suspects(probability, target, sure=0.995)) == 0
    assert len(labels.suspects(probability, np.full_like(target, 255))) == 0
    assert boundary_f1(DISC, DISC)[0] == 1 and len(labels.suspects(DISC.astype(float), DISC)) == 0


def test_suspects_refuse_other_sizes():
    with pytest.raises(ValueError, match="compare at the target's size"):
        labels.suspects(np.zeros((4, 5)), np.zeros((5, 4)))
