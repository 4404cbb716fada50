"""The run clinic: trainings with one planted fault each, to be named from what a run folder keeps.

case = load("case-a")         # its curves, what it asked for, its scores and four of its masks
figure("case-a", "case-b")    # the same as one picture, one row per case, a healthy run in grey behind the curves
figure("healthy", "case-a")   # the healthy run has a row of its own

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
from faceseg_utils.engine.loader import held_out
from faceseg_utils.figures.plots import BARE, BLUE, GREEN, GREY, ORANGE, WIDTH, contour
from faceseg_utils.paths import did_you_mean, experiments_folder

CASES = tuple(f"case-{letter}" for letter in "abcdefgh")
HEALTHY = "healthy"  # a run without a fault, to compare with
DICE = (0.4, 1.005)  # the axis of every Dice: rows are compared
PORTRAITS = ("0041", "0113", "0163", "0236")  # of validation: off the centre, seen from the side, dim


@dataclass(frozen=True)
class Case:
    """What a run of the clinic kept."""

    name: str
    curves: pd.DataFrame  # one row per epoch: learning_rate, train_loss, train_dice, val_loss, val_dice
    differences: pd.DataFrame  # what was asked for otherwise than of the healthy run: columns "healthy" and the case
    monitor: int  # number of photos that chose the best epoch
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
        len(held_out(PortraitDataset("sample", "train").people, asked[name]["holdout"])),
        pd.read_csv(runs / name / "val_scores.csv", dtype={"id": str}, index_col="id")["dice"],
        {stem: np.array(Image.open(runs / name / "predictions" / f"{stem}.png"), np.uint8) for stem in PORTRAITS},
    )


def figure(*names: str) -> Figure:
    """One row per case: loss and Dice by epoch, the Dice of all validation photos by rank; in grey the healthy run's.

    On the right four predictions in yellow, the truth dashed and blue. Over each stand its Dice and in brackets what
    val_scores.csv has for the same photo and the same weights. All Dice share one axis.
    """
    healthy, val = load(HEALTHY), PortraitDataset("sample", "val")
    picture = plt.figure(figsize=(WIDTH, 1.85 * len(names) + 0.3))
    for row, case in zip(np.atleast_1d(picture.subfigures(len(names))), map(load, names)):
        looks = [("healthy run", healthy, GREY, GREY, GREY, 1), ("case", case, BLUE, ORANGE, GREEN, 2)]
        looks = looks[:1] if case.name == HEALTHY else looks
        loss, dice, strip, *masks = row.subplots(1, 3 + len(PORTRAITS), width_ratios=(1.5, 1.5, 1.2) + (0.85,) * 4)
        for axis, what, title in ((loss, "loss", "loss by epoch (log)"), (dice, "dice", "Dice by epoch")):
            for who, run, blue, orange, _, line in looks:
                epochs = run.curves.index + 1
                axis.plot(epochs, run.curves[f"train_{what}"], color=blue, lw=line, label=f"{who}, train")
                axis.plot(epochs, run.curves[f"val_{what}"], "--", color=orange, lw=line, label=f"{who}, monitor")
            axis.set_title(title, size=9)
            axis.xaxis.get_major_locator().set_params(integer=True)
        loss.set_yscale("log")
        loss.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if loss.get_ylim()[1] < 10 else (1,)))
        loss.yaxis.set_major_formatter("{x:g}")
        loss.yaxis.set_minor_formatter("")
        for who, run, _, _, colour, _ in looks:
            ranked = run.val_scores.sort_values().to_numpy()
            strip.plot(ranked, ".", color=colour, markersize=3, label=f"{who}, validation")
        strip.set_title("Dice by rank", size=9)
        for axis in (dice, strip):
            axis.set_ylim(DICE)
        best, mean = case.curves["val_dice"].max(), case.val_scores.mean()
        row.suptitle(
            f"{case.name}: best monitor Dice {best:.3f} ({case.monitor} photos), "
            f"validation Dice {mean:.3f} ({len(case.val_scores)} photos)",
            size=10,
        )
        for axis in (loss, dice, strip):
            axis.tick_params(labelsize=8)
        for axis, (stem, mask) in zip(masks, case.predictions.items()):
            photo, truth = val[val.stems.index(stem)]
            contour(axis, photo, mask, truth)
            axis.set(**BARE)
            axis.set_title(f"{dice_score(mask, truth).item():.3f}\n({case.val_scores[stem]:.3f})", size=8)
    shown = [sum(both, []) for both in zip(*(axis.get_legend_handles_labels() for axis in (loss, strip)))]
    picture.legend(*shown, loc="outside lower center", ncols=3)
    return picture

