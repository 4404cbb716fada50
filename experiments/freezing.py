"""A pretrained encoder frozen, at a tenth of the learning rate, and at the full rate: five seeds of each.

    python -m experiments.freezing        train all fifteen (some ten minutes on one CPU core), write freezing.csv

Everything else is that of the runs short-base-sN of the plan: 320 photos of PicsArt, 3 epochs, scored on the 150
validation photos. A frozen encoder keeps its weights; its batch normalisation still gathers statistics.
"""

import argparse
import contextlib
import io
import tempfile
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import torch

from experiments import command
from experiments.plan import PLAN
from faceseg_utils import training
from faceseg_utils.config import TrainConfig
from faceseg_utils.paths import write_text

FILE = Path(__file__).with_suffix(".csv")
SHARES = {"frozen": 0.0, "a tenth": 0.1, "full rate": 1.0}  # of the learning rate, for the encoder


def optimizer_with(share: float):
    """`training.build_optimizer` with two rates: all of it for the decoder, `share` of it for the encoder."""

    def build(config: TrainConfig, network: torch.nn.Module, steps: int):
        encoder = list(network.encoder.parameters())
        for weight in encoder:
            weight.requires_grad_(share > 0)
        own = {id(weight) for weight in encoder}
        decoder = [weight for weight in network.parameters() if id(weight) not in own]
        optimizer = torch.optim.AdamW([{"params": decoder}, {"params": encoder}], weight_decay=config.weight_decay)
        rates = [config.learning_rate, share * config.learning_rate]
        one_cycle = torch.optim.lr_scheduler.OneCycleLR
        return optimizer, one_cycle(optimizer, rates, total_steps=max(steps, 10), pct_start=config.warmup)

    return build


def train(config: TrainConfig, share: float) -> training.Trained:
    """`training.train` with the encoder at `share` of the rate, in a folder that does not stay."""
    with tempfile.TemporaryDirectory() as folder, patch.object(training, "build_optimizer", optimizer_with(share)):
        with contextlib.redirect_stdout(io.StringIO()):
            return training.train(config, folder)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.freezing", description=__doc__.splitlines()[0])
    parser.parse_args(arguments)
    rows = []
    for seed in range(5):
        for name, share in SHARES.items():
            dice = train(PLAN[f"short-base-s{seed}"], share).dice
            rows.append({"encoder": name, "seed": seed, "dice": round(dice, 6)})
            print(f"{name:10s} seed {seed}  Dice {dice:.4f}", flush=True)
    write_text(FILE, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))


if __name__ == "__main__":
    command.run(main)
