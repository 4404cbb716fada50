"""Losses, one number per photo: against formulas written out pixel by pixel, smp and torch."""

import math

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F

from faceseg_utils import losses
from faceseg_utils.data.catalog import IGNORE
from faceseg_utils.dice import photo_scores
from faceseg_utils.losses import LOSSES

CHANNELS = pytest.mark.parametrize("channels", [1, 4])
EACH_LOSS = pytest.mark.parametrize("loss", LOSSES)


def made_up(channels, ignored=True, scale=2.0):
    """Logits [3, C, 6, 5] that take gradients, and classes [3, 6, 5] of which a third may be 255."""
    random = torch.Generator().manual_seed(channels)
    logits = (torch.randn(3, channels, 6, 5, generator=random) * scale).requires_grad_()
    target = torch.randint(0, max(2, channels), (3, 6, 5), generator=random)
    if ignored:
        target[torch.rand(target.shape, generator=random) < 0.3] = IGNORE
    return logits, target


# --- Each loss in loops, in float64: a number for one photo, logits [C, H, W] and classes [H, W] ----------------------


def probabilities_that_count(logits, target):
    """(probability of each class, class) of every pixel that counts, as numbers."""
    for scores, wanted in zip(logits.detach().double().flatten(1).T.tolist(), target.flatten().tolist()):
        if wanted != IGNORE:
            scores = [0.0, *scores] if len(scores) == 1 else scores  # one logit is that of the person, beside a 0
            total = sum(math.exp(score) for score in scores)
            yield [math.exp(score) / total for score in scores], wanted


def slow_bce(logits, target):
    costs = [-math.log(p[wanted]) for p, wanted in probabilities_that_count(logits, target)]
    return sum(costs) / len(costs)


def slow_focal(logits, target):
    costs = [(1 - p[c]) ** 2 * -math.log(p[c]) for p, c in probabilities_that_count(logits, target)]
    return sum(costs) / len(costs)


def slow_overlap(logits, target, invented, missed, smooth):
    """1 - (TP + smooth) / (TP + invented FP + missed FN + smooth), mean over all classes but background."""
    pixels = list(probabilities_that_count(logits, target))
    costs = []
    for c in range(1, len(pixels[0][0])):
        both = sum(p[c] for p, wanted in pixels if wanted == c)
        false = sum(p[c] for p, wanted in pixels if wanted != c)
        lost = sum(1 - p[c] for p, wanted in pixels if wanted == c)
        costs.append(1 - (both + smooth) / (both + invented * false + missed * lost + smooth))
    return sum(costs) / len(costs)


def slow_dice(logits, target):  # (2 TP + 1) / (2 TP + FP + FN + 1), so halved once
    return slow_overlap(logits, target, 0.5, 0.5, 0.5)


def slow_tversky(logits, target):
    return slow_overlap(logits, target, 0.3, 0.7, 1.0)


def slow_border_weights(target, strength=10.0, reach=2.0):
    """By the distance of every labelled pixel to the nearest one with a neighbour of another class."""
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


def slow_border_bce(logits, target):
    weights = [w for row in slow_border_weights(target.tolist()) for w in row if w]
    costs = [-math.log(p[wanted]) for p, wanted in probabilities_that_count(logits, target)]
    return sum(w * cost for w, cost in zip(weights, costs, strict=True)) / sum(weights)


def slow_weighted_bce(logits, target):
    """The mean over pixels, each weighted by 1 / the root of how many of its class there are."""
    classes = [c for c in target.flatten().tolist() if c != IGNORE]
    weights = [classes.count(c) ** -0.5 for c in classes]
    costs = [-math.log(p[wanted]) for p, wanted in probabilities_that_count(logits, target)]
    return sum(w * cost for w, cost in zip(weights, costs, strict=True)) / max(1, sum(weights))


SLOW = {
    "bce": slow_bce,
    "dice": slow_dice,
    "bce+dice": lambda *photo: slow_bce(*photo) + slow_dice(*photo),
    "weighted-bce": slow_weighted_bce,
    "weighted-bce+dice": lambda *photo: slow_weighted_bce(*photo) + slow_dice(*photo),
    "focal": slow_focal,
    "tversky": slow_tversky,
    "boundary-bce": slow_border_bce,
    "boundary-bce+dice": lambda *photo: slow_border_bce(*photo) + slow_dice(*photo),
}


@EACH_LOSS
@CHANNELS
@pytest.mark.parametrize("ignored", [False, True])
def test_a_loss_is_its_formula_for_each_photo(loss, channels, ignored):
    logits, target = made_up(channels, ignored)
    found = LOSSES[loss](logits, target)
    assert found.shape == (3,)
    assert found.tolist() == pytest.approx([SLOW[loss](*photo) for photo in zip(logits, target)], rel=1e-5)


@EACH_LOSS
@CHANNELS
def test_a_photo_costs_the_same_alone_and_in_a_batch(loss, channels):
    """Values and gradients: so how photos are shared out over batches and processes changes nothing."""
    logits, target = made_up(channels)
    together = LOSSES[loss](logits, target)
    alone = torch.cat([LOSSES[loss](logits[i : i + 1], target[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone)
    gradients = [torch.autograd.grad(each.mean(), logits)[0] for each in (together, alone)]
    torch.testing.assert_close(*gradients)


# --- Against other libraries ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ignored", [False, True])
def test_cross_entropy_is_torchs_over_the_pixels_that_count(ignored):
    for channels in (1, 4):
        logits, target = made_up(channels, ignored)
        logits, target = logits[:1], target[:1]
        valid = target != IGNORE
        if channels == 1:
            expected = F.binary_cross_entropy_with_logits(logits[:, 0][valid], target[valid].float())
        else:
            expected = F.cross_entropy(logits.permute(0, 2, 3, 1)[valid], target[valid])
        torch.testing.assert_close(losses.cross_entropy(logits, target)[0], expected)


def test_binary_losses_are_smps_for_one_photo():
    """smp takes a batch as one picture; it writes Dice as I / (mean area) and adds to that, so its 0.5 is our 1."""
    logits, target = made_up(1)
    logits, target = logits[:1], target[:1]
    references = {
        "dice": smp.losses.DiceLoss("binary", from_logits=True, smooth=0.5, ignore_index=IGNORE),
        "tversky": smp.losses.TverskyLoss("binary", alpha=0.3, beta=0.7, smooth=1.0, ignore_index=IGNORE),
        "focal": smp.losses.FocalLoss("binary", gamma=2.0, ignore_index=IGNORE),
    }
    for name, reference in references.items():
        wanted = target if name == "focal" else target.float()[:, None]
        torch.testing.assert_close(LOSSES[name](logits, target)[0], reference(logits, wanted))


@CHANNELS
@pytest.mark.parametrize("ignored", [False, True])
def test_hard_dice_is_the_score_of_the_decisions(channels, ignored):
    logits, target = made_up(channels, ignored)
    target[0][target[0] != IGNORE] = 0  # nobody there
    logits.data[0, 0] = 9.0 if channels > 1 else -9.0  # nor found
    logits.data[1, 3:], target[1][target[1] == 3] = -9.0, 1  # the last of four classes is not in the second photo
    decided = (logits[:, 0] > 0).long() if channels == 1 else logits.argmax(1)
    scores = [photo_scores(*photo, max(2, channels))["dice"] for photo in zip(decided, target)]
    found = losses.hard_dice(logits, target)
    assert found.tolist() == pytest.approx(scores) and found[0] == 1
    assert not found.requires_grad


# --- What the formulas mean -------------------------------------------------------------------------------------------


def test_tversky_with_one_half_for_both_is_soft_dice():
    logits, target = made_up(1)
    half = losses.tversky_loss(logits, target, invented=0.5, missed=0.5, smooth=0.5)
    torch.testing.assert_close(half, losses.soft_dice_loss(logits, target))


def test_tversky_would_rather_invent_than_miss():
    target = torch.zeros(1, 10, 10, dtype=torch.int64)
    target[:, 3:7] = 1
    more, less = torch.full((1, 1, 10, 10), -20.0), torch.full((1, 1, 10, 10), -20.0)
    more[:, :, 2:8] = less[:, :, 4:6] = 20.0  # one row too many, one row too few, at either end
    assert losses.tversky_loss(more, target) < losses.tversky_loss(less, target)


def test_class_weights_reach_from_all_pixels_alike_to_all_classes_alike():
    target = torch.zeros(1, 10, 10, dtype=torch.int64)
    target[0, 0, :4], target[0, 9] = 2, IGNORE  # 86 pixels of class 0, 4 of class 2, none of class 1
    for power, total in ((0, (86, 4)), (0.5, (86**0.5, 2)), (1, (1, 1))):
        weights = losses.class_weights(target, 3, power)
        found = [weights[target == c].sum().item() for c in (0, 2)]
        assert found == pytest.approx(total) and (weights[target == IGNORE] == 0).all()


@pytest.mark.parametrize("classes", [2, 4])
def test_border_weights_agree_with_loops(classes):
    random = np.random.default_rng(classes)
    target = torch.tensor(np.kron(random.integers(0, classes, (3, 3, 3)), np.ones((1, 3, 3), int)))
    target[torch.tensor(random.random(target.shape) < 0.2)] = IGNORE
    target[0] = 1  # no border at all
    expected = torch.tensor([slow_border_weights(one.tolist()) for one in target])
    torch.testing.assert_close(losses.border_weights(target), expected)


def test_border_weights_fall_from_eleven_to_one_and_padding_makes_no_border():
    target = torch.zeros(1, 1, 40, dtype=torch.int64)
    target[..., 20:] = 1
    target[..., :5] = IGNORE
    weights = losses.border_weights(target)[0, 0]
    assert weights[19] == weights[20] == 11 and weights[21] == pytest.approx(1 + 10 * math.exp(-1 / 8))
    assert (weights[:5] == 0).all() and weights[5] == pytest.approx(1) and weights[39] == pytest.approx(1)


@EACH_LOSS
@CHANNELS
def test_gradients_are_finite_and_none_comes_from_ignored_pixels(loss, channels):
    logits, target = made_up(channels)
    LOSSES[loss](logits, target).sum().backward()
    ignored = (target == IGNORE)[:, None].expand_as(logits)
    assert logits.grad.isfinite().all()
    assert (logits.grad[ignored] == 0).all() and (logits.grad[~ignored] != 0).any()


@EACH_LOSS
@CHANNELS
@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_extreme_logits_do_not_overflow(loss, channels, scale):
    logits, target = made_up(channels, scale=scale)
    each = LOSSES[loss](logits, target)
    each.sum().backward()
    assert each.isfinite().all() and logits.grad.isfinite().all()


@EACH_LOSS
@CHANNELS
def test_a_photo_without_any_label_costs_nothing(loss, channels):
    logits, target = made_up(channels)
    target[1] = IGNORE
    each = LOSSES[loss](logits, target)
    each.sum().backward()
    assert each[1].item() == 0 < each[0].item() and (logits.grad[1] == 0).all()


@EACH_LOSS
@CHANNELS
def test_the_right_answer_costs_least(loss, channels):
    logits, target = made_up(channels)
    right = torch.where(target == 1, 20.0, -20.0)[:, None]
    if channels > 1:
        right = torch.stack([torch.where(target == c, 20.0, -20.0) for c in range(channels)], 1)
    best, made, worst = (LOSSES[loss](answer, target) for answer in (right, logits, -right))
    assert (best < 0.001).all() and (made > 0.1).all() and (worst > made).all()


def test_soft_dice_never_passes_one_and_is_zero_for_empty_on_empty():
    nobody, empty = torch.full((1, 1, 4, 4), -1e4), torch.zeros(1, 4, 4, dtype=torch.int64)
    assert losses.soft_dice_loss(nobody, empty).item() == 0
    assert 0 < losses.soft_dice_loss(-nobody, empty).item() <= 1
