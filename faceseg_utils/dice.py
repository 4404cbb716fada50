"""How alike are two masks? The scores of a photo: Dice, IoU, boundary F1.

Scores take class maps, whole numbers [B, H, W] or [H, W], and answer one number per photo and class: float64 [B] for
person or background, [B, K-1] for K classes (background is not scored). Pixels whose target is 255 never count.
"""

import numpy as np
import torch
from scipy import ndimage

from faceseg_utils.data.catalog import IGNORE


def _class_maps(prediction, target, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Both as [B, H, W]; raises ValueError, with the fix, for what cannot be class maps of the same photos."""
    prediction, target = np.asarray(prediction), np.asarray(target)
    if prediction.shape != target.shape:
        raise ValueError(f"prediction is {prediction.shape} but target is {target.shape}: score at the target's size")
    if target.ndim not in (2, 3) or 0 in target.shape[-2:]:
        raise ValueError(f"masks are {target.shape}: expected [H, W], or [B, H, W] for several photos")
    for name, mask in (("prediction", prediction), ("target", target)):
        if mask.dtype.kind == "f" and not np.array_equal(mask, np.rint(mask)):
            raise ValueError(f"{name} holds fractions: are these probabilities? decide first, with > 0.5 or argmax")
        counted = mask if name == "prediction" else mask[mask != IGNORE]
        if counted.size and (counted.min() < 0 or counted.max() >= classes):
            stray = counted.min() if counted.min() < 0 else counted.max()
            raise ValueError(f"{name} holds {stray:g}, but classes are 0 to {classes - 1}: is it a mask of 0 and 255?")
    return (mask.reshape(-1, *mask.shape[-2:]).astype(np.uint8) for mask in (prediction, target))


def confusion_matrix(prediction, target, classes: int = 2) -> np.ndarray:
    """Pixels by true class (rows) and predicted class (columns): int64 [B, classes, classes]. 255 is not counted."""
    tables = []
    for x, y in zip(*_class_maps(prediction, target, classes)):
        valid = y != IGNORE
        pairs = np.bincount(y[valid].astype(np.int32) * classes + x[valid], minlength=classes**2)
        tables.append(pairs.reshape(classes, classes))
    return np.array(tables).reshape(-1, classes, classes)


def _counts(prediction, target, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels in both masks, in the prediction, in the target: three int64 [B, classes - 1]."""
    table = confusion_matrix(prediction, target, classes)
    return np.diagonal(table, axis1=1, axis2=2)[:, 1:], table.sum(1)[:, 1:], table.sum(2)[:, 1:]


def _quotient(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """1 where both masks are empty: a model that finds nobody where nobody is has made no mistake."""
    score = np.divide(numerator, denominator, out=np.ones(numerator.shape), where=denominator > 0)
    return score[:, 0] if score.shape[1] == 1 else score


def dice_score(prediction, target, classes: int = 2) -> np.ndarray:
    """Hard Dice, 2 |X and Y| / (|X| + |Y|) (Dice 1945): the score of record of this course.

    Raises ValueError when the sizes differ, or a mask holds other values than its classes.
    """
    both, predicted, wanted = _counts(prediction, target, classes)
    return _quotient(2 * both, predicted + wanted)


def iou_score(prediction, target, classes: int = 2) -> np.ndarray:
    """Intersection over union, |X and Y| / |X or Y| (Jaccard 1912). IoU = Dice / (2 - Dice)."""
    both, predicted, wanted = _counts(prediction, target, classes)
    return _quotient(both, predicted + wanted - both)


def boundary(mask: np.ndarray) -> np.ndarray:
    """The inner border of a mask [H, W]: its pixels with a neighbour outside (of 4). The frame is not a border."""
    mask = np.asarray(mask, bool)
    cross = ndimage.generate_binary_structure(2, 1)
    return mask & ~ndimage.binary_erosion(mask, cross, border_value=1)


def boundary_f1(prediction, target, classes: int = 2, tolerance: float = 2) -> np.ndarray:
    """F1 of the borders: what fraction of each border lies within `tolerance` pixels of the other (Csurka et al. 2013).

    Both borders empty = 1, one of them = 0. Where a mask meets pixels of 255 there is no border.
    """
    prediction, target = _class_maps(prediction, target, classes)
    scores = np.ones((len(target), classes - 1))
    for i, (x, y) in enumerate(zip(prediction, target)):
        ignored = y == IGNORE
        for c in range(1, classes):
            borders = (boundary((mask == c) | ignored) & ~ignored for mask in (x, y))
            scores[i, c - 1] = _border_f1(*borders, tolerance)
    return scores[:, 0] if classes == 2 else scores


def _border_f1(x: np.ndarray, y: np.ndarray, tolerance: float) -> float:
    if not x.any() or not y.any():
        return float(x.any() == y.any())
    precision = (ndimage.distance_transform_edt(~y)[x] <= tolerance).mean()
    recall = (ndimage.distance_transform_edt(~x)[y] <= tolerance).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def photo_scores(prediction, target, classes: int = 2) -> dict[str, float]:
    """The three scores of one photo [H, W], each the mean over the classes that it or its prediction shows."""
    both, predicted, wanted = _counts(prediction, target, classes)
    shown = (predicted + wanted)[0] > 0  # [classes - 1]; no glasses where none are is no achievement, nor a fault
    scores = {
        "dice": _quotient(2 * both, predicted + wanted),
        "iou": _quotient(both, predicted + wanted - both),
        "boundary_f1": boundary_f1(prediction, target, classes),
    }
    return {name: float(np.ravel(score)[shown].mean() if shown.any() else 1.0) for name, score in scores.items()}


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
