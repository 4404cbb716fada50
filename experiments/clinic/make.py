"""The run clinic: eight small trainings, each with one planted fault, and a healthy one beside them.

    python -m experiments.clinic.make --list      # the cases and what is kept of each
    python -m experiments.clinic.make case-a      # train one anew: a minute of one CPU core, for one case some minutes
    python -m experiments.clinic.make             # all of them

Every run is a real one: `train` on the sample, with the fault planted by one of the small patches below. The same seed
on the same machine gives the same numbers. Kept in runs/CASE are config.json, metrics.csv, val_scores.csv and the
masks that the best epoch's network gives four validation portraits; no weights.

This file tells how the faults are planted, answers.json which case has which: both spoil the exercise of notebook 03.
"""

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.nn.functional import dropout2d

from experiments import command
from faceseg_utils import model, training
from faceseg_utils.config import TrainConfig
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.model import Segmenter, build_model
from faceseg_utils.network.encoders import Float32EncoderUnet
from faceseg_utils.paths import write_text
from faceseg_utils.play.clinic import HEALTHY, PORTRAITS

HERE = Path(__file__).resolve().parent
BASE = TrainConfig(size=(96, 64), limit=64, epochs=6, learning_rate=2e-3)
DROPOUT = 0.5  # of the one network that has any; its config.json says so
SEEDS = 20  # of which the luckiest is reported
COLUMNS = ["epoch", "learning_rate", "train_loss", "train_dice", "val_loss", "val_dice"]  # no seconds: they vary


# --- The faults: each is a patch under which `train` runs -------------------------------------------------------------


def datasets_with(change: Callable) -> AbstractContextManager:
    """`train` learns from change(train, val) in place of train."""
    datasets = training.datasets

    def changed(config):
        train, monitor, val = datasets(config)
        return change(train, val), monitor, val

    return patch.object(training, "datasets", changed)


def masks_of_others(train: PortraitDataset, _) -> PortraitDataset:
    """Each photo with the mask of another one: the list of masks is shuffled, as by two listings of a folder."""
    others = np.random.default_rng(0).permutation(len(train))
    mixed = train.subset(range(len(train)))
    mixed.items = [replace(item, mask=train.items[i].mask) for item, i in zip(train.items, others)]
    return mixed


def leak(train: PortraitDataset, val: PortraitDataset) -> PortraitDataset:
    """The validation photos are among those to learn from."""
    return train + val


def photo_turned_alone(train: PortraitDataset, _) -> PortraitDataset:
    """The augmentation sees the photo; its mask is letterboxed only."""
    pipeline = train.transform
    together = pipeline.arrays
    pipeline.arrays = lambda image, mask, seed: (together(image, mask, seed)[0], pipeline.fit(image, mask)[1])
    return train


def normalisation_forgotten() -> AbstractContextManager:
    """Photos are normalised in training; in validation and prediction they go in as they are, from 0 to 255."""
    new_segmenter = training.new_segmenter

    def changed(config, classes):
        made = new_segmenter(config, classes)
        return Segmenter(made.network, replace(made.config, mean=(0.0,) * 3, std=(1 / 255,) * 3))

    return patch.object(training, "new_segmenter", changed)


def eval_forgotten() -> AbstractContextManager:
    """Whoever asks the network for eval mode gets train mode. It has dropout before its last layer."""

    def drop(layer, inputs):
        return (dropout2d(inputs[0], DROPOUT, layer.training),)

    def build(*arguments, **options):
        network = build_model(*arguments, **options)
        network.segmentation_head.register_forward_pre_hook(drop)
        return network

    patches = ExitStack()
    patches.enter_context(patch.object(training, "build_model", build))
    patches.enter_context(patch.object(model, "build_model", build))  # for `Segmenter.load`
    patches.enter_context(patch.object(Float32EncoderUnet, "eval", lambda network: network.train()))
    return patches


# What is asked for beside `BASE`, and the patch. A rate is all configuration; the lucky seed is a matter of repeating.
PLANTS: dict[str, tuple[dict, Callable[[], AbstractContextManager]]] = {
    "rate too high": ({"learning_rate": 0.05, "schedule": "constant", "clip": 0.0, "seed": 1}, nullcontext),
    "rate too low": ({"learning_rate": 3e-5, "seed": 2, "batch_size": 4}, nullcontext),
    "masks of other photos": ({"augment": "none", "seed": 3}, lambda: datasets_with(masks_of_others)),
    "leak": ({"augment": "none", "limit": 8, "epochs": 8, "seed": 6}, lambda: datasets_with(leak)),
    "eval mode forgotten": ({"learning_rate": 3e-3, "seed": 4}, eval_forgotten),
    "normalisation forgotten": ({"batch_size": 4, "loss": "bce"}, normalisation_forgotten),
    "photo turned without its mask": (
        {"size": (64, 64), "limit": 128, "augment": "report", "seed": 5},
        lambda: datasets_with(photo_turned_alone),
    ),
    "best of twenty seeds": ({"limit": 16, "batch_size": 4, "epochs": 5, "holdout": 0.02}, nullcontext),
    "none": ({}, nullcontext),
}


# --- Making a case ----------------------------------------------------------------------------------------------------


def answers() -> dict[str, dict]:
    """The truth about each case."""
    return json.loads((HERE / "answers.json").read_text(encoding="utf-8"))["cases"]


def make(case: str, folder: Path, **changes) -> None:
    """Train `case` and keep its files in `folder`; `changes` to its configuration make it small, for a test."""
    torch.set_num_threads(1)  # sums have the same order in every run
    fault = answers()[case]["fault"] if case != HEALTHY else "none"
    asked, plant = PLANTS[fault]
    config = replace(BASE, **asked | changes)
    seeds = range(SEEDS) if fault == "best of twenty seeds" else [config.seed]
    with tempfile.TemporaryDirectory() as scratch, plant():
        runs = [training.train(replace(config, seed=seed), Path(scratch) / str(seed)) for seed in seeds]
        best = max(runs, key=lambda run: run.metrics["val_dice"].max())
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "predictions").mkdir(parents=True)
        for stem, mask in predictions(best.segmenter).items():
            Image.fromarray(mask * 255).convert("1").save(folder / "predictions" / f"{stem}.png", optimize=True)
        asked = json.loads((best.folder / "config.json").read_text(encoding="utf-8"))
        asked |= {"dropout": DROPOUT} if fault == "eval mode forgotten" else {}
        write_text(folder / "config.json", json.dumps(asked, indent=2) + "\n")
        table(folder / "metrics.csv", best.metrics[COLUMNS].set_index("epoch"))
        table(folder / "val_scores.csv", best.val_scores[["dice"]])
    if len(runs) > 1:
        chosen = {"best epoch": [run.metrics["val_dice"].max() for run in runs], "validation": [r.dice for r in runs]}
        table(folder.parent.parent / "answers-seeds.csv", pd.DataFrame(chosen).rename_axis("seed"))


def predictions(segmenter: Segmenter) -> dict[str, np.ndarray]:
    """The masks of the four portraits at their native size, uint8 [H, W], 0 or 1."""
    val = PortraitDataset("sample", "val")
    return {stem: segmenter.classify(val[val.stems.index(stem)][0]) for stem in PORTRAITS}


def table(path: Path, content: pd.DataFrame) -> None:
    write_text(path, content.to_csv(float_format="%.6g", lineterminator="\n"))


def main(arguments: list[str]) -> None:
    cases = [HEALTHY, *answers()]
    parser = argparse.ArgumentParser(prog="python -m experiments.clinic.make", description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help="such as case-a; default: all")
    parser.add_argument("--list", action="store_true", help="the cases, without their faults")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.cases) - set(cases)):
        raise ValueError(f"no case is called '{unknown[0]}': there are {', '.join(cases)}")
    for case in options.cases or cases:
        folder = HERE / "runs" / case
        if options.list:
            print(f"{case}: {', '.join(sorted(path.name for path in folder.glob('*'))) or 'not made yet'}")
        else:
            make(case, folder)
            print(f"{case} made anew")


if __name__ == "__main__":
    command.run(main)
