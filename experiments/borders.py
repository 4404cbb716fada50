"""Where and how a network errs, photo by photo: numbers alone, never a picture. Writes borders/NAME.csv.

    python -m experiments.borders models/NAME experiments/runs/NAME/model ...    # folders with weights; a minute each
    python -m experiments.borders --short    # trains short-base and short-bce, seeds 0 to 4, into build/; scores each

The photos are the 150 validation photos of PicsArt. Notebook 05 reads what is here and measures the dials in the same
way.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from experiments import command
from experiments.losses.run import border_width, outline_length
from experiments.plan import PLAN
from faceseg_utils import dice
from faceseg_utils.analysis import errors
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.model import Segmenter
from faceseg_utils.paths import course_root, write_text
from faceseg_utils.training import train
from faceseg_utils.transforms import Pipeline

DATASET = "picsart"
FOLDER = Path(__file__).resolve().parent / "borders"
SHORT = [name for name in PLAN if name.startswith(("short-base-s", "short-bce-s"))]


def skin_like(photo: np.ndarray) -> np.ndarray:
    """Pixels whose colour lies in the box of Chai and Ngan (1999), bool [H, W]; wood, sand and brick lie in it too."""
    red, green, blue = np.moveaxis(photo.astype(np.float32), -1, 0)
    cb = 128 - 0.168736 * red - 0.331264 * green + 0.5 * blue
    cr = 128 + 0.5 * red - 0.418688 * green - 0.081312 * blue
    return (cb >= 77) & (cb <= 127) & (cr >= 133) & (cr <= 173)


def at_network_size(mask: np.ndarray, segmenter: Segmenter) -> np.ndarray:
    """The true mask shrunk to the size at which the network works and scaled up again: float [H, W]."""
    _, small = Pipeline(segmenter.config.size)(np.zeros((*mask.shape, 3), np.uint8), mask)  # [h, w]
    return segmenter.unpad((small == 1).float()[None, None], mask.shape)[0, 0].cpu().numpy()


def measure(photo: np.ndarray, mask: np.ndarray, probability: np.ndarray, sharpest=None) -> dict[str, float]:
    """One row: scores; `width` of the border and, if given, that of `sharpest` (`at_network_size`, [H, W]); `length`
    of the predicted outline over that of the true one, which has `outline` pixels; `wrong` pixels, those `near` (up to
    5 px from the true border), `far` (beyond 10) and `sure` (over 95 %); far background that is skin-like in colour
    (`skin`) or not (`other`), and how much of either is called person.
    """
    prediction, distance = (probability > 0.5).astype(np.uint8), errors.distance_to_border(mask)
    wrong, beyond, skin = prediction != mask, (distance > 10) & (mask == 0), skin_like(photo)
    pixels = {
        "wrong": wrong, "near": wrong & (distance <= 5), "far": wrong & (distance > 10),
        "sure": wrong & (np.abs(probability - 0.5) > 0.45),
        "skin": beyond & skin, "skin_person": beyond & skin & wrong,
        "other": beyond & ~skin, "other_person": beyond & ~skin & wrong,
    }  # fmt: skip
    return {
        **dice.photo_scores(prediction, mask),
        "width": border_width(probability), **({} if sharpest is None else {"sharpest": border_width(sharpest)}),
        "length": outline_length(prediction, mask), "outline": int(dice.boundary(mask).sum()),
        **{name: int(where.sum()) for name, where in pixels.items()},
    }  # fmt: skip


def score(segmenter: Segmenter, photos: PortraitDataset) -> pd.DataFrame:
    """`measure` for each photo, index `id`."""
    rows = [measure(photo, mask, segmenter.predict(photo), at_network_size(mask, segmenter)) for photo, mask in photos]
    return pd.DataFrame(rows, index=pd.Index(photos.stems, name="id"))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.borders", description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path, metavar="FOLDER", help="a folder with config and weights")
    parser.add_argument("--short", action="store_true", help=f"train and score {SHORT[0]} to {SHORT[-1]}")
    options = parser.parse_args(arguments)
    folders = {(place.parent if place.name == "model" else place).name: place for place in options.models}
    val = PortraitDataset(DATASET, "val", "person")
    for name in [*folders, *(SHORT if options.short else [])]:
        if name in folders:
            segmenter = Segmenter.load(folders[name])
        else:
            segmenter = train(PLAN[name], course_root() / "build" / "runs" / "borders" / name, resume=True).segmenter
        table = score(segmenter, val)
        write_text(FOLDER / f"{name}.csv", table.round(6).to_csv(lineterminator="\n"))
        print(f"{name}: {table[['dice', 'boundary_f1', 'width', 'length']].median().round(4).to_dict()}", flush=True)


if __name__ == "__main__":
    command.run(main)
