"""Every choice of a run: `TrainConfig`, and the set-ups of the report and of this course as named presets.

A leaf: no torch, so that the command line can list the choices at once.
"""

import inspect
import math
import re
from dataclasses import dataclass, fields, replace

LOSSES = (
    "bce", "dice", "bce+dice", "weighted-bce", "weighted-bce+dice", "focal", "tversky",
    "boundary-bce", "boundary-bce+dice",
)  # fmt: skip
AUGMENTATIONS = ("none", "report", "portrait", "zoom-out")
PRECISIONS = ("auto", "float32", "bf16", "fp16")
CHOICES = {
    "train_on": ("train", "train+exam"),
    "normalise": ("encoder", "unit"),
    "augment": AUGMENTATIONS,
    "padding": ("ignore", "background"),
    "loss": LOSSES,
    "optimizer": ("adam", "adamw"),
    "schedule": ("constant", "one-cycle", "cosine"),
    "precision": PRECISIONS,
}


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides how a run goes; saved with it as `config.json`. Raises ValueError for a bad value."""

    model: str = "lite0"  # unet, lite0 to lite2, resnet34, unet11, unet16, or any encoder of smp
    pretrained: bool = True  # begin with ImageNet weights in the encoder
    weights: str = ""  # a saved model (name or folder) to fine-tune; it takes the place of ImageNet weights
    dataset: str = "sample"  # a dataset's name, or a folder with images/ and masks/
    train_on: str = "train"  # train+exam: the report's split, from before photos were set aside for an exam
    view: str = "person"  # the classes to learn: person, face or parts, where the dataset has them
    size: tuple[int, int] = (256, 192)  # height and width that photos are letterboxed to, divisible by 32
    normalise: str = "encoder"  # statistics of the encoder's pretraining; unit: pixels / 255, as in the report
    augment: str = "portrait"  # random changes of the training photos
    padding: str = "ignore"  # what the letterbox adds counts for nothing; background: as in the report
    loss: str = "bce+dice"  # what training makes small
    optimizer: str = "adamw"  # how gradients move the weights
    schedule: str = "one-cycle"  # how the learning rate changes from step to step
    warmup: float = 0.2  # share of the steps in which the rate rises (not used by constant)
    learning_rate: float = 1e-3  # the largest learning rate
    weight_decay: float = 1e-2  # how strongly weights are pulled towards 0
    batch_size: int = 8  # photos per batch, of all processes together
    accumulate: int = 1  # batches per step of the optimizer
    epochs: int = 4  # passes over the training photos
    patience: int = 0  # stop after this many epochs without a better monitor Dice; 0: never
    clip: float = 1.0  # largest norm of the gradient; 0: no limit
    ema: float = 0.0  # decay of the average of the weights; 0: no average
    holdout: float = 0.1  # share of train set aside to choose the best epoch; 0: validation chooses, as in the report
    limit: int = 0  # take only the first photos of train; 0: all
    extra: str = ""  # datasets or folders, such as "one + two", whose photos are added to train
    seed: int = 0  # of every random choice
    precision: str = "auto"  # of the arithmetic; auto: what is fast on the device

    def __post_init__(self):
        self._check_types()
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}='{getattr(self, name)}': choose one of {', '.join(choices)}")
        for name in ("batch_size", "accumulate", "epochs", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)}: must be above 0")
        for name in ("batch_size", "accumulate", "epochs", "seed", "limit", "patience"):
            if getattr(self, name) >= 2**31:
                raise ValueError(f"{name}={getattr(self, name)}: must be below {2**31}")
        for name, zero in (
            ("patience", "0: no early stopping"), ("limit", "0: all photos"), ("clip", "0: no limit"),
            ("weight_decay", "0: none"), ("seed", "any whole number from 0 on"),
        ):  # fmt: skip
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: must not be negative ({zero})")
        for name in ("holdout", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be from 0 to below 1")
        if not 0 < self.warmup < 1:
            raise ValueError(f"warmup={self.warmup}: a share of the steps, between 0 and 1")

    def _check_types(self) -> None:
        """Values may come from a config.json that somebody wrote by hand."""
        size = self.size
        whole = isinstance(size, (tuple, list)) and all(type(side) is int for side in size)
        if not whole or len(size) != 2 or not all(0 < side <= 2048 for side in size):
            raise ValueError(f"size={size!r}: two whole numbers, height and width in pixels, such as (256, 192)")
        object.__setattr__(self, "size", tuple(size))
        for field in fields(self):
            value, kind = getattr(self, field.name), type(field.default)
            if kind is float and type(value) is int:
                object.__setattr__(self, field.name, float(value))
            elif type(value) is not kind:
                raise ValueError(f"{field.name}={value!r}: expected a value of type {kind.__name__}")
            elif kind is float and not math.isfinite(value):
                raise ValueError(f"{field.name}={value!r}: expected a finite number")


BEFORE = {"train_on": "train+exam"}  # what a run did that is older than the field


def explained(kind: type) -> dict[str, str]:
    """The comment behind each field of a dataclass, as its source has it: {field: comment}."""
    line = re.compile(r"^    (\w+): .+?  # (.+)$", re.MULTILINE)
    return dict(line.findall(inspect.getsource(kind)))


_REPORT = TrainConfig(
    pretrained=False, dataset="picsart", train_on="train+exam", size=(320, 320), normalise="unit", augment="report",
    padding="background", loss="bce", optimizer="adam", schedule="constant", learning_rate=1e-3, weight_decay=0.0,
    batch_size=4, epochs=150, clip=0.0, holdout=0.0,
)  # fmt: skip

PRESETS = {
    "quick": TrainConfig(size=(256, 192), epochs=4),
    "full": TrainConfig(dataset="picsart", size=(320, 256), epochs=20, ema=0.998),
    "report-default": replace(_REPORT, model="resnet34"),
    "report-unet11": replace(_REPORT, model="unet11"),
    "report-unet16": replace(_REPORT, model="unet16"),
    "report-batch8": replace(_REPORT, model="resnet34", batch_size=8, epochs=20),
    "report-tuned": replace(_REPORT, model="resnet34", batch_size=8, learning_rate=3e-4, epochs=100),
}
