"""What a run tells while it goes on: a line per epoch, and a view that may fail without ending it."""

import warnings

import pandas as pd

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
