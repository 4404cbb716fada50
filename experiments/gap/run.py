"""How far is the rendered sample from photos? Train on each alone, score on both. Writes scores.csv beside this file.

    python -m experiments.gap.run           # needs the PicsArt photos; about 5 minutes on two CPU cores

Both runs see their training pictures 8 times at 160 x 128: 256 photos, or the 232 renders that are left when a tenth
is held out to choose the epoch. They differ in nothing else.
"""

import json
from pathlib import Path

import pandas as pd

from experiments import command
from faceseg_utils.config import TrainConfig
from faceseg_utils.data import catalog
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.evaluation import evaluate
from faceseg_utils.log.runs import SCORES
from faceseg_utils.paths import course_root, revision, write_text
from faceseg_utils.training import train

HERE = Path(__file__).parent
CONFIG = {"view": "person", "size": (160, 128), "epochs": 8, "limit": 256, "holdout": 0.1}
NAMES = ("sample", "picsart")


def main(arguments: list[str]) -> None:
    """Train twice, score four times."""
    tables, code = [], revision()  # the code as it was when the runs began
    for trained_on in NAMES:
        config = TrainConfig(dataset=trained_on, **CONFIG)
        segmenter = train(config, course_root() / "build" / "runs" / f"gap_{trained_on}", resume=True).segmenter
        for scored_on in NAMES:
            scores = evaluate(segmenter, PortraitDataset(scored_on, "val", "person"))
            tables.append(scores.reset_index().assign(trained_on=trained_on, scored_on=scored_on))
            print(f"trained on {trained_on}, scored on {scored_on}: Dice {scores['dice'].mean():.4f}")
    table = pd.concat(tables)[["trained_on", "scored_on", "id", *SCORES]].round(6)
    write_text(HERE / "scores.csv", table.to_csv(index=False, lineterminator="\n"))
    origin = {"config": CONFIG, "revision": code, "digests": {n: catalog.DATASETS[n].digest for n in NAMES}}
    write_text(HERE / "origin.json", json.dumps(origin, indent=2) + "\n")


if __name__ == "__main__":
    command.run(main)
