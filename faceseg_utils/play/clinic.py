"""The run clinic: trainings with one planted fault each, to be named from what a run folder keeps.

case = load("case-a")         # its curves, what it asked for, its scores and four of its masks
figure("case-a", "case-b")    # the same as one picture, one row per case, a healthy run in grey behind the curves

`experiments/clinic` has the runs; `python -m experiments.clinic.make` trains them anew.
"""

import json
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
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


def figure(*names: str) -> Figure:
    """One row per case: loss and Dice by epoch, the scores of all validation photos; in grey the healthy run's.

    On the right four predictions in yellow, the truth dashed and blue. Over each stand its Dice and in brackets what
    val_scores.csv has for the same photo and the same weights.
    """
    healthy, val = load(HEALTHY), PortraitDataset("sample", "val")
    picture = plt.figure(figsize=(WIDTH, 1.85 * len(names) + 0.3))
    for row, case in zip(np.atleast_1d(picture.subfigures(len(names))), map(load, names)):
        looks = ("healthy run", healthy, GREY, GREY, 1), ("case", case, BLUE, ORANGE, 2)
        loss, dice, strip, *masks = row.subplots(1, 3 + len(PORTRAITS), width_ratios=(1.5, 1.5, 1.2) + (0.85,) * 4)
        for axis, what, title in ((loss, "loss", "loss (log scale)"), (dice, "dice", "Dice by epoch")):
            for who, run, blue, orange, line in looks:
                epochs = run.curves.index + 1
                axis.plot(epochs, run.curves[f"train_{what}"], color=blue, lw=line, label=f"{who}, train")
                axis.plot(epochs, run.curves[f"val_{what}"], "--", color=orange, lw=line, label=f"{who}, monitor")
            axis.set_title(title, size=9)
            axis.xaxis.get_major_locator().set_params(integer=True)
        loss.set_yscale("log")
        loss.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
        loss.yaxis.set_major_formatter("{x:g}")
        loss.yaxis.set_minor_formatter("")
        for run, colour in ((healthy, GREY), (case, ORANGE)):
            strip.plot(run.val_scores.sort_values().to_numpy(), ".", color=colour, markersize=3)
        strip.set_title("photos, sorted", size=9)
        best, mean = case.curves["val_dice"].max(), case.val_scores.mean()
        row.suptitle(f"{case.name}: monitor Dice {best:.3f} in its best epoch, validation Dice {mean:.3f}", size=10)
        for axis in (loss, dice, strip):
            axis.tick_params(labelsize=8)
        for axis, (stem, mask) in zip(masks, case.predictions.items()):
            photo, truth = val[val.stems.index(stem)]
            contour(axis, photo, mask, truth)
            axis.set(**BARE)
            axis.set_title(f"{dice_score(mask, truth).item():.3f}\n({case.val_scores[stem]:.3f})", size=8)
    picture.legend(*loss.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return picture

