"""Which loss gives the best border? Runs that differ in the loss alone, scored photo by photo.

    python -m experiments.losses.run                       # the sample: some minutes per run on one CPU core
    python -m experiments.losses.run --dataset picsart     # 500 of the PicsArt photos
    python -m experiments.losses.run --seeds 0 1           # each loss twice

Written beside this file: DATASET.csv, one row per run and validation photo, and DATASET.json with the origin of the
rows. Only numbers are kept, no photos and no masks. The runs themselves are in build/runs/losses; a run that is there
already goes on, or is scored again without training.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from experiments import command
from faceseg_utils import dice
from faceseg_utils.analysis import errors, labels
from faceseg_utils.config import TrainConfig
from faceseg_utils.data.catalog import IGNORE
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.engine.device import device_name
from faceseg_utils.log.runs import SCORES
from faceseg_utils.paths import course_root, revision, write_text
from faceseg_utils.training import train

HERE = Path(__file__).resolve().parent
LOSSES = ("bce", "bce+dice", "focal", "tversky", "boundary-bce")
SETUP = {  # what all runs of a dataset share
    "sample": {"size": (128, 96), "epochs": 6},
    "picsart": {"size": (128, 96), "epochs": 4, "limit": 500},
}
COLUMNS = ["loss", "seed", "id", "person", *SCORES, "width", "length", "wrong", "doubted"]


def outline_length(prediction: np.ndarray, target: np.ndarray) -> float:
    """How long the predicted border is, as a multiple of the true one (in border pixels): a ragged border is long."""
    true = (target > 0) & (target != IGNORE)
    return float(dice.boundary(prediction).sum() / max(1, dice.boundary(true).sum()))


def border_width(probability: np.ndarray) -> float:
    """Median pixels over which the probability [H, W] falls from .9 to .1 across its own border; inf: over 32."""
    widths = errors.profile_widths(*errors.border_profiles(probability, probability > 0.5))
    return float(np.median(widths)) if len(widths) else np.nan


def score(segmenter, val: PortraitDataset) -> pd.DataFrame:
    """One row per photo: scores, width of the border and length of the outline, wrong pixels, doubted labels.

    width: median px over which the probability falls from .9 to .1 across the model's own border (inf: it does not).
    length: that of the predicted border over that of the true one. doubted: pixels in pieces of 50 or more in which
    the model is over 95 % sure that the label is wrong. person: whose portrait it is (photos of one go together).
    """
    rows = []
    for photo, mask in val:
        probability = errors.person_probability(segmenter.predict(photo))  # [H, W]
        prediction = (probability > 0.5).astype(np.uint8)
        scores = errors.image_scores(prediction, mask)
        rows.append(
            {
                **{name: scores[name] for name in SCORES},
                "width": border_width(probability),
                "length": outline_length(prediction, mask),
                "wrong": scores["false_positives"] + scores["false_negatives"],
                "doubted": int(labels.suspects(probability, mask)["area"].sum()),
            }
        )
    return pd.DataFrame(rows).assign(id=val.stems, person=val.people)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.losses.run", description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", default="sample", choices=SETUP)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args(arguments)
    val = PortraitDataset(options.dataset, "val", "person")
    tables, origin = [], []
    for seed in options.seeds:
        for loss in LOSSES:
            config = TrainConfig(dataset=options.dataset, view="person", loss=loss, seed=seed, **SETUP[options.dataset])
            name = f"{options.dataset}-{loss.replace('+', '-')}-s{seed}"
            trained = train(config, course_root() / "build" / "runs" / "losses" / name, resume=True)
            tables.append(score(trained.segmenter, val).assign(loss=loss, seed=seed))
            summary = json.loads((trained.folder / "summary.json").read_text())
            kept = ("best_epoch", "minutes", "device", "precision", "torch", "revision", "dataset_digest", "photos")
            origin.append({"config": asdict(config), **{name: summary[name] for name in kept}})
            print(f"{name}: {tables[-1][['dice', 'boundary_f1', 'length']].mean().round(4).to_dict()}", flush=True)
            table = pd.concat(tables)[COLUMNS].round(6)  # written after every run: a stop loses nothing
            write_text(HERE / f"{options.dataset}.csv", table.to_csv(index=False, lineterminator="\n"))
            scored = {"device": device_name(), "torch": torch.__version__, "revision": revision()}
            record = json.dumps({"scored": scored, "runs": origin}, indent=2)
            write_text(HERE / f"{options.dataset}.json", record + "\n")


if __name__ == "__main__":
    command.run(main)
