"""What if the label is wrong? Masks drawn as if by hand, faults planted on purpose, labels that a model doubts.

Masks and probabilities as in `errors`. Everything random takes a generator, so that it can be repeated.
"""

import numpy as np
import pandas as pd
from contourpy import contour_generator
from PIL import Image, ImageDraw

from faceseg_utils.analysis.calibration import check_probability
from faceseg_utils.analysis.errors import INVENTED, MISSED, components, error_kinds
from faceseg_utils.data.catalog import IGNORE
from faceseg_utils.dice import boundary

FINE = 3  # a polygon is filled at this many times the size, because PIL adds the pixels that its outline touches
BEYOND = 8  # pixels: how far a person who is cut off goes on outside of the frame


def draw_by_hand(mask: np.ndarray, every: float, jitter: float, random: np.random.Generator) -> np.ndarray:
    """Redraw a true mask [H, W] as an annotator would: one click per `every` px of outline, straight lines between.

    Each click misses the outline by a normal error of `jitter` px in rows and in columns. 255 becomes background.
    """
    person = (np.asarray(mask) > 0) & (np.asarray(mask) != IGNORE)
    beyond = np.pad(np.pad(person, BEYOND, "edge"), 1)  # an outline that closes outside of the frame
    outlines = contour_generator(z=beyond.astype(float)).lines(0.5)  # [N, 2] each, as x, y
    canvas = Image.new("1", (FINE * beyond.shape[1], FINE * beyond.shape[0]))
    pen = ImageDraw.Draw(canvas)
    for outline in sorted(outlines, key=lambda each: -abs(_signed_area(each))):  # those inside of another come later
        along = np.r_[0, np.linalg.norm(np.diff(outline, axis=0), axis=1).cumsum()]
        at = np.linspace(0, along[-1], max(3, round(along[-1] / every)), endpoint=False)
        clicks = np.stack([np.interp(at, along, axis) for axis in outline.T], 1)
        clicks += random.normal(0, jitter, clicks.shape)
        pen.polygon([tuple(FINE * click + FINE // 2) for click in clicks], fill=int(_signed_area(outline) > 0))
    edge = FINE * (BEYOND + 1)
    return np.asarray(canvas, np.uint8)[edge:-edge, edge:-edge][FINE // 2 :: FINE, FINE // 2 :: FINE]


def _signed_area(outline: np.ndarray) -> float:
    """Area inside a closed line [N, 2]: contourpy goes round a piece one way and round a hole the other way."""
    x, y = outline.T
    return float(x[:-1] @ y[1:] - x[1:] @ y[:-1]) / 2


def plant_fault(mask: np.ndarray, radius: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Spoil a mask [H, W]: a disc around a random pixel of its border becomes all person or all background.

    Returns the spoilt mask, uint8, and which pixels changed, bool.
    """
    rows, columns = np.nonzero(boundary(mask))
    if not len(rows):
        raise ValueError("the mask has no border to plant a fault at: it is empty or full")
    chosen = random.integers(len(rows))
    row, column = np.ogrid[: mask.shape[0], : mask.shape[1]]
    disc = np.hypot(row - rows[chosen], column - columns[chosen]) <= radius
    spoilt = np.where(disc & (mask != IGNORE), random.integers(2), mask).astype(np.uint8)
    return spoilt, spoilt != mask


def suspects(probability: np.ndarray, target: np.ndarray, sure: float = 0.95, least: int = 50) -> pd.DataFrame:
    """Where a model is more than `sure` that the label is wrong: one row per connected piece, largest first.

    Columns: kind ("missed" or "invented", as the label sees it), area in pixels (`least` or more), row and column of
    the piece's first pixel. Confident disagreement marks labels to look at again (Northcutt et al. 2021, arXiv
    1911.00068). It does not tell who is right.
    """
    probability = check_probability(probability, target)
    certain = np.abs(probability - 0.5) > sure - 0.5
    kinds = error_kinds(probability > 0.5, target)
    found = []
    for kind, name in ((MISSED, "missed"), (INVENTED, "invented")):
        labels, areas = components((kinds == kind) & certain)
        for label, area in enumerate(areas[areas >= least], start=1):
            row, column = np.argwhere(labels == label)[0]
            found.append((name, int(area), int(row), int(column)))
    table = pd.DataFrame(found, columns=["kind", "area", "row", "column"])
    return table.sort_values("area", ascending=False, ignore_index=True)
