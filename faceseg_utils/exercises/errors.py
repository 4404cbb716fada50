"""Checks of 05_error_analysis: border band, width of a border, reliability, the right plot, explain by a number."""

import numpy as np
import pandas as pd
from scipy import ndimage

from faceseg_utils.exercises.framework import Mistake, as_array, as_number, exercise, expect, refuse
from faceseg_utils.paths import experiments_folder


def _disc(row: float, column: float, radius: float, shape=(30, 24)) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (np.hypot(rows - row, columns - column) <= radius).astype(np.uint8)


@exercise("border_band")
def check_border_band(learner):
    mask = _disc(15, 12, 8)
    mask[22:, 5:20] = 1  # shoulders that the frame cuts off
    for width in (3, 1, 2.5):
        _compare_bands(learner, mask, width)
    _compare_bands(learner, 1 - _disc(4, 20, 3), 2)
    for mask, who in ((np.zeros((6, 9), np.uint8), "is empty"), (np.ones((7, 5), np.uint8), "is all person")):
        band = as_array(learner(mask.copy(), 3))
        expect(band.shape == mask.shape, f"The band should have the shape of the mask, also where it {who}.")
        expect(not band.any(), f"A mask that {who} has no border, so no pixel is near one.")
    return "Both sides of the border, none along the frame, and none where there is no border."


def _compare_bands(learner, mask: np.ndarray, width: float) -> None:
    inside, outside = ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(1 - mask)
    distance = np.where(mask, inside, outside)
    right = distance <= width
    band = as_array(learner(mask.copy(), width))
    expect(band.shape == mask.shape,
           f"The band should have the shape of the mask, {mask.shape}, yours has {band.shape}.")  # fmt: skip
    if band.dtype != bool:
        raise Mistake("The band holds numbers: compare the distance with `width`, so that it holds True and False.")
    wrong = {
        "The band lies inside the person only: a border has two sides.": right & (mask == 1),
        "The band lies outside the person only: a border has two sides.": right & (mask == 0),
        "The band is too thin: a pixel at exactly `width` still belongs to it.": distance < width,
        "This is everything but the band: within `width` of the border means at most `width`.": ~right,
    }
    refuse(band, wrong, right)
    steps = int(width)
    grown = ndimage.binary_dilation(mask, np.ones((3, 3)), steps)
    square = grown & ~ndimage.binary_erosion(mask, np.ones((3, 3)), steps, border_value=1)
    expect(not np.array_equal(band, square) or np.array_equal(square, right),
           "The band is wider at slanted borders: growing by a square counts a diagonal step as 1.")  # fmt: skip
    frame = np.ones(mask.shape, bool)
    frame[1:-1, 1:-1] = False
    expect(not (band & ~right & frame).any(),
           "The band runs along the frame of the picture: a person cut off there has no border there.")  # fmt: skip
    expect(np.array_equal(band, right),
           f"The band of width {width:g} has {right.sum()} pixels, yours {int(band.sum())}.")  # fmt: skip


@exercise("border_width")
def check_border_width(learner):
    lines = {  # from the person outwards; their widths: 4, 2.25, 3, 2.5, about 1.77, 0.8
        "a line that falls by 0.2 per pixel": [0.95, 0.9, 0.7, 0.5, 0.3, 0.1, 0.05],
        "a line that crosses 0.9 and 0.1 between pixels": [1.0, 0.8, 0.4, 0.0],
        "a line that stays at 0.9 for a while": [1.0, 0.9, 0.9, 0.5, 0.1, 0.1, 0.0],
        "a line that just reaches 0.1 at its end": [1.0, 0.8, 0.5, 0.1],
        "a line that rises again behind the border": [0.98, 0.95, 0.6, 0.05, 0.92, 0.4, 0.02],
        "a step between two pixels": [1.0, 1.0, 0.0],
    }
    for name, values in lines.items():
        values = np.array(values)
        right = _crossing(values, 0.1) - _crossing(values, 0.9)
        width = as_number(learner(values.copy()))
        below, above = (int(np.argmax(values <= level)) for level in (0.1, 0.9))
        last = len(values) - 1
        wrong = {
            "These are whole pixels: between two pixels the probability falls in a straight line.": below - above,
            "This has the wrong sign: 0.9 lies inside, 0.1 outside.": -right,
            "This counts from the start of the line: begin where it falls to 0.9.": _crossing(values, 0.1),
            "This takes the last pixel at or above 0.9: begin where the line first falls to it.":
                _crossing(values, 0.1) - float(np.flatnonzero(values >= 0.9)[-1]),
            "This takes the last fall to 0.1: stop at the first.":
                last - _crossing(values[::-1] * -1, -0.1) - _crossing(values, 0.9),
        }  # fmt: skip
        refuse(width, wrong, right)
        expect(not np.isinf(width), f"On {name}, {values.tolist()}, 0.1 is reached, yet your width is infinite.")
        expect(abs(width - right) < 1e-9, f"On {name}, {values.tolist()}, the width is {right:.3f}, yours {width:.3f}.")
    for values in ([0.99, 0.8, 0.6, 0.5], [1.0, 0.95, 0.2, 0.11]):
        width = as_number(learner(np.array(values)))
        expect(width == np.inf, f"{values} never falls to 0.1: its width is np.inf, yours is {width:.3f}.")
    return "A step between two pixels has a width of 0.8: no border can be sharper."


def _crossing(values: np.ndarray, level: float) -> float:
    """Where a line first falls to `level`, in pixels from its start."""
    k = int(np.argmax(values <= level))
    return k - (level - values[k]) / (values[k - 1] - values[k]) if k else 0.0


@exercise("reliability")
def check_reliability(learner):
    probability = np.array([0.05, 0.3, 0.3, 0.45, 0.9, 1.0, 0.8, 0.3])
    target = np.array([0, 1, 0, 0, 1, 1, 0, 255])
    right = np.array([0, 1 / 3, np.nan, 2 / 3])
    shares = as_array(learner(probability.copy(), target.copy(), 4))
    expect(shares.shape != (5,), "Five bins instead of four: a probability of exactly 1 belongs to the last bin.")
    expect(shares.shape == (4,), f"Four bins should give four shares, yours have shape {shares.shape}.")
    rounded = np.array([0, 1 / 3, 0, 1 / 2])
    wrong = {
        "These are the mean probabilities: what the network said. Return the share of the pixels that are person.":
            np.array([0.05, 1.05 / 3, np.nan, 2.7 / 3]),
        "The pixel with the target 255 was counted: it has no label.": np.array([0, 1 / 4, np.nan, 2 / 3]),
        "The pixel with the target 255 was counted as person: it has no label.": np.array([0, 2 / 4, np.nan, 2 / 3]),
        "The target of 255 went into the mean: that pixel has no label.": np.array([0, 256 / 4, np.nan, 2 / 3]),
        "The probability of exactly 1 is lost: it belongs to the last bin.": np.array([0, 1 / 3, np.nan, 1 / 2]),
        "These are shares of all pixels: divide by the pixels in the bin.": np.array([0, 1, 0, 2]) / 7,
        "`round` moves the bins by half of their width: 0.45 belongs to the second of four bins.": rounded,
    }  # fmt: skip
    refuse(shares, wrong, right)
    expect(shares[2] != 0, "The empty bin has the share 0: no pixel fell into it, so nothing is known. Leave NaN.")
    expect(np.allclose(shares, right, equal_nan=True), f"The shares are 0, 1/3, NaN, 2/3, yours are {shares.round(3)}.")
    random = np.random.default_rng(0)
    for bins in (1, 3, 10):
        probability, target = random.random(400), random.choice([0, 1, 1, 255], 400)
        probability[:4], target[:4] = (0, 0, 1, 1), (0, 1, 1, 0)
        index = np.minimum((probability * bins).astype(int), bins - 1)
        right = np.array([(target[(index == k) & (target != 255)] == 1).mean() for k in range(bins)])
        shares = as_array(learner(probability.copy(), target.copy(), bins))
        expect(shares.shape == right.shape, f"{bins} bins should give {bins} shares, yours have shape {shares.shape}.")
        expect(np.allclose(shares, right), f"With {bins} bins the shares of 400 pixels are {right.round(3)}, "
               f"yours are {shares.round(3)}.")  # fmt: skip
    return "Each bin tells how often a pixel of that probability turned out person."


PLOTS = {
    "dark": ("C", {
        "A": "One histogram mixes all settings: it cannot show who fell from where.",
        "B": "Bars of means fall alike if all eight lose a little or one loses a lot.",
        "D": "That says whether probabilities are right, not who gets worse.",
        "E": "That compares photos with each other, not a person with herself at another setting.",
        "F": "An interval says how sure the mean is, and hides who it is made of.",
    }),
    "honest": ("D", {
        "A": "A histogram of scores has no probabilities in it.",
        "B": "A mean Dice has no probabilities in it.",
        "C": "Dice along a dial has no probabilities in it.",
        "E": "A wide border is not yet a wrong probability.",
        "F": "A difference of scores has no probabilities in it.",
    }),
    "better": ("F", {
        "A": "Two histograms may overlap although one network wins on nearly every photo.",
        "B": "Two bars have no interval, and hide that both saw the same photos.",
        "C": "There is no dial in this question.",
        "D": "A better mask may come with worse probabilities, and the reverse.",
        "E": "That plot is about one network.",
    }),
    "blur": ("E", {
        "A": "A histogram has one measure. This question has two.",
        "B": "Means over photos hide which photos go together.",
        "C": "Dice is neither width nor place.",
        "D": "Calibration says nothing about where a border lies.",
        "F": "That compares two networks, and here there is one.",
    }),
}  # fmt: skip


@exercise("right_plot")
def check_right_plot(answers):
    expect(isinstance(answers, dict), f"Give a dictionary with the keys {', '.join(PLOTS)}.")
    for question, (right, evidence) in PLOTS.items():
        said = answers.get(question, ...)
        expect(said is not ..., f"'{question}' has no answer yet.")
        said = str(said).strip().upper()
        expect(said == right or said in evidence, f"'{question}': {said} is none of the plots A to F.")
        expect(said == right, f"'{question}': not {said}. {evidence.get(said)}")
    return "A plot answers the question that its axes ask."


@exercise("sharper")
def check_sharper(learner):
    logged = pd.read_csv(experiments_folder() / "losses" / "picsart.csv", dtype={"id": str}).set_index(["loss", "id"])
    logged["width"] = logged["width"].clip(upper=32)
    photos = {"a": (-2, 0.1), "b": (-1, 0.0), "c": (-3, -0.2), "d": (0, -0.1), "e": (1, 0.3), "f": (2, -0.1)}
    photos["g"] = (-1, -0.1)
    rows = [("bce", photo, 9.0, 0.5) for photo in photos]
    rows += [("bce+dice", photo, 9.0 + width, 0.5 + gain) for photo, (width, gain) in reversed(photos.items())]
    rows += [("focal", photo, 30.0, 0.4) for photo in photos]
    small = pd.DataFrame(rows, columns=["loss", "id", "width", "boundary_f1"]).set_index(["loss", "id"])
    for table, name in ((logged, "the logged photos"), (small, "seven made-up photos")):
        given = table.copy()
        got = as_number(learner(given))
        expect(given.equals(table), "Your code changes the table: whoever calls it still needs that.")
        change = table.loc["bce+dice", ["width", "boundary_f1"]] - table.loc["bce", ["width", "boundary_f1"]]
        narrow, gained = change["width"] < 0, change["boundary_f1"] > 0
        right = float((narrow & ~gained).sum() / narrow.sum())
        expect(0 <= got <= 1, f"A share lies between 0 and 1, yours is {got:g}.")
        wrong = {
            "This is the share that did gain: asked is the share that did not.": 1 - right,
            "This is the share of all photos: divide by those that got sharper.": (narrow & ~gained).mean(),
            "This is the share of photos that got sharper: how many of these gained nothing?": narrow.mean(),
            "This is the share without a gain among all photos: look at those that got sharper.": (~gained).mean(),
            "This is the share of those without a gain that got sharper: turn it round.":
                (narrow & ~gained).sum() / (~gained).sum(),
        }  # fmt: skip
        refuse(got, wrong, right)
        expect(abs(got - right) < 1e-6, f"On {name} the share is {right:.3f}, yours {got:.3f}.")
    change = logged.loc["bce+dice", ["width", "boundary_f1"]] - logged.loc["bce", ["width", "boundary_f1"]]
    narrow, idle = change["width"] < 0, change["boundary_f1"] <= 0
    return (f"Of the logged photos whose border got sharper, {idle[narrow].mean():.0%} gained no boundary F1; "
            f"of the others, {idle[~narrow].mean():.0%}.")  # fmt: skip
