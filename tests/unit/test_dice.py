"""Scores against implementations that share no code with ours: loops in pure Python, smp."""

import math

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch

from faceseg_utils.data.catalog import IGNORE
from faceseg_utils.dice import boundary, boundary_f1, confusion_matrix, dice_score, iou_score, photo_scores, report_dice

EMPTY, FULL = np.zeros((9, 7), int), np.ones((9, 7), int)


def random_masks(classes, ignored=0.0, count=6, size=(9, 7), seed=0):
    """Predictions and targets int64 [count, H, W]; blobs rather than noise, so that they have borders."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, classes, (2, count, 3, 3))
    masks = np.kron(coarse, np.ones((1, 1, 3, 3), int))[:, :, : size[0], : size[1]].copy()
    noise = random.random(masks.shape) < 0.1
    masks[noise] = random.integers(0, classes, noise.sum())
    masks[1][random.random(masks[1].shape) < ignored] = IGNORE
    return masks[0], masks[1]


def pixels(mask, c, valid):
    return {(i, j) for i in range(len(mask)) for j in range(len(mask[0])) if mask[i][j] == c and (i, j) in valid}


def valid_pixels(target):
    return {(i, j) for i in range(len(target)) for j in range(len(target[0])) if target[i][j] != IGNORE}


def slow_dice(x, y, c=1):
    valid = valid_pixels(y)
    a, b = pixels(x, c, valid), pixels(y, c, valid)
    return 2 * len(a & b) / (len(a) + len(b)) if a or b else 1.0


def slow_iou(x, y, c=1):
    valid = valid_pixels(y)
    a, b = pixels(x, c, valid), pixels(y, c, valid)
    return len(a & b) / len(a | b) if a or b else 1.0


def slow_border(mask, c, valid):
    """Pixels of class c beside one of another class, where both count."""
    border = set()
    for i, j in valid:
        around = {(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)} & valid
        if mask[i][j] == c and any(mask[k][m] != c for k, m in around):
            border.add((i, j))
    return border


def slow_boundary_f1(x, y, c=1, tolerance=2):
    valid = valid_pixels(y)
    a, b = slow_border(x, c, valid), slow_border(y, c, valid)
    if not a or not b:
        return float(not a and not b)
    precision = sum(any(math.dist(p, q) <= tolerance for q in b) for p in a) / len(a)
    recall = sum(any(math.dist(p, q) <= tolerance for q in a) for p in b) / len(b)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


SCORES = [(dice_score, slow_dice), (iou_score, slow_iou), (boundary_f1, slow_boundary_f1)]


@pytest.mark.parametrize("fast, slow", SCORES)
@pytest.mark.parametrize("ignored", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(3))
def test_binary_scores_agree_with_loops_in_python(fast, slow, ignored, seed):
    x, y = random_masks(2, ignored, seed=seed)
    scores = fast(x, y)
    assert scores.shape == (6,) and scores.dtype == np.float64
    assert scores == pytest.approx([slow(a.tolist(), b.tolist()) for a, b in zip(x, y)])
    assert 0 < scores.min() < scores.max() <= 1, "made-up masks that tell nothing apart"


@pytest.mark.parametrize("fast, slow", SCORES)
@pytest.mark.parametrize("ignored", [0.0, 0.3])
def test_scores_of_several_classes_agree_with_loops_in_python(fast, slow, ignored):
    x, y = random_masks(4, ignored)
    scores = fast(x, y, classes=4)
    assert scores.shape == (6, 3)
    expected = [[slow(a.tolist(), b.tolist(), c) for c in (1, 2, 3)] for a, b in zip(x, y)]
    assert scores == pytest.approx(np.array(expected))


@pytest.mark.parametrize("fast, reference", [(dice_score, smp.metrics.f1_score), (iou_score, smp.metrics.iou_score)])
@pytest.mark.parametrize("ignored", [0.0, 0.3])
def test_scores_agree_with_smp(fast, reference, ignored):
    x, y = random_masks(4, ignored)
    # smp's ignore_index drops pixels by value in both; its "multiclass" mode marks them in the target by that value.
    wanted = torch.tensor(np.where(y == IGNORE, -1, y))
    counts = smp.metrics.get_stats(torch.tensor(x), wanted, mode="multiclass", num_classes=4, ignore_index=-1)
    expected = reference(*counts, reduction="none", zero_division=1.0)[:, 1:]
    assert fast(x, y, classes=4) == pytest.approx(expected.numpy())


@pytest.mark.parametrize("fast, reference", [(dice_score, smp.metrics.f1_score), (iou_score, smp.metrics.iou_score)])
def test_binary_scores_agree_with_smp_on_random_empty_and_full_masks(fast, reference):
    x, y = random_masks(2)
    x = np.concatenate([x, [EMPTY, EMPTY, FULL, FULL]])
    y = np.concatenate([y, [EMPTY, FULL, EMPTY, FULL]])
    counts = smp.metrics.get_stats(torch.tensor(x)[:, None], torch.tensor(y)[:, None], mode="binary")
    expected = reference(*counts, reduction="none", zero_division=1.0)[:, 0]
    assert fast(x, y) == pytest.approx(expected.numpy())


@pytest.mark.parametrize("score", [dice_score, iou_score])
def test_empty_and_full_masks(score):
    assert score(EMPTY, EMPTY) == [1.0] and score(FULL, FULL) == [1.0]
    assert score(EMPTY, FULL) == [0.0] and score(FULL, EMPTY) == [0.0]


def test_borders_of_empty_and_full_masks():
    hole = FULL.copy()
    hole[4, 3] = 0
    assert boundary_f1(EMPTY, EMPTY) == [1.0] and boundary_f1(FULL, FULL) == [1.0]
    assert boundary_f1(FULL, EMPTY) == [1.0], "a full mask ends at the frame only, which is no border"
    assert boundary_f1(hole, FULL) == [0.0] and boundary_f1(EMPTY, hole) == [0.0]


def test_ignored_pixels_never_count():
    x, y = random_masks(2, 0.4)
    other = np.where(y == IGNORE, 1 - x, x)
    for score in (dice_score, iou_score, boundary_f1):
        assert (score(x, y) == score(other, y)).all()
    nothing = np.full((9, 7), IGNORE)
    assert dice_score(FULL, nothing) == [1.0] and iou_score(FULL, nothing) == [1.0]
    assert boundary_f1(random_masks(2)[0][0], nothing) == [1.0]


def test_a_prediction_that_ends_inside_an_ignored_band_is_right():
    target = np.zeros((12, 12), int)
    target[:, :4], target[:, 4:8] = 1, IGNORE
    for end in (4, 6, 8):
        prediction = np.zeros((12, 12), int)
        prediction[:, :end] = 1
        assert set(photo_scores(prediction, target).values()) == {1.0}
    target[0] = 0  # a border that counts: the person ends below the first row
    assert boundary_f1(prediction, target) < 1


EACH_SCORE = {"dice": dice_score, "iou": iou_score, "boundary_f1": boundary_f1}


def test_the_scores_of_a_photo_are_means_over_its_classes():
    for classes in (2, 4):
        x, y = (masks[0] for masks in random_masks(classes, 0.2))
        expected = {name: score(x, y, classes).mean() for name, score in EACH_SCORE.items()}
        assert photo_scores(x, y, classes) == pytest.approx(expected)


def test_classes_that_neither_mask_shows_do_not_enter_the_means_of_a_photo():
    x, y = (masks[0] for masks in random_masks(3))
    assert photo_scores(x, y, 9) == photo_scores(x, y, 3), "six classes that are nowhere count neither as 1 nor as 0"
    invented = x.copy()
    invented[0, 0] = 8
    x[0, 0] = y[0, 0] = 1
    expected = {name: np.append(score(invented, y, 3 + 6)[0, :2], 0).mean() for name, score in EACH_SCORE.items()}
    assert photo_scores(invented, y, 9) == pytest.approx(expected), "one that is invented counts as 0"
    assert set(photo_scores(EMPTY, EMPTY, 9).values()) == {1.0}


@pytest.mark.parametrize("classes", [2, 4])
def test_the_confusion_matrix_counts_pairs_of_true_and_predicted_class(classes):
    x, y = random_masks(classes, 0.3)
    tables = confusion_matrix(x, y, classes)
    assert tables.shape == (6, classes, classes) and tables.dtype == np.int64
    for table, prediction, target in zip(tables, x.tolist(), y.tolist()):
        expected = np.zeros((classes, classes), int)
        for i, j in valid_pixels(target):
            expected[target[i][j], prediction[i][j]] += 1  # rows are true classes
        assert (table == expected).all()
    assert (confusion_matrix(x[0], y[0], classes) == tables[:1]).all()


def test_a_known_value():
    x, y = np.zeros((4, 4), int), np.zeros((4, 4), int)
    x[:, :2] = y[:, 1:3] = 1  # shifted by one column: half of each is shared
    assert dice_score(x, y) == [0.5] and iou_score(x, y) == pytest.approx([1 / 3])
    assert boundary_f1(x, y, tolerance=0) == pytest.approx([2 / 3])  # borders {1} and {1, 2}: P = 1, R = 1/2
    assert boundary_f1(x, y, tolerance=1) == [1.0]


def test_the_border_is_the_inner_one_without_the_frame():
    mask = np.zeros((5, 5), bool)
    mask[:4, :4] = True
    expected = np.zeros((5, 5), bool)
    expected[3, :4] = expected[:4, 3] = True
    assert (boundary(mask) == expected).all()


@pytest.mark.parametrize("score", [dice_score, iou_score, boundary_f1])
def test_scores_take_arrays_and_tensors_single_and_stacked(score):
    x, y = random_masks(2)
    one = score(x[0], y[0])
    assert one.shape == (1,) and one[0] == score(x, y)[0]
    assert (score(torch.tensor(x), torch.tensor(y)) == score(x.astype(np.uint8), y.astype(np.uint8))).all()
    assert (score(x == 1, y) == score(x, y)).all() and (score(x * 1.0, y) == score(x, y)).all()
    assert (score(x[:, ::-1], y[:, ::-1]) == score(np.ascontiguousarray(x[:, ::-1]), y[:, ::-1])).all()


@pytest.mark.parametrize("score", [dice_score, iou_score, boundary_f1])
def test_different_sizes_are_refused(score):
    with pytest.raises(ValueError, match=r"\(9, 7\) but target is \(9, 6\): score at the target's size"):
        score(FULL, FULL[:, :6])


@pytest.mark.parametrize("score", [dice_score, iou_score, boundary_f1, photo_scores])
@pytest.mark.parametrize(
    "prediction, target, message",
    [
        (FULL * 255, FULL * 255, "prediction holds 255, but classes are 0 to 1: is it a mask of 0 and 255?"),
        (FULL, FULL * 2, "target holds 2, but classes are 0 to 1"),
        (FULL * -1, FULL, "prediction holds -1, but classes are 0 to 1"),
        (FULL * 0.7, FULL, "prediction holds fractions: are these probabilities?"),
        (FULL * np.nan, FULL, "prediction holds fractions"),
        (FULL * np.inf, FULL, "prediction holds inf"),
        (FULL[None, None], FULL[None, None], r"masks are (1, 1, 9, 7): expected [H, W]"),
        (FULL[0], FULL[0], "masks are (7,): expected [H, W]"),
        (FULL[:0], FULL[:0], "masks are (0, 7): expected [H, W]"),
    ],
    ids=["255", "class 2", "negative", "probabilities", "nan", "inf", "4-D", "1-D", "no pixel"],
)
def test_what_is_no_class_map_is_refused(score, prediction, target, message):
    with pytest.raises(ValueError) as error:
        score(prediction, target)
    assert str(error.value).startswith(message)


def test_iou_follows_from_dice():
    x, y = random_masks(2, 0.2)
    assert iou_score(x, y) == pytest.approx(dice_score(x, y) / (2 - dice_score(x, y)))


# --- The report's Dice ---------------------------------------------------------------------------------------------


def test_the_reports_dice_by_its_formula():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 1, 4, 5, generator=random) * 3
    target = torch.randint(0, 2, (3, 4, 5), generator=random)
    expected = []
    for scores, wanted in zip(logits[:, 0].flatten(1).tolist(), target.flatten(1).tolist()):
        x = [round(1 / (1 + math.exp(-s))) for s in scores]
        both = sum(a * b for a, b in zip(x, wanted))
        expected.append(min(1, 2 * (both + 1) / (sum(x) + sum(wanted) + 1)))
    assert report_dice(logits, target) == pytest.approx(sum(expected) / 3)


def test_the_reports_dice_scores_2_on_the_empty_mask_before_the_clamp():
    nobody, empty = torch.full((1, 1, 4, 4), -9.0), torch.zeros(1, 4, 4, dtype=torch.int64)
    assert report_dice(nobody, empty) == 1.0
    one_pixel = nobody.clone()
    one_pixel[0, 0, 0, 0] = 9.0
    assert report_dice(one_pixel, empty) == 1.0, "2 (0 + 1) / (1 + 0 + 1): a mistake that costs nothing there"
    assert dice_score((one_pixel[:, 0] > 0).long(), empty) == [0.0]


def test_the_reports_dice_counts_padding_as_background():
    logits = torch.full((1, 1, 4, 4), 9.0)
    target = torch.ones(1, 4, 4, dtype=torch.int64)
    target[:, :2] = IGNORE
    assert report_dice(logits, target) == pytest.approx(2 * (8 + 1) / (16 + 8 + 1))
