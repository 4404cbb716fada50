"""Planted faults: of the right kind and size, repeatable, and judged by arithmetic that can be done by hand."""

import numpy as np
import pytest
from scipy import ndimage

from faceseg_utils import dice
from faceseg_utils.play import detective


def portraits(count, seed):
    """Photos of noise, masks with a head somewhere, lopsided, each of its own size."""
    random = np.random.default_rng(seed)
    row, column = np.mgrid[:80, :60]
    made = []
    for _ in range(count):
        middle, radius = random.uniform((30, 20), (40, 30)), random.uniform(12, 20)
        mask = (np.hypot(row - middle[0], column - middle[1]) < radius) | (row > 60 + column // 8)
        made.append((random.integers(0, 200, (80, 60, 3), dtype=np.uint8), mask.astype(np.uint8)))
    return made


OURS, OTHERS = portraits(60, 0), portraits(10, 1)
CASE = detective.plant(OURS, OTHERS, seed=7)
TRUTH = CASE._faults


def of(kind):
    return [(i, *CASE[i]) for i, fault in TRUTH.items() if fault == kind]


def test_each_kind_is_planted_as_often_and_the_rest_is_as_it_was():
    assert [len(of(kind)) for kind in detective.KINDS] == [8] * 6 and len(CASE) == len(OURS)
    for i in set(range(len(OURS))) - set(TRUTH):
        assert CASE[i][0] is OURS[i][0] and CASE[i][1] is OURS[i][1]
    again = portraits(60, 0)
    assert all((a[0] == b[0]).all() and (a[1] == b[1]).all() for a, b in zip(OURS, again)), "the originals were touched"


def test_photos_stay_and_masks_are_whole_numbers_of_the_same_size():
    for i, kind in TRUTH.items():
        photo, mask = CASE[i]
        assert photo.shape == (80, 60, 3) and mask.shape == (80, 60) and photo.dtype == mask.dtype == np.uint8
        assert set(np.unique(mask)) == {0, 1}
        assert (kind == "leaked") != (photo is OURS[i][0])


def test_swapped_masks_are_the_partners():
    owner = {CASE[i][1].tobytes(): i for i, _, _ in of("swapped")}
    for i, _, mask in of("swapped"):
        (partner,) = [k for k, (_, other) in enumerate(OURS) if other is mask]
        assert partner != i and TRUTH[partner] == "swapped" and owner[OURS[i][1].tobytes()] == partner


def test_shifted_by_three_to_eight_pixels_both_ways():
    for i, _, mask in of("shifted"):
        found = [
            (r, c) for r in range(-9, 10) for c in range(-9, 10) if (detective.move(OURS[i][1], r, c) == mask).all()
        ]
        assert any(3 <= abs(r) <= 8 and 3 <= abs(c) <= 8 for r, c in found)
    assert len({mask.tobytes() for _, _, mask in of("shifted")}) == 8


def test_a_moved_mask_repeats_its_rim():
    mask = np.array([[0, 1, 2], [3, 4, 5]])
    assert detective.move(mask, 1, 0).tolist() == [[0, 1, 2], [0, 1, 2]]
    assert detective.move(mask, -1, -2).tolist() == [[5, 5, 5], [5, 5, 5]]
    assert detective.move(mask, 0, 1).tolist() == [[0, 0, 1], [3, 3, 4]]
    assert detective.move(mask, 0, 0).tolist() == mask.tolist()


def test_eroded_by_two_to_five_pixels_but_not_along_the_frame():
    depths = set()
    for i, _, mask in of("eroded"):
        true = OURS[i][1]
        assert (mask <= true).all() and mask[-1].all()  # the bottom row is person up to the frame
        inside = ndimage.distance_transform_cdt(np.pad(true, ((0, 9), (9, 9)), "edge"), "taxicab")[:-9, 9:-9]
        (depth,) = [d for d in range(2, 6) if (mask == (inside > d)).all()]
        depths.add(depth)
    assert len(depths) > 1


def test_mirrored_and_wrong_class():
    for i, _, mask in of("mirrored"):
        assert (mask == OURS[i][1][:, ::-1]).all()
    for i, _, mask in of("wrong class"):
        assert (mask == 1 - OURS[i][1]).all()


def test_a_leaked_portrait_is_one_of_the_others_and_fits_its_mask():
    sources = []
    for _, _, mask in of("leaked"):
        candidates = [
            max(dice.dice_score(m, mask)[0] for m in (other, other[:, ::-1], zoomed(other))) for _, other in OTHERS
        ]
        sources.append(int(np.argmax(candidates)))
        assert max(candidates) > 0.99
    assert len(set(sources)) == 8


def zoomed(mask):
    rows, columns = (np.linspace(0.05 * n, 0.95 * n, n, endpoint=False).astype(int) for n in mask.shape)
    return mask[np.ix_(rows, columns)]


def test_the_same_seed_plants_the_same_and_another_seed_others():
    same, other = detective.plant(OURS, OTHERS, seed=7), detective.plant(OURS, OTHERS, seed=8)
    assert same._faults == TRUTH and all((same[i][1] == CASE[i][1]).all() for i in range(60))
    assert other._faults != TRUTH


def test_precision_and_recall():
    everybody = CASE.report([TRUTH.get(i, "") for i in range(60)])
    assert (everybody[["planted", "accused", "found"]] == 8).to_numpy().all()
    assert (everybody[["precision", "recall"]] == 1).to_numpy().all()

    accused = [""] * 60
    guilty = [i for i, _, _ in of("eroded")]
    innocent = [i for i in range(60) if i not in TRUTH]
    for i in guilty[:2] + innocent[:2] + [of("mirrored")[0][0]]:
        accused[i] = "eroded"
    table = CASE.report(accused)
    assert table.loc["eroded"].tolist() == [8, 5, 2, 2 / 5, 2 / 8]
    assert np.isnan(table.loc["mirrored", "precision"]) and table.loc["mirrored", "recall"] == 0
    assert tuple(table.index) == detective.KINDS


def test_what_cannot_be_planted_or_judged_is_refused():
    with pytest.raises(ValueError, match="an even number, 48 portraits"):
        detective.plant(OURS[:47], OTHERS, seed=0)
    with pytest.raises(ValueError, match="an even number"):
        detective.plant(OURS, OTHERS, seed=0, each=3)
    with pytest.raises(ValueError, match="one size"):
        detective.plant([*OURS[:-1], (OURS[0][0][:70], OURS[0][1][:70])], OTHERS, seed=0)
    with pytest.raises(ValueError, match="59 words: expected 60"):
        CASE.report([""] * 59)
    with pytest.raises(ValueError, match="'wobbly' among them"):
        CASE.report(["wobbly"] + [""] * 59)
