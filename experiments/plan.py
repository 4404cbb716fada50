"""The plan: every run of record by name, as a configuration. `experiments.reproduce` makes them."""

from dataclasses import replace
from itertools import product

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
#    photos are for the record alone, and the 150 exam photos for `experiments.exam`. The last change, the test-time
#    flip, needs no training: `--flip`.
rung = TrainConfig(
    model="lite0", pretrained=False, dataset="picsart", size=(160, 128), augment="none", loss="bce",
    optimizer="adam", schedule="constant", learning_rate=1e-3, weight_decay=0.0, epochs=10, clip=0.0,
)  # fmt: skip
LADDER = {"0-scratch": rung}
for name, change in {
    "1-imagenet": {"pretrained": True},
    "2-augmented": {"augment": "portrait"},
    "3-one-cycle": {"schedule": "one-cycle", "optimizer": "adamw", "weight_decay": 1e-2, "clip": 1.0},
    "4-dice-term": {"loss": "bce+dice"},
    "5-average": {"ema": 0.998},
    "6-resolution": {"size": (320, 256)},
}.items():
    LADDER[name] = rung = replace(rung, **change)
PLAN |= {f"rung-{name}-s0": config for name, config in LADDER.items()}
PLAN |= {f"rung-{name}-s1": replace(LADDER[name], seed=1) for name in ("5-average", "6-resolution")}

# 3. Runs of less than a minute, five seeds of each setting: how runs are compared, and how far apart seeds lie.
short = TrainConfig(dataset="picsart", size=(128, 96), epochs=3, limit=320)
for name, change in {
    "base": {}, "plain": {"augment": "none"}, "scratch": {"pretrained": False}, "bce": {"loss": "bce"},
}.items():  # fmt: skip
    PLAN |= {f"short-{name}-s{seed}": replace(short, seed=seed, **change) for seed in range(5)}
reportstyle = replace(PRESETS["report-tuned"], size=(96, 96), epochs=3, limit=320)
PLAN["picsart-resnet34-reportstyle-s0"] = replace(reportstyle, padding="ignore")
PLAN["picsart-resnet34-padding-s0"] = reportstyle  # padding counts as background, as it did in the report

# 4. The model of record, in two steps. The first learns from hand-drawn masks and pseudo-labels together (those of
#    `experiments.pseudo.run`, drawn by MediaPipe), at a size that is quick. The second goes on from it with the
#    hand-drawn masks alone, at the photos' own size, with a loss that weighs the border.
first = TrainConfig(dataset="picsart", extra="build/pseudo", size=(256, 192), epochs=8, ema=0.998)
# What is made before it is learned from, as README.md says, and how many photos it has.
EXTRA = {"build/pseudo": 1923, "build/pseudo-2": 1923, "build/composites": 600}
for seed in range(2):
    PLAN[f"portrait-lite0-first-s{seed}"] = replace(first, seed=seed)
    PLAN[f"portrait-lite0-s{seed}"] = replace(
        first, weights=f"experiments/runs/portrait-lite0-first-s{seed}/model", extra="", size=(320, 256), epochs=16,
        loss="boundary-bce+dice", learning_rate=5e-4, warmup=0.1, seed=seed,
    )  # fmt: skip
# A twin whose loss is cross-entropy alone: what do the border's weight and the Dice term do to errors?
PLAN["portrait-lite0-bce-s1"] = replace(PLAN["portrait-lite0-s1"], loss="bce")

# 5. Ideas for a better recipe, each against the old one: its first step at a small size, three seeds. All take the same
#    2,250 steps, so the composites, which add photos, have an epoch less.
old = replace(first, size=(128, 96), epochs=6)
RECIPES = {
    "old": old,
    "composites": replace(old, extra="build/pseudo + build/composites", epochs=5),
    "second-round": replace(old, extra="build/pseudo-2"),
    "lite2": replace(old, model="lite2"),
    "zoom-out": replace(old, augment="zoom-out"),
}
PLAN |= {f"recipe-{name}-s{seed}": replace(config, seed=seed) for name, config in RECIPES.items() for seed in range(3)}

# 6. Runs for the budget game of notebook 04 (`experiments.budget`), the cheapest first: rate, augmentation, photos and
#    epochs in all combinations, as far as they are not among the short runs, then some that leave this grid.
BUDGET = {}
for (photos, epochs), rate, augment in product(
    ((80, 1), (80, 3), (320, 1), (800, 1), (320, 3), (800, 3)), (3e-4, 1e-3, 3e-3), ("none", "portrait")
):
    config = replace(short, limit=photos, epochs=epochs, learning_rate=rate, augment=augment)
    if config not in PLAN.values():
        BUDGET[f"budget-{photos}x{epochs}-{rate:g}-{augment}-s0"] = config
for rate, augment in product((1e-3, 3e-3), ("none", "portrait")):
    BUDGET[f"budget-800x3-{rate:g}-{augment}-s1"] = replace(BUDGET[f"budget-800x3-{rate:g}-{augment}-s0"], seed=1)
for name, change in {
    "800x1-large": {"limit": 800, "epochs": 1, "size": (160, 128)},
    "320x3-large": {"size": (160, 128)},
    "320x3-large-none": {"size": (160, 128), "augment": "none"},
    "800x3-bce": {"limit": 800, "loss": "bce"},
    "800x3-random": {"limit": 800, "pretrained": False},
}.items():
    BUDGET[f"budget-{name}-s0"] = replace(short, **change)
PLAN |= BUDGET

# 7. Before photos were set aside for an exam: the same ladder, short runs and record on the report's split. They saw
#    the exam photos, so they have no score on them.
before = {"train_on": "train+exam"}
for name in list(PLAN):
    if name.startswith("rung-"):
        PLAN[name.replace("rung", "ladder")] = replace(PLAN[name], **before)
for old, new in {"quick": "base", "noaug": "plain", "scratch": "scratch"}.items():
    PLAN |= {f"picsart-lite0-{old}-s{seed}": replace(PLAN[f"short-{new}-s{seed}"], **before) for seed in (0, 1)}
PLAN["picsart-lite0-all-s0"] = replace(short, epochs=2, limit=0, **before)
PLAN["picsart-lite0-pseudo-s0"] = replace(first, holdout=0.05, **before)
PLAN["picsart-lite0-record-s0"] = replace(
    PLAN["portrait-lite0-s0"], weights="experiments/runs/picsart-lite0-pseudo-s0/model", holdout=0.05, **before
)
