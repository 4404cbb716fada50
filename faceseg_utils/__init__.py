"""Portrait and face segmentation with U-Net: the helper package of the course.

To be read in this order: dataset, transforms, model, dice, losses, evaluation, training. Everything else has a folder:
data (what a dataset is, its files), network (encoders), engine (around the loop), probes (short runs), deploy (files,
ONNX), analysis (errors, calibration, labels), log (run folders read back), figures, widgets,
play (bets, scoreboard), exercises.
"""

import importlib

_FACE = {  # public name: the module that it comes from
    "Segmenter": "model",
    "build_model": "model",
    "PortraitDataset": "dataset",
    "TrainConfig": "config",
    "train": "training",
    "evaluate": "evaluation",
    "dice_score": "dice",
    "boundary_f1": "dice",
    "start": "session",
}
__all__ = list(_FACE)


def __getattr__(name: str):
    """Public names are imported when they are first asked for (PEP 562): the import itself waits for nothing."""
    if name not in _FACE:
        raise AttributeError(f"module 'faceseg_utils' has no attribute '{name}'")
    return getattr(importlib.import_module(f"faceseg_utils.{_FACE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
