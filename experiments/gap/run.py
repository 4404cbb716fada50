"""How far is the rendered sample from photos? Train on each alone, score on both. Writes scores.csv beside this file.

    python -m experiments.gap.run           # needs the PicsArt photos; about 5 minutes on two CPU cores

Both runs see their pictures of train 8 times at 160 x 128: 256 photos, or the 232 renders that are left when a tenth
is held out to choose the epoch. They differ in nothing else.
"""

import json
from pathlib import Path

import pandas as pd

from faceseg_utils import catalog
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.training import TrainConfig, evaluate, revision, train

HERE = Path(__file__).parent
CONFIG = {"view": "person", "size": (160, 128), "epochs": 8, "limit": 256, "holdout": 0.1}
NAMES = ("sample", "picsart")


def main():
    """Train twice, score four times."""
    tables, code = [], revision()  # the code as it was when the runs began
    for trained_on in NAMES:
        config = TrainConfig(dataset=trained_on, **CONFIG)
        segmenter = train(config, catalog.course_root() / "build" / "runs" / f"gap_{trained_on}", resume=True).segmenter
        for scored_on in NAMES:
            scores = evaluate(segmenter, PortraitDataset(scored_on, "val", "person", segmenter.card.pipeline))
            table = scores[["dice", "iou", "boundary_f1"]].reset_index()
            tables.append(table.assign(trained_on=trained_on, scored_on=scored_on))
            print(f"trained on {trained_on}, scored on {scored_on}: Dice {scores['dice'].mean():.4f}")
    columns = ["trained_on", "scored_on", "id", "dice", "iou", "boundary_f1"]
    pd.concat(tables)[columns].round(6).to_csv(HERE / "scores.csv", index=False, lineterminator="\n")
    origin = {"config": CONFIG, "revision": code, "digests": {n: catalog.DATASETS[n].digest for n in NAMES}}
    (HERE / "origin.json").write_text(json.dumps(origin, indent=2) + "\n")


if __name__ == "__main__":
    main()
