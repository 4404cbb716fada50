"""What decides how a run goes: `TrainConfig`, and the set-ups of the report and of this course as named presets."""

from dataclasses import dataclass, replace

from faceseg_utils import dice
from faceseg_utils.device import PRECISIONS
from faceseg_utils.model import normalisation
from faceseg_utils.transforms import AUGMENTATIONS


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides how a run goes; saved as `config.json` with the run.

    `size` is (height, width) of the letterbox in pixels, `limit` takes only the first photos of train (0: all),
    `extra` is a dataset or folder whose photos are all added to train ("": none), `holdout` the share of train that
    is set aside to choose the best epoch (0: the validation photos choose, as in the report), `ema` the decay of the
    weight average (0: none), `clip` the largest gradient norm (0: no limit).
    `weights` is the folder of a saved model that training goes on from ("": ImageNet or random weights, as `pretrained`
    says). `padding` "background" asks for background where the letterbox padded, as the report did; "ignore": for
    nothing.
    `batch_size` is that of all processes together; `accumulate` batches make one step of the optimizer. `warmup` is
    the share of the steps in which the rate rises (not with "constant"). `patience`: stop after so many epochs
    without a better monitor Dice (0: never). `precision` "auto" is decided by `device.mixed_precision`.
    """

    model: str = "lite0"
    pretrained: bool = True
    weights: str = ""
    dataset: str = "sample"
    view: str = "person"
    size: tuple[int, int] = (256, 192)
    normalise: str = "encoder"  # the statistics of the pretrained encoder; "unit": pixels / 255, as in the report
    augment: str = "portrait"
    padding: str = "ignore"
    loss: str = "bce+dice"
    optimizer: str = "adamw"
    schedule: str = "one-cycle"
    warmup: float = 0.2
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    batch_size: int = 8
    accumulate: int = 1
    epochs: int = 4
    patience: int = 0
    clip: float = 1.0
    ema: float = 0.0
    holdout: float = 0.1
    limit: int = 0
    extra: str = ""
    seed: int = 0
    precision: str = "auto"

    def __post_init__(self):
        object.__setattr__(self, "size", tuple(self.size))
        for name, choices in (
            ("loss", tuple(dice.LOSSES)),
            ("augment", AUGMENTATIONS),
            ("padding", ("ignore", "background")),
            ("optimizer", ("adam", "adamw")),
            ("schedule", ("constant", "one-cycle", "cosine")),
            ("normalise", ("encoder", "unit")),
            ("precision", PRECISIONS),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}='{getattr(self, name)}': choose one of {', '.join(choices)}")
        for name in ("batch_size", "accumulate", "epochs", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)}: must be above 0")
        if self.patience < 0:
            raise ValueError(f"patience={self.patience}: epochs to wait for a better one, 0 for no early stopping")
        if not 0 < self.warmup < 1:
            raise ValueError(f"warmup={self.warmup}: a share of the steps, between 0 and 1")

    @property
    def statistics(self) -> tuple[tuple, tuple]:
        """(mean, std) that photos are normalised with, on the 0..1 scale."""
        return normalisation(self.model) if self.normalise == "encoder" else ((0.0,) * 3, (1.0,) * 3)


_REPORT = TrainConfig(
    pretrained=False, dataset="picsart", size=(320, 320), normalise="unit", augment="report", padding="background",
    loss="bce", optimizer="adam", schedule="constant", learning_rate=1e-3, weight_decay=0.0, batch_size=4,
    epochs=150, clip=0.0, holdout=0.0,
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
