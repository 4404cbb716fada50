"""Many classes: how often is which class taken for which, and what does that make of each class?

Everything comes from confusion matrices: int64 [N, K, K], one per photo, rows are true classes and columns predicted
ones. Summed over photos (the papers' way) a class counts by its pixels, wherever they are.
"""

import numpy as np
import pandas as pd

from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.dice import confusion_matrix
from faceseg_utils.model import Segmenter


def confusions(segmenter: Segmenter, photos: PortraitDataset) -> np.ndarray:
    """The confusion matrix of every photo at its native size: int64 [N, K, K]. `photos` come without a transform."""
    found = [confusion_matrix(segmenter.classify(photo), mask, len(segmenter.classes)) for photo, mask in photos]
    return np.concatenate(found)


def class_scores(tables: np.ndarray, classes: tuple[str, ...]) -> pd.DataFrame:
    """Dice, IoU, recall and precision of each class over all photos, with its support: index `class`.

    `pixels` are those of the true class, `share` is their part of all that count, `photos` counts those that show it.
    A class that is neither there nor predicted has NaN: there is nothing to be right or wrong about.
    """
    table = np.sum(tables, axis=0)                                          # [K, K]
    both, wanted, predicted = np.diagonal(table), table.sum(1), table.sum(0)
    with np.errstate(invalid="ignore"):                                     # 0 / 0 is NaN here
        return pd.DataFrame({
            "dice": 2 * both / (wanted + predicted),
            "iou": both / (wanted + predicted - both),
            "recall": both / wanted,
            "precision": both / predicted,
            "pixels": wanted,
            "share": wanted / wanted.sum(),
            "photos": (np.asarray(tables).sum(2) > 0).sum(0),
        }, index=pd.Index(classes, name="class"))  # fmt: skip


def overall(tables: np.ndarray) -> pd.Series:
    """One number for all classes, in four ways.

    macro_dice, macro_iou : mean over the classes but background that a true mask or a prediction shows: each the same.
    frequency_iou : mean IoU of all classes, weighted by their pixels.
    pixel_accuracy : share of the pixels that are right, background included.
    """
    scores = class_scores(tables, tuple(range(np.shape(tables)[-1])))
    return pd.Series({
        "macro_dice": scores["dice"][1:].mean(),
        "macro_iou": scores["iou"][1:].mean(),
        "frequency_iou": (scores["iou"] * scores["share"]).sum(),
        "pixel_accuracy": (scores["recall"] * scores["share"]).sum(),
    })  # fmt: skip


def report(tables: np.ndarray, classes: tuple[str, ...]) -> str:
    """`class_scores` and `overall` as text, and a line about classes that no true mask shows."""
    scores = class_scores(tables, classes)
    lines = [scores.to_string(float_format="%.4f", na_rep="-")]
    lines += [f"{name:14s} {value:.4f}" for name, value in overall(tables).items()]
    if (missing := scores.index[scores["photos"] == 0]).size:
        invented = scores["dice"][missing] == 0
        zero = "predicted all the same, so Dice 0 in the means"
        for which, what in ((~invented, "not in the means"), (invented, zero)):
            if which.any():
                lines.append(f"in no true mask: {', '.join(missing[which])}; {what}")
    return "\n".join(lines)
