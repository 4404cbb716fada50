"""How alike are two masks? Scores for people (Dice, IoU, boundary F1) and losses for gradients (`LOSSES`).

Scores take class maps, integers [B, H, W] or [H, W], and answer one number a photo and class: float64 [B] for
person/background, [B, K-1] for K classes (background is not scored). Pixels whose target is 255 never count.
"""

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from faceseg_utils.catalog import IGNORE


def _counts(prediction, target, classes: int):
    """Pixels in both masks, in the prediction, in the target: three float64 [B, classes - 1]."""
    prediction, target = (torch.as_tensor(np.asarray(a)) for a in (prediction, target))
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction is {tuple(prediction.shape)} but target is {tuple(target.shape)}: score at the target's size"
        )
    if prediction.ndim == 2:
        prediction, target = prediction[None], target[None]
    valid = target != IGNORE
    both, predicted, wanted = [], [], []
    for c in range(1, classes):
        x, y = (prediction == c) & valid, (target == c) & valid  # [B, H, W]
        for total, pixels in ((both, x & y), (predicted, x), (wanted, y)):
            total.append(pixels.sum(dim=(1, 2), dtype=torch.float64))
    return (torch.stack(total, dim=1) for total in (both, predicted, wanted))


def _per_image(numerator: torch.Tensor, denominator: torch.Tensor) -> np.ndarray:
    """The quotient, and 1 where both masks are empty: finding nobody where nobody is is no mistake."""
    score = torch.where(denominator > 0, numerator / denominator.clamp(min=1), 1.0).numpy()
    return score[:, 0] if score.shape[1] == 1 else score


def dice_score(prediction, target, classes: int = 2) -> np.ndarray:
    """Hard Dice, 2 |X and Y| / (|X| + |Y|) (Dice 1945): the score of record of this course.

    Raises ValueError when the sizes differ.
    """
    both, predicted, wanted = _counts(prediction, target, classes)
    return _per_image(2 * both, predicted + wanted)


def iou_score(prediction, target, classes: int = 2) -> np.ndarray:
    """Intersection over union, |X and Y| / |X or Y| (Jaccard 1912). IoU = Dice / (2 - Dice)."""
    both, predicted, wanted = _counts(prediction, target, classes)
    return _per_image(both, predicted + wanted - both)


def boundary(mask: np.ndarray) -> np.ndarray:
    """The inner border of a mask [H, W]: its pixels with a neighbour outside (of 4). The image's frame is no border."""
    mask = np.asarray(mask, bool)
    cross = ndimage.generate_binary_structure(2, 1)
    return mask & ~ndimage.binary_erosion(mask, cross, border_value=1)


def boundary_f1(prediction, target, classes: int = 2, tolerance: float = 2) -> np.ndarray:
    """F1 of the borders: which share of each border has the other within `tolerance` pixels (Csurka et al. 2013).

    Both borders empty = 1, one of them = 0.
    """
    prediction, target = np.asarray(prediction), np.asarray(target)
    if prediction.shape != target.shape:
        raise ValueError(f"prediction is {prediction.shape} but target is {target.shape}: score at the target's size")
    if prediction.ndim == 2:
        prediction, target = prediction[None], target[None]
    scores = np.ones((len(target), classes - 1))
    for i, (x, y) in enumerate(zip(prediction, target, strict=True)):
        valid = y != IGNORE
        for c in range(1, classes):
            scores[i, c - 1] = _boundary_f1_of_one(boundary(x == c) & valid, boundary(y == c) & valid, tolerance)
    return scores[:, 0] if classes == 2 else scores


def _boundary_f1_of_one(x: np.ndarray, y: np.ndarray, tolerance: float) -> float:
    if not x.any() or not y.any():
        return float(x.any() == y.any())
    precision = (ndimage.distance_transform_edt(~y)[x] <= tolerance).mean()
    recall = (ndimage.distance_transform_edt(~x)[y] <= tolerance).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def report_dice(logits: torch.Tensor, target: torch.Tensor) -> float:
    """Dice as the report computed it, for comparison with its log only: logits [B, 1, H, W], target [B, H, W] 0 or 1.

    Sigmoid, round, per image 2 (|X and Y| + 1) / (|X| + |Y| + 1), clamped to 1, mean over the batch. The +1 stands
    inside the factor 2, so that the empty answer to an empty mask scores 2 before the clamp. Padding (255) counts as
    background here, as it did there.
    """
    x = logits.sigmoid().round().flatten(1)
    y = (target == 1).flatten(1).to(x.dtype)
    score = 2 * ((x * y).sum(1) + 1) / (x.sum(1) + y.sum(1) + 1)
    return score.clamp(max=1).mean().item()


# --- Losses ----------------------------------------------------------------------------------------------------


def cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Binary (C = 1) or categorical cross-entropy, mean over the pixels that count.

    logits float [B, C, H, W], target int64 [B, H, W] with 255 = ignore. Computed from logits, so nothing overflows.
    """
    if logits.shape[1] > 1:
        total = F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="sum")
        return total / (target != IGNORE).sum().clamp(min=1)
    valid = target != IGNORE
    wanted = (target == 1).to(logits.dtype)
    total = F.binary_cross_entropy_with_logits(logits[:, 0], wanted, weight=valid, reduction="sum")
    return total / valid.sum().clamp(min=1)


def _soft_counts(logits: torch.Tensor, target: torch.Tensor):
    """Sums of probability, photo by photo: in both masks, in the prediction, in the target: three [B, C].

    C = 1 for person/background; for K classes C = K - 1, background is left out.
    """
    valid = (target != IGNORE)[:, None]  # [B, 1, H, W]
    if logits.shape[1] == 1:
        probability, wanted = logits.sigmoid(), (target == 1)[:, None]
    else:
        probability = logits.softmax(1)[:, 1:]
        wanted = torch.stack([target == c for c in range(1, logits.shape[1])], dim=1)
    probability, wanted = probability * valid, wanted.to(logits.dtype)
    return (probability * wanted).sum((2, 3)), probability.sum((2, 3)), wanted.sum((2, 3))


def soft_dice_loss(logits: torch.Tensor, target: torch.Tensor, smooth: float = 1.0) -> torch.Tensor:
    """1 - Dice of probabilities, per image and class, then the mean (Milletari et al. 2016, arXiv 1606.04797).

    logits float [B, C, H, W], target int64 [B, H, W]. `smooth` is added above and below, outside of the factor 2, so
    that the loss of an empty answer to an empty mask is 0 and no value passes 1. For K classes background is left out.
    """
    both, predicted, wanted = _soft_counts(logits, target)
    return 1 - ((2 * both + smooth) / (predicted + wanted + smooth)).mean()


def bce_dice_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy plus soft Dice: the first is right about every pixel, the second about the mask as a whole."""
    return cross_entropy(logits, target) + soft_dice_loss(logits, target)


def tversky_loss(
    logits: torch.Tensor, target: torch.Tensor, invented: float = 0.3, missed: float = 0.7, smooth: float = 1.0
) -> torch.Tensor:
    """Soft Dice with a price for either kind of error (Salehi et al. 2017, arXiv 1706.05721; its alpha and beta).

    1 - TP / (TP + invented * FP + missed * FN), photo by photo as in `soft_dice_loss`, which has 0.5 for both. The
    paper's 0.3 and 0.7 would rather invent than miss. Written here because smp's takes a batch as one picture.
    """
    both, predicted, wanted = _soft_counts(logits, target)
    wrong = invented * (predicted - both) + missed * (wanted - both)
    return 1 - ((both + smooth) / (both + wrong + smooth)).mean()


def _pixelwise(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of every pixel, [B, H, W]; 0 where the target is 255."""
    if logits.shape[1] > 1:
        return F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="none")
    wanted = (target == 1).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits[:, 0], wanted, weight=target != IGNORE, reduction="none")


def focal_loss(logits: torch.Tensor, target: torch.Tensor, gamma: float = 2.0) -> torch.Tensor:
    """Cross-entropy times (1 - p)^gamma, p the probability of the true class (Lin et al. 2017, arXiv 1708.02002).

    Pixels that are already right weigh little. No class weights; mean over the pixels that count. Written here
    because smp's asks each class by itself (sigmoid) where ours compete (softmax); for one channel they agree.
    """
    each = _pixelwise(logits, target)  # [B, H, W], -log p
    return ((1 - torch.exp(-each)) ** gamma * each).sum() / (target != IGNORE).sum().clamp(min=1)


def border_weights(target: torch.Tensor, strength: float = 10.0, reach: float = 2.0) -> torch.Tensor:
    """Weight of every pixel, float32 [B, H, W]: 1 + strength * exp(-d^2 / 2 reach^2), d the distance to the border.

    d is 0 for the pixels on either side of a change of class, then 1, ...; 255 makes no border and weighs 0. This is
    the weight map of the U-Net paper (Ronneberger et al. 2015, eq. 2) with its strength of 10; but there d measures
    the gap between two cells (reach 5), here the distance to the one border there is.
    """
    edge = torch.zeros_like(target, dtype=torch.bool)
    for axis in (1, 2):
        pairs = target.shape[axis] - 1
        one, other = target.narrow(axis, 0, pairs), target.narrow(axis, 1, pairs)  # neighbours along the axis
        change = (one != other) & (one != IGNORE) & (other != IGNORE)
        for first in (0, 1):
            edge.narrow(axis, first, pairs).logical_or_(change)
    far = np.full(target.shape[1:], np.inf)
    edges = edge.cpu().numpy()
    distance = np.stack([ndimage.distance_transform_edt(~each) if each.any() else far for each in edges])
    weight = torch.as_tensor(1 + strength * np.exp(-(distance**2) / (2 * reach**2)), dtype=torch.float32)
    return weight.to(target.device) * (target != IGNORE)


def border_cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy in which pixels near the border count up to 11 times: the mean under `border_weights`."""
    weight = border_weights(target)
    return (_pixelwise(logits, target) * weight).sum() / weight.sum().clamp(min=1)


def border_dice_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Border-weighted cross-entropy plus soft Dice: an exact outline, of a mask that is right as a whole."""
    return border_cross_entropy(logits, target) + soft_dice_loss(logits, target)


LOSSES = {
    "bce": cross_entropy,
    "dice": soft_dice_loss,
    "bce+dice": bce_dice_loss,
    "focal": focal_loss,
    "tversky": tversky_loss,
    "boundary-bce": border_cross_entropy,
    "boundary-bce+dice": border_dice_loss,
}
