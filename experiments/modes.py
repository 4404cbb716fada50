"""What eval mode is worth: the report scored its networks in train mode. Writes modes.csv beside this file.

    python -m experiments.modes RUN ...    # runs of experiments/runs whose weights are still there; seconds each

In train mode batch normalisation takes mean and deviation from the batch at hand, so the answer for a photo depends on
the photos beside it. Each validation photo is scored by the report's formula three times: in eval mode, in train mode
in batches of 8 (in order of name), as in the report, and in train mode alone.
"""

import argparse
import copy
from pathlib import Path

import pandas as pd
import torch

from faceseg_utils import dice
from faceseg_utils.batches import datasets
from faceseg_utils.config import TrainConfig
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.experiment import Run, experiments_folder
from faceseg_utils.model import Segmenter

FILE = Path(__file__).resolve().parent / "modes.csv"
MODES = {"eval": (False, 8), "train, batch 8": (True, 8), "train, alone": (True, 1)}


@torch.no_grad()
def report_scores(network: torch.nn.Module, data: PortraitDataset, training: bool, batch: int) -> list[float]:
    """The report's Dice of every photo, with the network in the mode that is asked for; it learns nothing."""
    network = copy.deepcopy(network).train(training)  # a copy: train mode moves the running statistics
    scores = []
    for first in range(0, len(data), batch):
        x, y = (torch.stack(part) for part in zip(*(data[i] for i in range(first, min(first + batch, len(data))))))
        logits = network(x)  # [B, 1, h, w]
        scores += [dice.report_dice(logits[k : k + 1], y[k : k + 1]) for k in range(len(y))]
    return scores


def main():
    """Score the runs that are named and put them into modes.csv in place of what it says of them."""
    parser = argparse.ArgumentParser(prog="python -m experiments.modes", description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="RUN")
    tables = [pd.read_csv(FILE, dtype={"id": str})] if FILE.is_file() else []
    for name in parser.parse_args().runs:
        folder = experiments_folder() / "runs" / name
        _, _, val = datasets(TrainConfig(**Run.read(folder).config))
        network = Segmenter.load(folder / "model").network
        scores = {mode: report_scores(network, val, *how) for mode, how in MODES.items()}
        table = pd.DataFrame({"run": name, "id": val.stems, **scores})
        print(f"{name}: " + ", ".join(f"{mode} {table[mode].mean():.4f}" for mode in MODES))
        tables = [*(t[t["run"] != name] for t in tables), table]
    pd.concat(tables).sort_values(["run", "id"]).round(6).to_csv(FILE, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
