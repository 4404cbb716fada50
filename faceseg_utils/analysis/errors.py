"""Where is a model wrong? Scores of each photo, distance to the border, blur, slices.

Masks are uint8 [H, W] with 0 = background, above 0 = person, 255 = does not count; probabilities are float [H, W],
that of "person".
"""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy import ndimage

from faceseg_utils import dice
from faceseg_utils.data.catalog import IGNORE
from faceseg_utils.statistics import bootstrap_mean

RIGHT, MISSED, INVENTED, OTHER_CLASS = range(4)
EIGHT = np.ones((3, 3), bool)  # neighbours of a pixel, corners included


def person_probability(probabilities: np.ndarray) -> np.ndarray:
    """Probability of "anything but background" [H, W] from what `Segmenter.predict` gives ([H, W] or [K, H, W])."""
    return probabilities if probabilities.ndim == 2 else 1 - probabilities[0]


def error_kinds(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """What happened at each pixel, uint8 [H, W]: 0 right (or not counted), 1 missed, 2 invented, 3 another class."""
    prediction, target = np.asarray(prediction), np.asarray(target)
    if prediction.shape != target.shape:
        raise ValueError(f"prediction is {prediction.shape} but target is {target.shape}: compare at the target's size")
    kinds = np.zeros(target.shape, np.uint8)
    kinds[(prediction != target) & (prediction > 0) & (target > 0)] = OTHER_CLASS
    kinds[(prediction == 0) & (target > 0)] = MISSED
    kinds[(prediction > 0) & (target == 0)] = INVENTED
    kinds[target == IGNORE] = RIGHT
    return kinds


def components(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The connected pieces of a mask: labels int [H, W] (0: none, 1: the largest) and areas in pixels [N], falling."""
    labels, count = ndimage.label(np.asarray(mask, bool), EIGHT)
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-areas, kind="stable")
    renamed = np.zeros(count + 1, int)
    renamed[order + 1] = np.arange(1, count + 1)
    return renamed[labels], areas[order]


def holes(mask: np.ndarray) -> int:
    """How many pieces of background the mask encloses: they touch neither the frame nor the outside."""
    mask = np.asarray(mask, bool)
    return int(ndimage.label(ndimage.binary_fill_holes(mask) & ~mask)[1])


def image_scores(prediction: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """All scores of one photo, person against background.

    dice, iou, boundary_f1 (2 px); false_positives and false_negatives in pixels, and as shares of the pixels that
    count; person_share of the target; components and holes of the prediction.
    """
    target = np.asarray(target)
    predicted = (np.asarray(prediction) > 0).astype(np.uint8)
    wanted = np.where(target == IGNORE, IGNORE, target > 0).astype(np.uint8)
    kinds = error_kinds(predicted, wanted)
    invented, missed = int((kinds == INVENTED).sum()), int((kinds == MISSED).sum())
    counted = max(1, int((target != IGNORE).sum()))
    return {
        **dice.photo_scores(predicted, wanted),
        "false_positives": invented,
        "false_negatives": missed,
        "false_positive_share": invented / counted,
        "false_negative_share": missed / counted,
        "person_share": float((wanted == 1).sum() / counted),
        "components": len(components(predicted)[1]),
        "holes": holes(predicted),
    }


def score_table(
    predictions: Iterable[np.ndarray], targets: Iterable[np.ndarray], stems: Sequence[str], metadata=None
) -> pd.DataFrame:
    """One row per photo: `image_scores`, then the columns of `metadata` (a DataFrame indexed by stem, or None)."""
    rows = [image_scores(p, t) for p, t in zip(predictions, targets, strict=True)]
    table = pd.DataFrame(rows, index=pd.Index(stems, name="id"))
    return table if metadata is None else table.join(metadata[[c for c in metadata if c not in table]])


def distance_to_border(target: np.ndarray) -> np.ndarray:
    """How many pixels from the true border, float [H, W]: 1 for the pixels on either side of it, then 2, ...

    Infinite where the mask has no border; the frame of the picture is not a border. Pixels of 255 count as background.
    """
    person = (np.asarray(target) > 0) & (np.asarray(target) != IGNORE)
    if person.all() or not person.any():
        return np.full(person.shape, np.inf)
    return ndimage.distance_transform_edt(person) + ndimage.distance_transform_edt(~person)


def border_profiles(probability: np.ndarray, mask: np.ndarray, reach: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """The probability along short lines across the border of `mask`, from inside (negative) to outside.

    One line for every third pixel of the inner border, at right angles to it (the slope of the distance, smoothed over
    2 px). Returns offsets [S] in pixels (0 = between the last pixel of the person and the first of the background)
    and probabilities [N, S], linear between pixels, NaN outside the picture.
    """
    inside = np.asarray(mask, bool)
    offsets = np.linspace(-reach, reach, 8 * reach + 1)  # four per pixel
    rows, columns = (axis[::3] for axis in np.nonzero(dice.boundary(inside)))
    if not len(rows) or inside.all():
        return offsets, np.empty((0, len(offsets)))
    signed = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
    slope = np.stack(np.gradient(ndimage.gaussian_filter(signed, 2)))[:, rows, columns]  # [2, N], points outwards
    slope /= np.maximum(np.linalg.norm(slope, axis=0), 1e-9)
    start = np.stack([rows, columns]) + slope / 2  # half a pixel from the last person pixel's centre
    points = start[..., None] + slope[..., None] * offsets  # [2, N, S]
    probability = np.asarray(probability, np.float64)
    return offsets, ndimage.map_coordinates(probability, points, order=1, mode="constant", cval=np.nan)


def profile_widths(offsets: np.ndarray, values: np.ndarray, high: float = 0.9, low: float = 0.1) -> np.ndarray:
    """Pixels over which each profile [N, S] falls from `high` to `low`, counted from its middle both ways: float [N].

    Infinite where it does not fall that far within its reach on either side; a line that leaves the picture first is
    dropped. A 0/1 mask itself gives 0.8, one step between two pixels, or a little more where the border is slanted.
    """
    middle = len(offsets) // 2
    outwards = _first_crossing(values[:, middle:] <= low, values[:, middle:], low)
    inwards = _first_crossing(values[:, middle::-1] >= high, values[:, middle::-1], high)
    widths = (outwards + inwards) * (offsets[1] - offsets[0])
    return widths[np.isfinite(widths) | ~np.isnan(values).any(axis=1)]


def _first_crossing(reached: np.ndarray, values: np.ndarray, level: float) -> np.ndarray:
    """Samples until `values` [N, S] reach `level` for the first time, linear between samples; infinite if never."""
    first = reached.argmax(axis=1)
    rows = np.arange(len(values))
    before, after = values[rows, np.maximum(first - 1, 0)], values[rows, first]
    part = np.divide(level - before, after - before, out=np.ones(len(values)), where=after != before)
    return np.where(reached.any(axis=1), np.where(first > 0, first - 1 + part, 0.0), np.inf)


def by_person(table: pd.DataFrame, score: str = "dice") -> pd.Series:
    """Mean `score` of each person (column `seed`, if there is one: else each photo counts as a person of its own).

    Photos of one person resemble each other, so an interval has to draw people, not photos.
    """
    return table.groupby("seed")[score].mean() if "seed" in table else table[score]


def slices(table: pd.DataFrame, by: str, score: str = "dice", groups: int = 3, least: int = 2) -> pd.DataFrame:
    """Mean `score` with a 95 % interval for each value of column `by`: n, mean, low, high, in the order of the values.

    The interval draws people (`by_person`), and n counts them. A column of numbers with more than 6 values is cut into
    `groups` parts of equal count. Slices of fewer than `least` people are left out. ValueError for an unknown column.
    """
    if by not in table:
        raise ValueError(f"no column '{by}': the table has {', '.join(map(str, table.columns))}")
    column = table[by]
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > 6:
        lowest = column.min()  # qcut lowers its first edge a little, to hold the smallest value
        cut = pd.qcut(column, groups, precision=2, duplicates="drop")
        column = cut.map(lambda x: f"{max(x.left, lowest):.2f} to {x.right:.2f}")
    rows = {}
    for value, part in table.groupby(column, observed=True, sort=True):
        people = by_person(part, score)
        if len(people) >= least:
            name = f"{value:.3g}" if isinstance(value, float) else str(value)
            rows[name] = (len(people), *bootstrap_mean(people))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["n", "mean", "low", "high"]).rename_axis(by)
