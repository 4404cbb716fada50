"""Scores and losses against implementations that share no code with ours: loops in pure Python, smp, torch."""

import math

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F

from faceseg_utils import dice
from faceseg_utils.catalog import IGNORE
from faceseg_utils.dice import boundary, boundary_f1, dice_score, iou_score, report_dice

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


def slow_border(mask, c):
    height, width = len(mask), len(mask[0])
    border = set()
    for i in range(height):
        for j in range(width):
            around = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
            inside = [(k, m) for k, m in around if 0 <= k < height and 0 <= m < width]
            if mask[i][j] == c and any(mask[k][m] != c for k, m in inside):
                border.add((i, j))
    return border


def slow_boundary_f1(x, y, c=1, tolerance=2):
    valid = valid_pixels(y)
    a, b = slow_border(x, c) & valid, slow_border(y, c) & valid
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
    assert (dice_score(x, y) == dice_score(other, y)).all() and (iou_score(x, y) == iou_score(other, y)).all()
    nothing = np.full((9, 7), IGNORE)
    assert dice_score(FULL, nothing) == [1.0] and iou_score(FULL, nothing) == [1.0]
    assert boundary_f1(random_masks(2)[0][0], nothing) == [1.0]


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
    assert (score(x == 1, y) == score(x, y)).all()


@pytest.mark.parametrize("score", [dice_score, iou_score, boundary_f1])
def test_different_sizes_are_refused(score):
    with pytest.raises(ValueError, match=r"\(9, 7\) but target is \(9, 6\): score at the target's size"):
        score(FULL, FULL[:, :6])


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


# --- Losses --------------------------------------------------------------------------------------------------------


def made_up(channels, ignored=True, scale=2.0):
    random = torch.Generator().manual_seed(channels)
    logits = (torch.randn(3, channels, 6, 5, generator=random) * scale).requires_grad_()
    target = torch.randint(0, max(2, channels), (3, 6, 5), generator=random)
    if ignored:
        target[torch.rand(target.shape, generator=random) < 0.3] = IGNORE
    return logits, target


@pytest.mark.parametrize("ignored", [False, True])
def test_binary_cross_entropy_is_torchs_over_the_pixels_that_count(ignored):
    logits, target = made_up(1, ignored)
    valid = target != IGNORE
    expected = F.binary_cross_entropy_with_logits(logits[:, 0][valid], target[valid].float())
    torch.testing.assert_close(dice.cross_entropy(logits, target), expected)


@pytest.mark.parametrize("ignored", [False, True])
def test_cross_entropy_of_classes_is_torchs_over_the_pixels_that_count(ignored):
    logits, target = made_up(4, ignored)
    valid = target != IGNORE
    expected = F.cross_entropy(logits.permute(0, 2, 3, 1)[valid], target[valid])
    torch.testing.assert_close(dice.cross_entropy(logits, target), expected)


def photo_by_photo(logits, target):
    """Probabilities and truth, float64 [pixels that count], of every photo and class but background."""
    for scores, wanted in zip(logits.detach().double(), target):
        valid = wanted != IGNORE
        probabilities = scores.sigmoid() if len(scores) == 1 else scores.softmax(0)[1:]
        for c, p in enumerate(probabilities, 1):
            yield p[valid], (wanted[valid] == c).double()


@pytest.mark.parametrize("channels", [1, 4])
def test_soft_dice_is_its_formula_photo_by_photo(channels):
    logits, target = made_up(channels)
    losses = [1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1) for p, y in photo_by_photo(logits, target)]
    assert dice.soft_dice_loss(logits, target).item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)


def test_soft_dice_agrees_with_smp_on_a_single_photo():
    logits, target = made_up(1)
    logits, target = logits[:1], target[:1]
    # smp writes Dice as I / (mean area) and adds to that, so its 0.5 is our 1; it takes a batch as one picture.
    reference = smp.losses.DiceLoss("binary", from_logits=True, smooth=0.5, ignore_index=IGNORE)
    torch.testing.assert_close(dice.soft_dice_loss(logits, target), reference(logits, target.float()[:, None]))


def test_the_sum_is_the_sum():
    logits, target = made_up(1)
    parts = dice.cross_entropy(logits, target) + dice.soft_dice_loss(logits, target)
    torch.testing.assert_close(dice.bce_dice_loss(logits, target), parts)


@pytest.mark.parametrize("channels", [1, 4])
def test_tversky_is_its_formula_photo_by_photo(channels):
    logits, target = made_up(channels)
    losses = []
    for p, y in photo_by_photo(logits, target):
        both, invented, missed = (p * y).sum(), (p * (1 - y)).sum(), ((1 - p) * y).sum()
        losses.append(1 - (both + 1) / (both + 0.3 * invented + 0.7 * missed + 1))
    assert dice.tversky_loss(logits, target).item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)


def test_tversky_agrees_with_smp_on_a_single_photo_and_with_soft_dice_at_one_half():
    logits, target = made_up(1)
    one = logits[:1], target[:1]
    reference = smp.losses.TverskyLoss("binary", alpha=0.3, beta=0.7, smooth=1.0, ignore_index=IGNORE)
    torch.testing.assert_close(dice.tversky_loss(*one), reference(one[0], one[1].float()[:, None]))
    half = dice.tversky_loss(logits, target, invented=0.5, missed=0.5, smooth=0.5)
    torch.testing.assert_close(half, dice.soft_dice_loss(logits, target))


def test_tversky_would_rather_invent_than_miss():
    target = torch.zeros(1, 10, 10, dtype=torch.int64)
    target[:, 3:7] = 1
    more, less = torch.full((1, 1, 10, 10), -20.0), torch.full((1, 1, 10, 10), -20.0)
    more[:, :, 2:8] = less[:, :, 4:6] = 20.0  # one row too many, one row too few, at either end
    assert dice.tversky_loss(more, target) < dice.tversky_loss(less, target)


@pytest.mark.parametrize("ignored", [False, True])
def test_focal_is_smps_for_one_channel(ignored):
    logits, target = made_up(1, ignored)
    reference = smp.losses.FocalLoss("binary", gamma=2.0, ignore_index=IGNORE)
    torch.testing.assert_close(dice.focal_loss(logits, target), reference(logits, target))


def test_focal_of_classes_by_its_formula():
    logits, target = made_up(4)
    losses = []
    for scores, wanted in zip(logits.detach().permute(0, 2, 3, 1).flatten(0, 2), target.flatten()):
        if wanted != IGNORE:
            p = math.exp(scores[wanted]) / sum(math.exp(s) for s in scores)
            losses.append((1 - p) ** 2 * -math.log(p))
    assert dice.focal_loss(logits, target).item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def slow_border_weights(target, strength=10.0, reach=2.0):
    """Loops: the distance of every labelled pixel to the nearest pixel with a neighbour of another class."""
    height, width = len(target), len(target[0])
    edge = []
    for i in range(height):
        for j in range(width):
            around = [(k, m) for k, m in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)) if k in range(height)]
            seen = {target[k][m] for k, m in around if m in range(width)} - {IGNORE}
            if target[i][j] != IGNORE and seen - {target[i][j]}:
                edge.append((i, j))
    weights = [[0.0] * width for _ in range(height)]
    for i in range(height):
        for j in range(width):
            if target[i][j] != IGNORE:
                d = min((math.dist((i, j), e) for e in edge), default=math.inf)
                weights[i][j] = 1 + strength * math.exp(-(d**2) / (2 * reach**2))
    return weights


@pytest.mark.parametrize("classes, ignored", [(2, 0.0), (2, 0.3), (4, 0.3)])
def test_border_weights_agree_with_loops(classes, ignored):
    target = torch.tensor(random_masks(classes, ignored, size=(9, 8))[1])
    expected = torch.tensor([slow_border_weights(one.tolist()) for one in target])
    torch.testing.assert_close(dice.border_weights(target), expected)


def test_border_weights_fall_from_eleven_to_one_and_padding_makes_no_border():
    target = torch.zeros(1, 1, 40, dtype=torch.int64)
    target[..., 20:] = 1
    target[..., :5] = IGNORE
    weights = dice.border_weights(target)[0, 0]
    assert weights[19] == weights[20] == 11 and weights[21] == pytest.approx(1 + 10 * math.exp(-1 / 8))
    assert (weights[:5] == 0).all() and weights[5] == pytest.approx(1) and weights[39] == pytest.approx(1)


@pytest.mark.parametrize("channels", [1, 4])
def test_border_cross_entropy_is_the_weighted_mean(channels):
    logits, target = made_up(channels)
    valid, weights = target != IGNORE, dice.border_weights(target).double()
    scores = logits.detach().double()
    if channels == 1:
        each = F.binary_cross_entropy_with_logits(scores[:, 0][valid], target[valid].double(), reduction="none")
    else:
        each = F.cross_entropy(scores.permute(0, 2, 3, 1)[valid], target[valid], reduction="none")
    expected = (each * weights[valid]).sum() / weights[valid].sum()
    assert dice.border_cross_entropy(logits, target).item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("loss", dice.LOSSES)
@pytest.mark.parametrize("channels", [1, 4])
def test_gradients_are_finite_and_none_comes_from_ignored_pixels(loss, channels):
    logits, target = made_up(channels)
    dice.LOSSES[loss](logits, target).backward()
    ignored = (target == IGNORE)[:, None].expand_as(logits)
    assert logits.grad.isfinite().all()
    assert (logits.grad[ignored] == 0).all() and (logits.grad[~ignored] != 0).any()


@pytest.mark.parametrize("loss", dice.LOSSES)
@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_extreme_logits_do_not_overflow(loss, channels, scale):
    logits, target = made_up(channels, scale=scale)
    value = dice.LOSSES[loss](logits, target)
    value.backward()
    assert value.isfinite() and logits.grad.isfinite().all()


@pytest.mark.parametrize("loss", dice.LOSSES)
@pytest.mark.parametrize("channels", [1, 4])
def test_a_batch_without_any_label_costs_nothing(loss, channels):
    logits, target = made_up(channels)
    value = dice.LOSSES[loss](logits, torch.full_like(target, IGNORE))
    value.backward()
    assert value.item() == 0 and (logits.grad == 0).all()


@pytest.mark.parametrize("loss", dice.LOSSES)
@pytest.mark.parametrize("channels", [1, 4])
def test_the_right_answer_costs_least(loss, channels):
    logits, target = made_up(channels)
    right = torch.where(target == 1, 20.0, -20.0)[:, None]
    if channels > 1:
        right = torch.stack([torch.where(target == c, 20.0, -20.0) for c in range(channels)], 1)
    assert dice.LOSSES[loss](right, target).item() < 0.001
    assert dice.LOSSES[loss](-right, target).item() > dice.LOSSES[loss](logits, target).item() > 0.1


def test_soft_dice_never_passes_one_and_is_zero_for_empty_on_empty():
    nobody, empty = torch.full((1, 1, 4, 4), -1e4), torch.zeros(1, 4, 4, dtype=torch.int64)
    assert dice.soft_dice_loss(nobody, empty).item() == 0
    assert 0 < dice.soft_dice_loss(-nobody, empty).item() <= 1
