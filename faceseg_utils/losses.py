"""What training makes small: `LOSSES` by name, each one number per photo, from logits.

Every loss takes logits float [B, C, H, W] and target int64 [B, H, W] with 255 = does not count, and answers [B]. So how
photos are shared out over batches and processes changes nothing. C = 1 for person or background, C = K for K classes.
"""

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from faceseg_utils.data.catalog import IGNORE


def _pixelwise(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of every pixel, [B, H, W]; 0 where the target is 255. From logits, so nothing overflows."""
    if logits.shape[1] > 1:
        return F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="none")
    wanted = (target == 1).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits[:, 0], wanted, weight=target != IGNORE, reduction="none")


def cross_entropy(logits: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """Binary (C = 1) or categorical cross-entropy: [B], the mean over the pixels that count, or under `weight`."""
    weight = target != IGNORE if weight is None else weight  # [B, H, W]
    return (_pixelwise(logits, target) * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1)


def class_weights(target: torch.Tensor, classes: int, power: float = 1.0) -> torch.Tensor:
    """Weight of every pixel, float32 [B, H, W]: 1 / n^power, n the pixels of its class in this photo; 255 weighs 0.

    At power 0 all pixels count alike, at 1 all classes that the photo shows, and 0.5 lies between the two.
    """
    valid = target != IGNORE
    index = torch.where(valid, target, 0).flatten(1)                              # [B, H * W]
    none = torch.zeros(len(target), max(2, classes), device=target.device)
    counts = none.scatter_add(1, index, valid.flatten(1).float())                 # [B, classes]
    return counts.clamp(min=1).pow(-power).gather(1, index).view_as(target) * valid


def weighted_cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy in which rare classes weigh more: the mean under `class_weights` at power 0.5, [B]."""
    return cross_entropy(logits, target, class_weights(target, logits.shape[1], 0.5))


def weighted_dice_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Class-weighted cross-entropy plus soft Dice: [B]."""
    return weighted_cross_entropy(logits, target) + soft_dice_loss(logits, target)


def _overlap(logits: torch.Tensor, target: torch.Tensor, decided: bool = False):
    """Sums over each photo, [B, C] each: in both masks, in the prediction, in the target.

    The prediction is a probability, or with `decided` 0 or 1. C = 1 for person or background; of K classes background
    is left out.
    """
    valid = (target != IGNORE)[:, None]                                           # [B, 1, H, W]
    if logits.shape[1] == 1:
        predicted, wanted = logits > 0 if decided else logits.sigmoid(), (target == 1)[:, None]
    else:
        classes = torch.arange(1, logits.shape[1], device=logits.device)[:, None, None]
        wanted = target[:, None] == classes                                       # [B, K-1, H, W]
        predicted = logits.argmax(1)[:, None] == classes if decided else logits.softmax(1)[:, 1:]
    predicted, wanted = predicted * valid, wanted.to(logits.dtype)
    return (predicted * wanted).sum((2, 3)), predicted.sum((2, 3)), wanted.sum((2, 3))


def soft_dice_loss(logits: torch.Tensor, target: torch.Tensor, smooth: float = 1.0) -> torch.Tensor:
    """1 - Dice of probabilities, per class, then the mean (Milletari et al. 2016, arXiv 1606.04797): [B].

    `smooth` is added to the numerator and the denominator, outside the factor 2, so that the loss of an empty answer
    to an empty mask is 0 and no value passes 1. For K classes background is left out.
    """
    both, predicted, wanted = _overlap(logits, target)
    return 1 - ((2 * both + smooth) / (predicted + wanted + smooth)).mean(1)


def bce_dice_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross-entropy plus soft Dice: the first looks at every pixel, the second at the mask as a whole: [B]."""
    return cross_entropy(logits, target) + soft_dice_loss(logits, target)


def tversky_loss(
    logits: torch.Tensor, target: torch.Tensor, invented: float = 0.3, missed: float = 0.7, smooth: float = 1.0
) -> torch.Tensor:
    """Soft Dice with a price for either kind of error (Salehi et al. 2017, arXiv 1706.05721; its alpha and beta): [B].

    1 - TP / (TP + invented * FP + missed * FN); `soft_dice_loss` has 0.5 for both. The paper's 0.3 and 0.7 would
    rather invent than miss. Written here because smp's takes a batch as one picture.
    """
    both, predicted, wanted = _overlap(logits, target)
    wrong = invented * (predicted - both) + missed * (wanted - both)
    return 1 - ((both + smooth) / (both + wrong + smooth)).mean(1)


def focal_loss(logits: torch.Tensor, target: torch.Tensor, gamma: float = 2.0) -> torch.Tensor:
    """Cross-entropy times (1 - p)^gamma, p the probability of the true class (Lin et al. 2017, arXiv 1708.02002): [B].

    Pixels that are already right weigh little. No class weights; mean over the pixels that count. Written here
    because smp's asks each class by itself (sigmoid) where ours compete (softmax); for one channel they agree.
    """
    each = _pixelwise(logits, target)  # [B, H, W], -log p
    weighted = (1 - torch.exp(-each)) ** gamma * each
    return weighted.sum((1, 2)) / (target != IGNORE).sum((1, 2)).clamp(min=1)


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
    """Cross-entropy in which pixels near the border count up to 11 times: the mean under `border_weights`, [B]."""
    return cross_entropy(logits, target, border_weights(target))


def border_dice_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Border-weighted cross-entropy plus soft Dice: an exact outline of a mask that is right as a whole: [B]."""
    return border_cross_entropy(logits, target) + soft_dice_loss(logits, target)


LOSSES = {
    "bce": cross_entropy,
    "dice": soft_dice_loss,
    "bce+dice": bce_dice_loss,
    "weighted-bce": weighted_cross_entropy,
    "weighted-bce+dice": weighted_dice_loss,
    "focal": focal_loss,
    "tversky": tversky_loss,
    "boundary-bce": border_cross_entropy,
    "boundary-bce+dice": border_dice_loss,
}


@torch.no_grad()
def hard_dice(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Dice of the decisions, [B]: that of `photo_scores`, on the device of the logits, to follow a training."""
    both, predicted, wanted = _overlap(logits, target, decided=True)
    total, shown = predicted + wanted, predicted + wanted > 0
    score = (2 * both / total.clamp(min=1)).sum(1) / shown.sum(1).clamp(min=1)
    return torch.where(shown.any(1), score, 1.0)
