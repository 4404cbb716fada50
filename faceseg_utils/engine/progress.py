"""What a run tells while it goes on: a line per epoch, and for every failure one line that says what to do."""

import contextlib
import warnings

import pandas as pd
import torch

from faceseg_utils.config import TrainConfig
from faceseg_utils.model import Segmenter


def epoch_line(history: list[dict], config: TrainConfig) -> str:
    """The last epoch in one line."""
    row, left = history[-1], config.epochs - len(history)
    ahead = f", about {left * row['seconds'] / 60:.0f} min to go" if left and row["seconds"] * left > 60 else ""
    return (
        f"epoch {row['epoch'] + 1:3d}  train loss {row['train_loss']:.3f} Dice {row['train_dice']:.3f}   "
        f"monitor loss {row['val_loss']:.3f} Dice {row['val_dice']:.4f}   {row['seconds']:.0f} s{ahead}"
    )


def watched(watch, history: list[dict], segmenter: Segmenter):
    """Call `watch`, and give it back for the next epoch; a broken view is reported once and then left out."""
    if watch is None:
        return None
    try:
        watch(pd.DataFrame(history), segmenter)
    except Exception as error:
        warnings.warn(f"watch failed ({type(error).__name__}: {error}); the run goes on without it", stacklevel=3)
        return None
    return watch


@contextlib.contextmanager
def enough_memory(config: TrainConfig):
    """Turns a lack of GPU memory into the batch that needs less of it and moves the weights as this one does."""
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        batch, advice = config.batch_size, "a smaller size"
        if batch > 1:
            part = next(n for n in range(2, batch + 1) if batch % n == 0)
            less = f"batch_size={batch // part} with accumulate={config.accumulate * part}"
            advice = f"{less}, the same photos per step"
        need = f"out of GPU memory with batch {batch} at {config.size}: try {advice}"
        raise RuntimeError(f"{need}; restart the kernel first, which frees the memory") from None


@contextlib.contextmanager
def interruption_explained(folder, epochs_done: list):
    """Turns Ctrl-C (or a stopped cell) into a line that says what is kept and how to go on, with a short traceback."""
    try:
        yield
    except KeyboardInterrupt:
        done = len(epochs_done)
        kept = f"{done} epoch{'s are' if done > 1 else ' is'} kept" if done else "no epoch was finished"
        how = "resume=True (on the command line: --resume) goes on with the next" if done else "start again"
        raise KeyboardInterrupt(f"interrupted: {kept} in {folder}; {how}") from None
