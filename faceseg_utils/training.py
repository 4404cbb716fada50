"""Training: one step, one epoch, one run. The loop is written out, to be read and taught.

accelerate looks after devices, precision and processes.
"""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate.utils import broadcast, gather_object, set_seed
from timm.utils import ModelEmaV3
from tqdm import tqdm

from faceseg_utils.config import TrainConfig
from faceseg_utils.dataset import Batch, PortraitDataset
from faceseg_utils.engine import checkpoint
from faceseg_utils.engine.device import new_accelerator
from faceseg_utils.engine.loader import cuts, datasets, new_loader, statistics, steps_per_epoch
from faceseg_utils.engine.progress import enough_memory, epoch_line, interruption_explained, watched
from faceseg_utils.evaluation import evaluate
from faceseg_utils.losses import LOSSES, hard_dice
from faceseg_utils.model import ModelConfig, Segmenter, build_model


def new_segmenter(config: TrainConfig, classes: tuple[str, ...]) -> Segmenter:
    """The network that training begins with: of `config.weights`, else with ImageNet or random weights.

    Raises ValueError where `config.weights` are of another network, other classes or another normalisation.
    """
    wanted = ModelConfig(config.model, tuple(classes), config.size, *statistics(config))
    set_seed(config.seed)
    if config.weights:
        saved = Segmenter.load(config.weights)
        if replace(saved.config, size=wanted.size, options={}) != wanted:
            raise ValueError(f"weights='{config.weights}' belong to {saved.config}, asked for is {wanted}")
        return Segmenter(saved.network, replace(saved.config, size=wanted.size))
    return Segmenter(build_model(config.model, wanted.channels, config.pretrained), wanted)


def build_optimizer(config: TrainConfig, network: torch.nn.Module, steps: int):
    """The optimizer and its schedule over `steps` steps: (optimizer, schedule), the schedule stepped every step."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    optimizer = kind(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    steps = max(steps, 10)  # fewer leave no room to rise and fall in (and torch divides by zero)
    if config.schedule == "one-cycle":
        one_cycle = torch.optim.lr_scheduler.OneCycleLR
        return optimizer, one_cycle(optimizer, config.learning_rate, total_steps=steps, pct_start=config.warmup)
    up = config.warmup * steps

    def share(step):  # of the learning rate: up in a straight line, down in half a cosine
        if config.schedule == "constant":
            return 1.0
        return (step + 1) / (up + 1) if step < up else (1 + math.cos(math.pi * (step - up) / (steps - up))) / 2

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, share)


def check_finite(losses: torch.Tensor, names: list[str]) -> None:
    """Raises FloatingPointError, with the files at fault, where the loss of a photo is NaN or infinite."""
    bad = ~torch.isfinite(losses)
    if bad.any():
        files = ", ".join(names[i] for i in bad.nonzero().flatten().tolist())
        fault = f"the loss is {losses[bad][0].item()} on the photos {files}"
        raise FloatingPointError(f"{fault}: lower the learning rate, set clip=1, or look at these files")


def train_step(model, batch: Batch, loss, optimizer, accelerator, clip: float = 0.0):
    """Learn from one batch. Returns logits [B, C, h, w] and losses [B], both from before the step.

    Under `accelerator.accumulate` the optimizer waits until all batches of its step have been seen.
    """
    logits = model(batch.x.to(memory_format=torch.channels_last))     # [B, C, h, w]
    losses = loss(logits.float(), batch.y)                            # [B], one per photo
    check_finite(losses.detach(), batch.names)                        # before any weight is touched
    accelerator.backward((batch.share * losses).sum())
    if clip and accelerator.sync_gradients:
        accelerator.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    optimizer.zero_grad()
    return logits.detach(), losses.detach()


def train_epoch(model, loader, config: TrainConfig, optimizer, schedule, accelerator, average=None, first_step=0):
    """One pass over the training photos: (mean loss, mean hard Dice at the network's size, as seen while learning).

    `average` follows the weights, if there is one; `first_step` is the number of steps before this epoch.
    """
    model.train()
    sums, step = np.zeros(3), first_step                              # of losses, of Dice, of photos
    bar = tqdm(loader, leave=False, disable=not accelerator.is_main_process)
    for batch in bar:
        with accelerator.accumulate(model), enough_memory(config):
            logits, losses = train_step(model, batch, LOSSES[config.loss], optimizer, accelerator, config.clip)
            schedule.step()
        if accelerator.sync_gradients:
            step += 1
            if average is not None:
                average.update(accelerator.unwrap_model(model), step)
        if batch.share:
            sums += losses.sum().item(), hard_dice(logits, batch.y).sum().item(), len(losses)
            bar.set_postfix(loss=f"{sums[0] / sums[2]:.3f}", dice=f"{sums[1] / sums[2]:.3f}")
    loss, score, photos = np.sum(gather_object([sums]), axis=0)
    return float(loss / photos), float(score / photos)


def evaluate_together(segmenter: Segmenter, mine: PortraitDataset, loss) -> pd.DataFrame:
    """`evaluate` of this process's own photos, then the tables of all processes as one: each photo counts once."""
    scores = [evaluate(segmenter, mine, loss)] if len(mine) else []
    return pd.concat(gather_object(scores)).sort_index()


@dataclass(frozen=True)
class Trained:
    """What `train` returns: the best network, one row per epoch, one row per validation photo, and the run's folder."""

    segmenter: Segmenter
    metrics: pd.DataFrame
    val_scores: pd.DataFrame
    folder: Path

    @property
    def dice(self) -> float:
        """The score of record: hard Dice per photo at native resolution, mean over the validation photos."""
        return float(self.val_scores["dice"].mean())


def train(
    config: TrainConfig,
    folder: str | Path,
    resume: bool = False,
    device: str | None = None,
    watch: Callable[[pd.DataFrame, Segmenter], None] | None = None,
) -> Trained:
    """Train as `config` says and write the run into `folder` as it goes.

    The folder gets config.json, metrics.csv (one row per epoch), last.pt (everything to go on with), model/ (the best
    epoch's weights), and at the end val_scores.csv and summary.json. A run that was killed goes on with
    `resume=True` from its last whole epoch and ends with the same weights as one that was never killed. So does a
    finished run at a constant learning rate that is asked for more epochs.

    `watch(history, segmenter)` is called in the main process after each epoch, once its checkpoint is written: the
    epochs so far as a table, and the network as it is now. If it fails, the run goes on without it.

    Several processes (torchrun, `notebook_launcher`) share the photos of every batch; all of them need to see
    `folder`. The steps are those of one process, up to rounding, except in batch normalisation: on GPUs it uses the
    whole batch (SyncBatchNorm), on CPUs each process only its own part.

    Raises FileExistsError (the folder is in use, or holds what is no run), ValueError (another configuration, a damaged
    checkpoint, too few photos), FloatingPointError (the loss is NaN or infinite), RuntimeError (out of GPU memory),
    OSError (the disk is full); each says what to do, and what was written before is whole.
    """
    folder = Path(folder)
    checkpoint.check_folder(folder, resume)
    accelerator = new_accelerator(device, config.precision, config.accumulate)
    facts = checkpoint.facts_of(accelerator)  # asked now: the code may change while a long run goes on
    rank, ranks, main = accelerator.process_index, accelerator.num_processes, accelerator.is_main_process
    train_data, *scored = datasets(config)
    monitor_data, val_data = (photos.subset(range(rank, len(photos), ranks)) for photos in scored)  # this process's
    best = new_segmenter(config, train_data.classes)
    network = copy.deepcopy(best.network).to(memory_format=torch.channels_last)
    if ranks > 1 and accelerator.device.type == "cuda":
        network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
    # The average of the weights forgets faster in the first steps: it keeps 1 - 9 / (9 + step), at most `ema`.
    average = ModelEmaV3(network, config.ema, use_warmup=True, warmup_gamma=9, warmup_power=1) if config.ema else None
    steps = steps_per_epoch(len(train_data), config)
    model, optimizer, schedule = accelerator.prepare(network, *build_optimizer(config, network, config.epochs * steps))
    for part in (best, average) if average is not None else (best,):
        part.to(accelerator.device)

    parts = {"model": accelerator.unwrap_model(model), "optimizer": optimizer, "schedule": schedule}
    parts |= {"average": average, "scaler": accelerator.scaler}  # None where there is none
    history = checkpoint.load_checkpoint(folder / "last.pt", config, parts)
    if len(set(gather_object([len(history)]))) > 1:
        raise ValueError(f"{folder}: the processes see different checkpoints; take a folder that all machines share")
    if is_over(history, config) and (scores := checkpoint.read_result(folder)) is not None:
        return Trained(Segmenter.load(folder / "model"), pd.DataFrame(history), scores, folder)
    if main:
        checkpoint.write_config(folder, config)

    with interruption_explained(folder, history):
        while not is_over(history, config):
            started, epoch = time.perf_counter(), len(history)
            train_data.epoch = epoch
            set_seed(config.seed + epoch)  # augmentation and order have their own, by photo and epoch
            batches = cuts(len(train_data), config, epoch, rank, ranks)
            loader = new_loader(train_data, batches, accelerator.device, ranks)
            first = epoch * steps
            loss, train_dice = train_epoch(model, loader, config, optimizer, schedule, accelerator, average, first)
            source = average.module if average is not None else accelerator.unwrap_model(model)
            best.network.load_state_dict(source.state_dict())
            broadcast(list(best.network.buffers()))  # batch statistics are those of the main process everywhere
            scores = evaluate_together(best, monitor_data, LOSSES[config.loss])
            history.append({
                "epoch": epoch,
                "learning_rate": optimizer.param_groups[0]["lr"],
                "train_loss": loss,
                "train_dice": train_dice,
                **{f"val_{name}": float(scores[name].mean()) for name in scores},
                "seconds": round(time.perf_counter() - started, 1),
                **facts,
            })  # fmt: skip
            if main:
                checkpoint.write_epoch(folder, history, best, config, parts)
                print(epoch_line(history, config))
                watch = watched(watch, history, best)

    accelerator.wait_for_everyone()
    best = Segmenter.load(folder / "model").to(accelerator.device)
    val_scores = evaluate_together(best, val_data, LOSSES[config.loss])
    if main:
        photos = {"train": len(train_data), "val": len(val_scores)}
        checkpoint.write_result(folder, config, history, val_scores, photos)
    return Trained(best, pd.DataFrame(history), val_scores, folder)


def is_over(history: list[dict], config: TrainConfig) -> bool:
    """Are all epochs done, or has `patience` run out?"""
    return len(history) >= config.epochs or 0 < config.patience <= epochs_since_best(history)


def epochs_since_best(history: list[dict]) -> int:
    """How many epochs have passed since the best monitor Dice; 0 for no epochs at all."""
    scores = [row["val_dice"] for row in history]
    return len(scores) - 1 - scores.index(max(scores)) if scores else 0
