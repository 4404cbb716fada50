"""Failures of a run as one line that says what to do."""

import contextlib

import torch

from faceseg_utils.config import TrainConfig


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
    interrupted = False
    try:
        yield
    except KeyboardInterrupt:
        interrupted = True
    if interrupted:
        done = len(epochs_done)
        kept = f"{done} epoch{'s are' if done > 1 else ' is'} kept" if done else "no epoch was finished"
        how = "resume=True (on the command line: --resume) goes on with the next" if done else "start again"
        raise KeyboardInterrupt(f"interrupted: {kept} in {folder}; {how}")
