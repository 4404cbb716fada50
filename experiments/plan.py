"""The plan: every run of record by name, as a configuration. `experiments.reproduce` makes them."""

from dataclasses import replace

from faceseg_utils.config import PRESETS, TrainConfig

PLAN: dict[str, TrainConfig] = {}

# 1. The report again: its five comparisons for 20 epochs, then its final setting, networks from random weights (the
#    report does not say what its encoders began with). "report320" is the report's own size and needs a GPU;
#    "report160" is what two CPU cores can do, with half the epochs of the final run, and is not the report's result.
for side, final_epochs in ((160, 50), (320, 100)):
    report = replace(PRESETS["report-default"], size=(side, side), epochs=20)
    PLAN |= {
        f"report{side}-unet16-s0": replace(report, model="unet16"),
        f"report{side}-unet11-s0": replace(report, model="unet11"),
        f"report{side}-resnet34-s0": report,
        f"report{side}-batch8-s0": replace(report, batch_size=8),
        f"report{side}-batch8-lr3e-4-s0": replace(report, batch_size=8, learning_rate=3e-4),
        f"report{side}-final-s0": replace(report, batch_size=8, learning_rate=3e-4, epochs=final_epochs),
    }
# The final run is the last comparison continued, as the figures of the report suggest: its rate is constant, so its
# first epochs are the same and are not trained twice.
CONTINUES = {f"report{side}-final-s0": f"report{side}-batch8-lr3e-4-s0" for side in (160, 320)}
# Not in the report: what would UNet11 do if its encoder had batch normalisation, as ResNet34 has?
PLAN["report160-unet11-bn-s0"] = replace(PLAN["report160-unet11-s0"], model="vgg11_bn", epochs=10)

# 2. Ours, one change at a time, each from the one before. A tenth of train chooses the epoch; the 150 validation
#    photos are for the record alone. The last change, the test-time flip, needs no training: `--flip`.
step = TrainConfig(
    model="lite0", pretrained=False, dataset="picsart", size=(160, 128), augment="none", loss="bce",
    optimizer="adam", schedule="constant", learning_rate=1e-3, weight_decay=0.0, epochs=10, clip=0.0,
)  # fmt: skip
LADDER = {"0-scratch": step}
for name, change in {
    "1-imagenet": {"pretrained": True},
    "2-augmented": {"augment": "portrait"},
    "3-one-cycle": {"schedule": "one-cycle", "optimizer": "adamw", "weight_decay": 1e-2, "clip": 1.0},
    "4-dice-term": {"loss": "bce+dice"},
    "5-average": {"ema": 0.998},
    "6-resolution": {"size": (320, 256)},
}.items():
    LADDER[name] = step = replace(step, **change)
PLAN |= {f"ladder-{name}-s0": config for name, config in LADDER.items()}
PLAN |= {f"ladder-{name}-s1": replace(LADDER[name], seed=1) for name in ("5-average", "6-resolution")}

# 3. Small runs that take minutes: enough to show how runs are compared.
small = TrainConfig(dataset="picsart", size=(128, 96), epochs=3, limit=320)
PLAN["picsart-lite0-all-s0"] = replace(small, epochs=2, limit=0)
for seed in (0, 1):
    PLAN |= {
        f"picsart-lite0-quick-s{seed}": replace(small, seed=seed),
        f"picsart-lite0-noaug-s{seed}": replace(small, seed=seed, augment="none"),
        f"picsart-lite0-scratch-s{seed}": replace(small, seed=seed, pretrained=False),
    }
reportstyle = replace(PRESETS["report-tuned"], size=(96, 96), epochs=3, limit=320)
PLAN["picsart-resnet34-reportstyle-s0"] = replace(reportstyle, padding="ignore")
PLAN["picsart-resnet34-padding-s0"] = reportstyle  # padding counts as background, as it did in the report

# 4. The model of record, in two steps. The first learns from hand-drawn masks and pseudo-labels together (those of
#    `experiments.pseudo.run`, drawn by MediaPipe), at a size that is quick. The second goes on from it with the
#    hand-drawn masks alone, at the photos' own size, with a loss that weighs the border.
record = TrainConfig(dataset="picsart", extra="build/pseudo", size=(256, 192), epochs=8, ema=0.998, holdout=0.05)
PLAN["picsart-lite0-pseudo-s0"] = record
PLAN["picsart-lite0-record-s0"] = replace(
    record, weights="experiments/runs/picsart-lite0-pseudo-s0/model", extra="", size=(320, 256), epochs=16,
    loss="boundary-bce+dice", learning_rate=5e-4, warmup=0.1,
)  # fmt: skip
