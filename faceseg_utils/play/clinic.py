"""The run clinic: trainings with one planted fault each, to be named from what a run folder keeps.

case = load("case-a")     # its curves, what it asked for, its scores and four of its masks
figure("case-a")          # the same as one picture, a healthy run in grey behind the curves

`experiments/clinic` has the runs; `python -m experiments.clinic.make` trains them anew.
"""

import json
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.dice import dice_score
from faceseg_utils.figures.plots import BARE, BLUE, GREY, ORANGE, WIDTH, contour
from faceseg_utils.paths import did_you_mean, experiments_folder

CASES = tuple(f"case-{letter}" for letter in "abcdefgh")
HEALTHY = "healthy"  # a run without a fault, to compare with
PORTRAITS = ("0041", "0113", "0163", "0236")  # of validation: off the centre, seen from the side, dim


@dataclass(frozen=True)
class Case:
    """What a run of the clinic kept."""

    name: str
    curves: pd.DataFrame  # one row per epoch: learning_rate, train_loss, train_dice, val_loss, val_dice
    differences: pd.DataFrame  # what was asked for otherwise than of the healthy run: columns "healthy" and the case
    val_scores: pd.Series  # Dice of each validation photo, with the weights of the best epoch
    predictions: dict[str, np.ndarray]  # of four validation portraits: uint8 [H, W], 0 or 1


def load(name: str) -> Case:
    """A case by name, or "healthy". Raises ValueError, with the nearest name, where there is none."""
    if name not in (HEALTHY, *CASES):
        raise ValueError(f"no case is called '{name}'.{did_you_mean(name, CASES)}")
    runs = experiments_folder() / "clinic" / "runs"
    asked = {run: json.loads((runs / run / "config.json").read_text(encoding="utf-8")) for run in (HEALTHY, name)}
    differences = pd.DataFrame(asked).rename_axis("setting")
    return Case(
        name,
        pd.read_csv(runs / name / "metrics.csv", index_col="epoch"),
        differences[differences[HEALTHY] != differences[name]],
        pd.read_csv(runs / name / "val_scores.csv", dtype={"id": str}, index_col="id")["dice"],
        {stem: np.array(Image.open(runs / name / "predictions" / f"{stem}.png"), np.uint8) for stem in PORTRAITS},
    )


def figure(name: str) -> Figure:
    """Above: loss and Dice by epoch, and the scores of all validation photos; in grey the healthy run's.

    Below: four predictions in yellow, the truth dashed and blue. Over each stand its Dice and what val_scores.csv has
    for the same photo and the same weights.
    """
    case, healthy = load(name), load(HEALTHY)
    val = PortraitDataset("sample", "val")
    picture = plt.figure(figsize=(WIDTH, 5.4))
    above, below = picture.subfigures(2, height_ratios=(1, 1.1))
    *curves, strip = above.subplots(1, 3)
    for axis, what in zip(curves, ("loss", "dice")):
        for run, blue, orange, line in ((healthy, GREY, GREY, 1), (case, BLUE, ORANGE, 2)):
            axis.plot(run.curves[f"train_{what}"], color=blue, linewidth=line, label=f"{run.name}, train")
            axis.plot(run.curves[f"val_{what}"], "--", color=orange, linewidth=line, label=f"{run.name}, monitor")
        axis.set(xlabel="epoch", title={"loss": "loss (log scale)", "dice": "Dice"}[what])
    curves[0].set_yscale("log")
    curves[1].legend(fontsize=7)
    for run, colour in ((healthy, GREY), (case, ORANGE)):
        strip.plot(run.val_scores.sort_values().to_numpy(), ".", color=colour, markersize=3)
    strip.set(xlabel="photo, worst first", title="Dice of each validation photo")
    best, mean = case.curves["val_dice"].max(), case.val_scores.mean()
    picture.suptitle(f"{name}: monitor Dice {best:.3f} in its best epoch, validation Dice {mean:.3f}", fontsize=11)
    for axis, (stem, mask) in zip(below.subplots(1, len(PORTRAITS), subplot_kw=BARE), case.predictions.items()):
        photo, truth = val[val.stems.index(stem)]
        contour(axis, photo, mask, truth)
        axis.set_title(f"{dice_score(mask, truth).item():.3f}\nval_scores.csv: {case.val_scores[stem]:.3f}", size=9)
    return picture
