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

from experiments import command
from faceseg_utils.config import TrainConfig
from faceseg_utils.dataset import Cut, PortraitDataset
from faceseg_utils.dice import report_dice
from faceseg_utils.engine.loader import new_loader
from faceseg_utils.log.runs import Run
from faceseg_utils.model import Segmenter
from faceseg_utils.paths import experiments_folder, write_text
from faceseg_utils.transforms import Pipeline

FILE = Path(__file__).resolve().parent / "modes.csv"
MODES = {"eval": (False, 8), "train, batch 8": (True, 8), "train, alone": (True, 1)}


@torch.no_grad()
def report_scores(network: torch.nn.Module, photos: PortraitDataset, training: bool, batch: int) -> list[float]:
    """The report's Dice of every photo, with the network in train or eval mode; the network itself does not change.

    `photos` come as tensors, on the padded square that the network sees; padding counts as background.
    """
    network = copy.deepcopy(network).train(training)  # a copy: train mode moves the running statistics
    numbers, device = list(range(len(photos))), next(network.parameters()).device
    cuts = [Cut(numbers[first : first + batch], 1.0) for first in range(0, len(numbers), batch)]
    scores = []
    for x, y, _, _ in new_loader(photos, cuts, device):
        logits = network(x)                                                             # [B, 1, h, w]
        scores += [report_dice(logits[k : k + 1], y[k : k + 1]) for k in range(len(y))]
    return scores


def validation(config: TrainConfig, segmenter: Segmenter) -> PortraitDataset:
    """The validation photos of a run as the report scored them: whole padded squares."""
    pipeline = Pipeline(config.size, segmenter.config.mean, segmenter.config.std, padding=0)
    return PortraitDataset(config.dataset, "val", config.view, pipeline)


def main(arguments: list[str]) -> None:
    """Score the runs that are named and put them into modes.csv, in place of what is there about them."""
    parser = argparse.ArgumentParser(prog="python -m experiments.modes", description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="RUN")
    tables = [pd.read_csv(FILE, dtype={"id": str})] if FILE.is_file() else []
    for name in parser.parse_args(arguments).runs:
        folder = experiments_folder() / "runs" / name
        config, segmenter = TrainConfig(**Run.read(folder).config), Segmenter.load(folder / "model")
        val = validation(config, segmenter)
        scores = {mode: report_scores(segmenter.network, val, *how) for mode, how in MODES.items()}
        table = pd.DataFrame({"run": name, "id": val.stems, **scores})
        print(f"{name}: " + ", ".join(f"{mode} {table[mode].mean():.4f}" for mode in MODES))
        tables = [*(t[t["run"] != name] for t in tables), table]
    table = pd.concat(tables).sort_values(["run", "id"]).round(6)
    write_text(FILE, table.to_csv(index=False, lineterminator="\n"))


if __name__ == "__main__":
    command.run(main)
