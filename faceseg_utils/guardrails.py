"""Guard rails: minutes that save hours. Short runs on a fresh network, before the long one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from faceseg_utils.batches import datasets, epoch_order
from faceseg_utils.config import TrainConfig
from faceseg_utils.device import new_accelerator
from faceseg_utils.evaluation import batch_dice
from faceseg_utils.training import build_optimizer, new_segmenter, photo_losses


def overfit_one_batch(config: TrainConfig, steps: int = 40, device: str | None = None) -> pd.DataFrame:
    """Learn one batch by heart, without augmentation: a row a step with learning_rate, loss and dice.

    A sound set-up comes close to Dice 1. One that does not has a fault in its masks, its loss or its learning rate,
    and a long run would only hide it.
    """
    config = replace(config, augment="none")
    one_batch = [range(config.batch_size)] * steps
    return _short_run(config, one_batch, [config.learning_rate] * steps, device)


def lr_range_test(
    config: TrainConfig, lowest: float = 1e-6, highest: float = 1.0, steps: int = 50, device: str | None = None
) -> pd.DataFrame:
    """Raise the learning rate a little every step and watch the loss (Smith 2017): learning_rate, loss and dice.

    Ends early where the loss has run away: above four times its smallest value, or no number any more.
    """
    return _short_run(config, _batches(config, steps), np.geomspace(lowest, highest, steps), device, stop=4.0)


def first_steps(config: TrainConfig, steps: int, device: str | None = None) -> pd.DataFrame:
    """The first steps of a run at a constant learning rate: a row a step with learning_rate, loss and dice.

    For comparing a few values of one choice, such as the batch size, where whole runs would take too long.
    """
    return _short_run(config, _batches(config, steps), [config.learning_rate] * steps, device)


def _batches(config: TrainConfig, steps: int) -> list[list[int]]:
    order = iter(epoch_order(steps * config.batch_size, config.seed, 0))
    return [[next(order) for _ in range(config.batch_size)] for _ in range(steps)]


def _short_run(config, batches, rates, device=None, stop=float("inf")) -> pd.DataFrame:
    """Some steps of a new network on these batches (photo numbers, counted round) at these learning rates."""
    accelerator = new_accelerator(device, config.precision)
    train_data, _, _ = datasets(config)
    network = new_segmenter(config, train_data.classes).network.to(memory_format=torch.channels_last)
    optimizer, _ = build_optimizer(replace(config, schedule="constant"), network, len(rates))
    model, optimizer = accelerator.prepare(network, optimizer)
    model.train()
    rows = []
    for batch, rate in zip(batches, rates, strict=True):
        optimizer.param_groups[0]["lr"] = float(rate)
        x, y = (torch.stack(part) for part in zip(*(train_data[i % len(train_data)] for i in batch), strict=True))
        x, y = x.to(accelerator.device), y.to(accelerator.device)
        logits = model(x.to(memory_format=torch.channels_last))
        loss = photo_losses(config.loss, logits, y).mean()
        optimizer.zero_grad()
        accelerator.backward(loss)
        if config.clip:
            accelerator.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        rows.append({"learning_rate": float(rate), "loss": loss.item(), "dice": batch_dice(logits, y)})
        if not loss.item() <= stop * min(row["loss"] for row in rows):  # true for NaN too
            break
    return pd.DataFrame(rows)
