"""Guard rails: minutes that save hours. Short runs on a fresh network, before the long one."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from faceseg_utils.config import TrainConfig
from faceseg_utils.dataset import Batch, Cut
from faceseg_utils.engine.device import new_accelerator
from faceseg_utils.engine.loader import datasets, epoch_order
from faceseg_utils.losses import LOSSES, hard_dice
from faceseg_utils.training import build_optimizer, new_segmenter, train_step


def overfit_one_batch(config: TrainConfig, steps: int = 40, device: str | None = None) -> pd.DataFrame:
    """Learn one batch by heart, without augmentation: one row per step with learning_rate, loss and dice.

    A sound set-up comes close to Dice 1. One that does not has a fault in its masks, its loss or its learning rate.
    """
    one_batch = [range(config.batch_size)] * steps
    return _short_run(replace(config, augment="none"), one_batch, [config.learning_rate] * steps, device)


def lr_range_test(
    config: TrainConfig, lowest: float = 1e-6, highest: float = 1.0, steps: int = 50, device: str | None = None
) -> pd.DataFrame:
    """Raise the learning rate a little every step and watch the loss (Smith 2017): learning_rate, loss and dice.

    Ends early where the loss has run away: above four times its smallest value, or no longer a number.
    """
    return _short_run(config, _batches(config, steps), np.geomspace(lowest, highest, steps), device, stop=4.0)


def first_steps(config: TrainConfig, steps: int, device: str | None = None) -> pd.DataFrame:
    """The first steps of a run at a constant learning rate: learning_rate, loss, dice and the seconds of each step."""
    return _short_run(config, _batches(config, steps), [config.learning_rate] * steps, device)


def _batches(config: TrainConfig, steps: int) -> list[list[int]]:
    return np.reshape(epoch_order(steps * config.batch_size, config.seed, 0), (steps, config.batch_size)).tolist()


def _short_run(config, batches, rates, device=None, stop=float("inf")) -> pd.DataFrame:
    """Some steps of a new network on these batches (photo numbers, counted round) at these learning rates."""
    accelerator = new_accelerator(device, config.precision)
    photos, _, _ = datasets(config)
    network = new_segmenter(config, photos.classes).network.to(memory_format=torch.channels_last)
    optimizer, _ = build_optimizer(replace(config, schedule="constant"), network, len(rates))
    model, optimizer = accelerator.prepare(network, optimizer)
    model.train()
    rows = []
    for numbers, rate in zip(batches, rates, strict=True):
        started, optimizer.param_groups[0]["lr"] = time.perf_counter(), float(rate)
        numbers = [i % len(photos) for i in numbers]
        batch = Batch._make(photos.__getitems__(Cut(numbers, 1 / len(numbers))))
        batch = batch._replace(x=batch.x.to(accelerator.device), y=batch.y.to(accelerator.device))
        rows.append({"learning_rate": float(rate), "loss": float("nan"), "dice": float("nan")})
        try:
            logits, losses = train_step(model, batch, LOSSES[config.loss], optimizer, accelerator, config.clip)
        except FloatingPointError:  # the rate was too high: that is an answer
            break
        rows[-1] |= {"loss": losses.mean().item(), "dice": hard_dice(logits, batch.y).mean().item()}
        rows[-1]["seconds"] = time.perf_counter() - started  # photos and device included: .item() waits for both
        if rows[-1]["loss"] > stop * min(row["loss"] for row in rows):
            break
    return pd.DataFrame(rows)
