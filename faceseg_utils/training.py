"""Training: one explicit loop, and the run around it.

accelerate looks after devices, precision and processes; the loop itself is written out, to be read and taught.
"""

import contextlib
import copy
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate.utils import broadcast, gather_object
from torch.optim.swa_utils import AveragedModel
from tqdm.auto import tqdm

from faceseg_utils import checkpoint, dice
from faceseg_utils.batches import Batches, datasets, new_loader
from faceseg_utils.checkpoint import revision as revision
from faceseg_utils.config import PRESETS as PRESETS
from faceseg_utils.config import TrainConfig
from faceseg_utils.device import new_accelerator
from faceseg_utils.evaluation import batch_dice, evaluate
from faceseg_utils.model import ModelCard, Segmenter, build_model


def seed_everything(seed: int) -> None:
    """One place for all random numbers of torch. Augmentation and order have their own, by photo and epoch."""
    torch.manual_seed(seed)


# --- Network, optimizer, average -------------------------------------------------------------------------------------


def new_segmenter(config: TrainConfig, classes: tuple[str, ...]) -> Segmenter:
    """The network that training begins with, and the card that its configuration implies.

    Raises ValueError where `config.weights` are of another network, other classes or another normalisation.
    """
    card = ModelCard(config.model, tuple(classes), config.size, *config.statistics)
    seed_everything(config.seed)
    if config.weights:
        saved = Segmenter.load(config.weights)
        if replace(saved.card, size=card.size) != card:
            raise ValueError(f"weights='{config.weights}' belong to {saved.card}, the configuration asks for {card}")
        return Segmenter(saved.network, card)
    return Segmenter(build_model(config.model, card.channels, config.pretrained), card)


def build_optimizer(config: TrainConfig, network: torch.nn.Module, steps: int):
    """The optimizer and its schedule over `steps` steps: (optimizer, schedule), the schedule stepped every step."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    optimizer = kind(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    steps = max(steps, 10)  # fewer leave no room to rise and fall in (and torch divides by zero)
    if config.schedule == "one-cycle":
        schedules = torch.optim.lr_scheduler
        return optimizer, schedules.OneCycleLR(
            optimizer, config.learning_rate, total_steps=steps, pct_start=config.warmup
        )
    up = config.warmup * steps

    def share(step):  # of the learning rate: up in a straight line, down in half a cosine
        if config.schedule == "constant":
            return 1.0
        return (step + 1) / (up + 1) if step < up else (1 + math.cos(math.pi * (step - up) / (steps - up))) / 2

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, share)


def average_of_weights(network: torch.nn.Module, decay: float) -> AveragedModel:
    """Exponential moving average of weights and statistics; it forgets faster in the first steps."""

    def average(mean, new, count):
        keep = min(decay, (1 + int(count)) / (10 + int(count)))
        return torch.lerp(new, mean, keep) if mean.is_floating_point() else new

    return AveragedModel(network, avg_fn=average, use_buffers=True)


def photo_losses(loss: str, logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The loss of every photo by itself, [B]: how photos are shared out over batches and processes changes nothing.

    logits [B, C, h, w], classes y int64 [B, h, w]; `loss` is a name in `dice.LOSSES`.
    """
    return torch.stack([dice.LOSSES[loss](logits[k : k + 1].float(), y[k : k + 1]) for k in range(len(y))])


# --- A run ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trained:
    """What `train` returns: the best network, a row an epoch, a row a validation photo, and where it all lies."""

    segmenter: Segmenter
    metrics: pd.DataFrame
    val_scores: pd.DataFrame
    folder: Path

    @property
    def dice(self) -> float:
        """The score of record: per-image hard Dice at native resolution, mean over the validation photos."""
        return float(self.val_scores["dice"].mean())


def train(
    config: TrainConfig,
    folder: str | Path,
    resume: bool = False,
    device: str | None = None,
    watch: Callable[[pd.DataFrame, Segmenter], None] | None = None,
) -> Trained:
    """Train as `config` says and write the run into `folder` as it goes.

    The folder gets config.json, metrics.csv (a row an epoch), last.pt (everything to go on with), model/ (the best
    epoch's weights), and at the end val_scores.csv and summary.json. A run that was killed goes on with
    `resume=True` from its last whole epoch and ends with the same weights as one that was never killed. So does a
    finished run at a constant learning rate that is asked for more epochs.

    `watch(history, segmenter)` is called in the main process after each epoch, once its checkpoint is written: the
    epochs so far as a table, and the network as it is now. If it fails, the run goes on without it.

    Several processes (torchrun, `notebook_launcher`) share the photos of every batch; all of them need to see
    `folder`. The steps are those of one process, up to rounding, except in batch normalisation: on GPUs it uses the
    whole batch (SyncBatchNorm), on CPUs each process only its own part.

    Raises
    ------
    FileExistsError
        The folder holds a run already and `resume` is False.
    ValueError
        `resume` with another configuration, or a checkpoint that is damaged or not ours.
    FloatingPointError
        The loss is NaN or infinite (names the files).
    RuntimeError
        The GPU's memory does not hold a batch (names one that needs half of it).
    OSError
        The disk is full. What was written before is whole.
    """
    folder = Path(folder)
    if (folder / "config.json").exists() and not resume:
        raise FileExistsError(f"{folder} holds a run already: resume=True goes on with it, or choose another folder")
    revision()  # asked now and remembered
    accelerator = new_accelerator(device, config.precision, config.accumulate)
    rank, ranks = accelerator.process_index, accelerator.num_processes
    train_data, monitor_data, val_data = datasets(config)
    monitor_data, val_data = (data.subset(range(rank, len(data), ranks)) for data in (monitor_data, val_data))
    best = new_segmenter(config, train_data.classes)
    network = copy.deepcopy(best.network).to(memory_format=torch.channels_last)
    if ranks > 1 and accelerator.device.type == "cuda":
        network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
    average = average_of_weights(network, config.ema) if config.ema else None

    batches = Batches(len(train_data), config, rank, ranks)
    loader = new_loader(train_data, batches, accelerator.device)
    steps = config.epochs * math.ceil(len(batches) / config.accumulate)
    model, optimizer, schedule = accelerator.prepare(network, *build_optimizer(config, network, steps))
    best.network.to(accelerator.device)
    if average is not None:
        average.to(accelerator.device)

    parts = {"model": accelerator.unwrap_model(model), "optimizer": optimizer, "schedule": schedule}
    parts |= {"average": average, "scaler": accelerator.scaler}  # None where there is none
    last = folder / "last.pt"
    history = checkpoint.load_checkpoint(last, config, parts) if resume and last.exists() else []
    if len(set(gather_object([len(history)]))) > 1:
        raise ValueError(f"{folder}: the processes see different checkpoints; take a folder that all machines share")
    if accelerator.is_main_process:
        checkpoint.write_config(folder, config)

    for epoch in range(len(history), config.epochs):
        if config.patience and epochs_since_best(history) >= config.patience:
            break
        started = time.perf_counter()
        batches.epoch = train_data.epoch = epoch
        seed_everything(config.seed + epoch)
        loss, train_dice = _train_epoch(accelerator, model, optimizer, schedule, loader, batches, average)

        source = average.module if average is not None else accelerator.unwrap_model(model)
        best.network.load_state_dict(source.state_dict())
        broadcast(list(best.network.buffers()))  # batch statistics are those of the main process everywhere
        scores = _evaluate_together(best, monitor_data, config)
        row = {
            "epoch": epoch,
            "learning_rate": optimizer.param_groups[0]["lr"],
            "train_loss": loss,
            "train_dice": train_dice,
            **{f"val_{name}": float(scores[name].mean()) for name in scores},
            "seconds": round(time.perf_counter() - started, 1),
        }
        history.append(row)
        if accelerator.is_main_process:
            checkpoint.write_epoch(folder, history, best, config, parts)
            _report_epoch(history, config)
            watch = _watched(watch, history, best)

    accelerator.wait_for_everyone()
    best = Segmenter.load(folder / "model")
    best.network.to(accelerator.device)
    val_scores = _evaluate_together(best, val_data, config)
    if accelerator.is_main_process:
        photos = {"train": len(train_data), "val": len(val_scores)}
        checkpoint.write_metrics(folder, history)  # a run killed right before it would miss its last row
        facts = checkpoint.facts_of(accelerator)
        checkpoint.write_result(folder, config, history, val_scores, photos=photos, **facts)
    return Trained(best, pd.DataFrame(history), val_scores, folder)


def _train_epoch(accelerator, model, optimizer, schedule, loader, batches, average) -> tuple[float, float]:
    """One pass over the training photos: (mean loss, mean hard Dice at the network's size, as seen while learning)."""
    model.train()
    config, sums = batches.config, np.zeros(3)  # of losses, of Dice, of photos
    title = f"epoch {batches.epoch + 1}/{config.epochs}"
    bar = tqdm(loader, desc=title, leave=False, disable=not accelerator.is_main_process)
    for number, (x, y, index) in enumerate(bar):  # float32 [B, 3, h, w], int64 [B, h, w], int64 [B]
        with accelerator.accumulate(model), _enough_memory(config):
            logits = model(x.to(memory_format=torch.channels_last))  # [B, C, h, w]
            losses = photo_losses(config.loss, logits, y)  # [B]
            _must_be_finite(losses, index, loader, batches)
            accelerator.backward(batches.weight(number) * losses.sum())
            if config.clip and accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), config.clip)
            optimizer.step()  # these three wait until `accumulate` batches have been seen
            schedule.step()
            optimizer.zero_grad()
        if average is not None and accelerator.sync_gradients:
            average.update_parameters(accelerator.unwrap_model(model))
        if batches.weight(number):
            sums += len(x) * np.array([losses.mean().item(), batch_dice(logits, y), 1])
            bar.set_postfix(loss=f"{sums[0] / sums[2]:.3f}", dice=f"{sums[1] / sums[2]:.3f}")
    loss, score, photos = np.sum(gather_object([sums]), axis=0)
    return float(loss / photos), float(score / photos)


def _must_be_finite(losses, index, loader, batches) -> None:
    bad = ~torch.isfinite(losses)
    if bad.any():
        files = ", ".join(loader.dataset.data.items[i].image.name for i in index[bad].tolist())
        raise FloatingPointError(
            f"the loss is {losses[bad][0].item()} in epoch {batches.epoch + 1} on the photos {files}: "
            "lower the learning rate, set clip=1, or look at these files"
        )


@contextlib.contextmanager
def _enough_memory(config: TrainConfig):
    """Turns a GPU's lack of memory into the batch that needs less of it and moves the weights as this one does."""
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        batch, advice = config.batch_size, "a smaller size"
        if batch > 1:
            part = next(n for n in range(2, batch + 1) if batch % n == 0)
            less = f"batch_size={batch // part} with accumulate={config.accumulate * part}"
            advice = f"{less}, the same photos a step"
        raise RuntimeError(
            f"out of GPU memory with batch {batch} at {config.size}: try {advice}; "
            "restart the kernel first, which frees the memory"
        ) from None


def _evaluate_together(segmenter, mine, config) -> pd.DataFrame:
    """`evaluate` of this process's own photos, then the tables of all processes as one: each photo counts once."""
    scores = [evaluate(segmenter, mine, batch_size=8, loss=dice.LOSSES[config.loss])] if len(mine) else []
    return pd.concat(gather_object(scores)).sort_index()


def epochs_since_best(history: list[dict]) -> int:
    """How many epochs have passed since the best monitor Dice; 0 for no epochs at all."""
    scores = [row["val_dice"] for row in history]
    return len(scores) - 1 - scores.index(max(scores)) if scores else 0


def _watched(watch, history, segmenter):
    """Call `watch`, and give it back for the next epoch; a broken view is told once and left out from then on."""
    if watch is None:
        return None
    try:
        watch(pd.DataFrame(history), segmenter)
    except Exception as error:
        warnings.warn(f"watch failed ({type(error).__name__}: {error}); the run goes on without it", stacklevel=3)
        return None
    return watch


def _report_epoch(history: list[dict], config: TrainConfig) -> None:
    row, left = history[-1], config.epochs - len(history)
    ahead = f", about {left * row['seconds'] / 60:.0f} min to go" if left and row["seconds"] * left > 60 else ""
    print(
        f"epoch {row['epoch'] + 1:3d}  train loss {row['train_loss']:.3f} Dice {row['train_dice']:.3f}   "
        f"monitor loss {row['val_loss']:.3f} Dice {row['val_dice']:.4f}   {row['seconds']:.0f} s{ahead}"
    )
