"""Checks of 05_error_analysis: error map, border band, boundary F1, islands, reliability, threshold."""

import numpy as np
from scipy import ndimage

from faceseg_utils.dice import boundary
from faceseg_utils.exercises.framework import Mistake, as_array, as_number, exercise, expect, refuse


def _disc(row: float, column: float, radius: float, shape=(30, 24)) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (np.hypot(rows - row, columns - column) <= radius).astype(np.uint8)


@exercise("error_map")
def check_error_map(learner):
    prediction = np.array([[0, 1, 1, 0], [1, 0, 1, 0]], np.uint8)
    target = np.array([[0, 1, 0, 1], [1, 1, 255, 255]], np.uint8)
    right = np.array([[0, 0, 2, 1], [0, 1, 0, 0]])
    answer = as_array(learner(prediction.copy(), target.copy()))
    expect(answer.shape == right.shape,
           f"The map should have the shape of the masks, {right.shape}, yours has {answer.shape}.")  # fmt: skip
    answer = answer.astype(int)
    swapped = np.array([0, 2, 1])[right]
    wrong = {
        "Missed and invented are swapped: missed (1) is a person in the target and none in the prediction.": swapped,
        "Every error is 1: a missed pixel (1) and an invented one (2) are two kinds of error.": (right > 0).astype(int),
        "These are the pixels that are right; mark those that are wrong.": (prediction == target).astype(int),
    }
    refuse(answer, wrong, right)
    expect((answer[1, 2:] == 0).all(),
           "A pixel with the target 255 has no label: it is no error, whatever the prediction says.")  # fmt: skip
    expect(np.array_equal(answer, right), f"For row 0 the map is {right[0].tolist()}, yours is {answer[0].tolist()}.")
    return "Missed is 1, invented is 2, and what has no label is no error."


@exercise("border_band")
def check_border_band(learner):
    mask = _disc(15, 12, 8)
    mask[22:, 5:20] = 1  # shoulders that the frame cuts off
    inside, outside = ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(1 - mask)
    distance = np.where(mask, inside, outside)
    right = distance <= 3
    band = as_array(learner(mask.copy(), 3))
    expect(band.shape == mask.shape,
           f"The band should have the shape of the mask, {mask.shape}, yours has {band.shape}.")  # fmt: skip
    if band.dtype != bool and set(np.unique(band)) - {0, 1}:
        raise Mistake("The band holds numbers other than 0 and 1: compare the distance with `width`.")
    wrong = {
        "The band lies inside the person only: a border has two sides.": right & (mask == 1),
        "The band lies outside the person only: a border has two sides.": right & (mask == 0),
        "The band is one pixel too thin on either side: a pixel at exactly `width` still belongs to it.": distance < 3,
        "This is everything but the band: within `width` of the border means at most `width`.": ~right,
    }
    refuse(band.astype(float), wrong, right)
    grown = ndimage.binary_dilation(mask, np.ones((3, 3)), 3)
    square = grown & ~ndimage.binary_erosion(mask, np.ones((3, 3)), 3, border_value=1)
    expect(not np.array_equal(band, square),
           "The band is wider at slanted borders: growing by a square counts a diagonal step as 1.")  # fmt: skip
    expect(not band[-1, 10:14].any(),
           "The band runs along the frame of the picture: a person cut off there has no border there.")  # fmt: skip
    expect(np.array_equal(band.astype(bool), right),
           f"The band of width 3 has {right.sum()} pixels, yours {int(band.sum())}.")  # fmt: skip
    return "Both sides of the border, and none along the frame."


@exercise("border_f1")
def check_border_f1(learner):
    prediction, target = _disc(15, 11, 9) | _disc(4, 20, 2), _disc(15, 12, 8)
    x, y = boundary(prediction), boundary(target)
    to_y, to_x = ndimage.distance_transform_edt(~y)[x], ndimage.distance_transform_edt(~x)[y]

    def f1(near):
        precision, recall = near(to_y).mean(), near(to_x).mean()
        return precision, recall, 2 * precision * recall / (precision + recall)

    precision, recall, right = f1(lambda distance: distance <= 2)
    score = as_number(learner(prediction.copy(), target.copy(), 2))
    wrong = {
        "This is the precision alone: it asks the predicted border only, and never what it missed.": precision,
        "This is the recall alone: it asks the true border only, and never what was invented.": recall,
        "This is the plain mean of precision and recall: F1 is 2 p r / (p + r).": (precision + recall) / 2,
        "A border pixel at exactly `tolerance` counts as near: take <=.": f1(lambda distance: distance < 2)[2],
        "This is the Dice of the areas: take the borders first, with `dice.boundary`.":
            2 * (prediction & target).sum() / (prediction.sum() + target.sum()),
        "This is the Dice of the borders, pixel on pixel: near means within `tolerance`, so measure the distance.":
            2 * (x & y).sum() / (x.sum() + y.sum()),
    }  # fmt: skip
    refuse(score, wrong, right)
    expect(score <= 1, f"A score of {score:.3f} is over 1: precision and recall are shares of border pixels.")
    expect(abs(score - right) < 1e-6, f"On the discs of this check the boundary F1 is {right:.4f}, yours {score:.4f}.")
    return f"On the discs of this check it is {right:.3f}."


@exercise("count_islands")
def check_count_islands(learner):
    target = _disc(18, 12, 6)
    prediction = target.copy()
    for row, column in ((18, 4), (18, 19), (11, 12), (25, 12)):  # four bumps that grow out of the person
        prediction[row : row + 2, column : column + 2] = 1
    prediction[2:5, 2:5] = 1  # an island ...
    prediction[5, 5] = prediction[1, 1] = 1  # ... with two pixels that touch it at a corner
    prediction[2:4, 18:22] = 1  # another one
    count = as_number(learner(prediction.copy(), target.copy()))
    wrong = {
        "This counts every piece of the prediction: the piece that lies on the person is no island.": 3,
        "A pixel that touches at a corner counts as a piece of its own: label with a 3 x 3 structure of ones.": 4,
        "Two things: corners join as well (a 3 x 3 structure of ones), and the piece on the person is no island.": 5,
        "This counts pieces of invented pixels: a bump that grows out of the person is no island.": 6,
        "This counts invented pixels: count connected pieces.": prediction.sum() - target.sum(),
        "This counts the pixels of the islands: count the islands.": 20,
    }
    refuse(count, wrong, 2)
    expect(count == 2, f"The prediction of this check has 2 islands, you count {count:g}.")
    return "Two islands; what grows out of the person is none."


@exercise("reliability")
def check_reliability(learner):
    probability = np.array([0.05, 0.3, 0.3, 0.35, 0.9, 1.0, 0.8, 0.3])
    target = np.array([0, 1, 0, 0, 1, 1, 0, 255])
    right = np.array([0, 1 / 3, np.nan, 2 / 3])
    shares = as_array(learner(probability.copy(), target.copy(), 4))
    expect(shares.shape != (5,), "Five bins instead of four: a probability of exactly 1 belongs to the last bin.")
    expect(shares.shape == (4,), f"Four bins should give four shares, yours have shape {shares.shape}.")
    wrong = {
        "These are the mean probabilities: what the model said. Return the share of the pixels that are person.":
            np.array([0.05, 0.95 / 3, np.nan, 2.7 / 3]),
        "The pixel with the target 255 was counted: it has no label.": np.array([0, 1 / 4, np.nan, 2 / 3]),
        "The pixel with the target 255 was counted as person: it has no label.": np.array([0, 2 / 4, np.nan, 2 / 3]),
        "The probability of exactly 1 is lost: it belongs to the last bin.": np.array([0, 1 / 3, np.nan, 1 / 2]),
        "These are shares of all pixels: divide by the pixels in the bin.": np.array([0, 1, 0, 2]) / 7,
    }  # fmt: skip
    refuse(shares, wrong, right)
    expect(shares[2] != 0, "The empty bin has the share 0: no pixel fell into it, so nothing is known. Leave NaN.")
    expect(np.allclose(shares, right, equal_nan=True), f"The shares are 0, 1/3, NaN, 2/3, yours are {shares.round(3)}.")
    return "Each bin tells how often a pixel of that probability turned out person."


@exercise("best_threshold")
def check_best_threshold(learner):
    masks = [_disc(15, 12, 10), _disc(8, 8, 2)]  # a large person and a small one
    soft = [ndimage.gaussian_filter(m.astype(float), 2.0) for m in masks]
    probabilities = [soft[0] * 0.95 + 0.02, soft[1] * 0.8 + 0.02]
    thresholds = np.round(np.arange(0.05, 1, 0.05), 2)

    def dice_of(p, m, t):
        return 2 * ((p > t) & (m == 1)).sum() / max(1, (p > t).sum() + m.sum())

    scores = np.array([[dice_of(p, m, t) for t in thresholds] for p, m in zip(probabilities, masks, strict=True)])
    mean = scores.mean(0)
    right = thresholds[mean.argmax()]
    flat, truth = np.concatenate([p.ravel() for p in probabilities]), np.concatenate([m.ravel() for m in masks])
    pooled = thresholds[np.argmax([dice_of(flat, truth, t) for t in thresholds])]
    answer = as_number(learner([p.copy() for p in probabilities], [m.copy() for m in masks], thresholds.copy()))
    wrong = {
        "This is the best score: return the threshold that reaches it.": mean.max(),
        "This is the position of the threshold in the list: return the threshold itself.": mean.argmax(),
        "This is the threshold with the lowest score: take the largest.": thresholds[mean.argmin()],
        "This pools the pixels of all photos, so the large person decides: take the mean of photos' scores.": pooled,
    }
    refuse(answer, wrong, right)
    expect(np.isclose(answer, thresholds).any(), f"{answer:g} is none of the thresholds asked about.")
    expect(np.isclose(answer, right), f"The best threshold here is {right:g}, yours is {answer:g}.")
    return f"On the masks of this check it is {right:g}, and 0.5 is not always best."
