"""The runs of record by name: `python -m experiments.reproduce --list`, then `python -m experiments.reproduce ID ...`.

Each run goes into experiments/runs/ID, one after the other. A run that is done is skipped; one that was interrupted
goes on from its last whole epoch. An ID may be a pattern: 'report160-*'. Everything is on the PicsArt photos with the
report's split.
"""

import argparse
import fnmatch
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd

from experiments import costs
from faceseg_utils import dice, experiment
from faceseg_utils.config import PRESETS, TrainConfig
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.device import has_bf16_units
from faceseg_utils.model import Segmenter
from faceseg_utils.training import train

# --- The plan ---------------------------------------------------------------------------------------------------------

PLAN: dict[str, TrainConfig] = {}

# 1. The report again: its five comparisons for 20 epochs, then its final setting, network from random weights (the
#    report does not say what its encoders began with). "report320" is its own size and asks for a GPU; "report160"
#    is what two CPU cores can do, with half the epochs of the final run, and is not the report's result.
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
# first epochs are the same ones, and are not made twice.
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

# 3. Small runs that cost minutes: enough to show how runs are compared.
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
#    hand-drawn masks alone, at the photos' own size, and looks closer at the border.
record = TrainConfig(dataset="picsart", extra="build/pseudo", size=(256, 192), epochs=8, ema=0.998, holdout=0.05)
PLAN["picsart-lite0-pseudo-s0"] = record
PLAN["picsart-lite0-record-s0"] = replace(
    record, weights="experiments/runs/picsart-lite0-pseudo-s0/model", extra="", size=(320, 256), epochs=16,
    loss="boundary-bce+dice", learning_rate=5e-4, warmup=0.1,
)  # fmt: skip

# --- State and cost ---------------------------------------------------------------------------------------------------


def state(run: str, config: TrainConfig, runs: Path) -> str:
    """missing, part (N epochs), done, stale (a fault shaped it: naming it trains it anew), or other: the folder holds a
    run of another configuration.
    """
    if not (runs / run / "config.json").is_file():
        return "missing"
    if not (runs / run / "metrics.csv").is_file():
        return "part (0 epochs)"
    found = experiment.Run.read(runs / run)
    if TrainConfig(**found.config) != config:
        return "other"
    if not found.finished:
        return f"part ({len(found.metrics)} epochs)"
    return "stale" if found.stale else "done"


def minutes(config: TrainConfig, photos: int = 1341) -> float:
    """Roughly what a run costs on two CPU cores: forward and backward are three forwards, at the speed measured.

    GFLOP a second: 600 for plain convolutions with bf16 matrix units, 150 without; 130 for depthwise ones, which run
    in float32. Scoring the monitor photos comes on top. `photos` are those of train before the holdout.
    """
    learned = (config.limit or photos * (1 - config.holdout)) + (1923 if config.extra else 0)  # the pseudo-labels
    scored = photos * config.holdout or 150
    speed = 130 if config.model == "lite0" else 600 if has_bf16_units() else 150
    gflop = costs.gflop(config.model, config.size) * (3 * learned + scored)
    return config.epochs * (gflop / speed + 0.05 * scored) / 60  # boundary F1 takes some 50 ms a photo


def listing(runs: Path) -> pd.DataFrame:
    """The plan as a table: state, setting and estimated minutes of every run."""
    rows = {
        name: {
            "state": state(name, config, runs),
            "model": config.model,
            "size": "x".join(map(str, config.size)),
            "epochs": config.epochs,
            "minutes, about": round(minutes(config)),
        }
        for name, config in PLAN.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")


# --- Work -------------------------------------------------------------------------------------------------------------


def reproduce(run: str, config: TrainConfig, runs: Path, device: str | None = None) -> str:
    """Bring one run to its end and say what was done.

    Raises ValueError where another run is in its place, or where what it learns from has not been made.
    """
    now = state(run, config, runs)
    if now == "done":
        return "done already"
    if now == "other":
        raise ValueError(f"{runs / run} holds a run of another configuration: remove it, or name another run")
    if config.weights and not Path(config.weights).is_dir():
        raise ValueError(f"it goes on from {config.weights}: make {Path(config.weights).parent.name} first")
    if config.extra and not Path(config.extra).is_dir():
        raise ValueError(f"it also learns from {config.extra}: make it first, with python -m experiments.pseudo.run")
    if now == "stale":
        shutil.rmtree(runs / run)  # its numbers stay in the history of the repository
    if now == "missing" and run in CONTINUES:
        begun = CONTINUES[run]
        if state(begun, PLAN[begun], runs) == "done" and (runs / begun / "last.pt").is_file():
            not_its_own = shutil.ignore_patterns("config.json", "*_scores.csv", "summary.json")
            shutil.copytree(runs / begun, runs / run, ignore=not_its_own, dirs_exist_ok=True)
    trained = train(config, runs / run, resume=True, device=device)
    return f"Dice {trained.dice:.4f}"


def flip(run: str, runs: Path) -> str:
    """Score a run's weights once more, each photo together with its mirror image: runs/ID/flip_scores.csv."""
    config = TrainConfig(**experiment.Run.read(runs / run).config)
    segmenter = Segmenter.load(runs / run / "model")
    val = PortraitDataset(config.dataset, "val", config.view)
    rows = []
    for i in range(len(val)):
        photo, truth = val.read(i)
        mirrored = segmenter.predict(photo[:, ::-1].copy())[:, ::-1]
        mask = (segmenter.predict(photo) + mirrored) / 2 > 0.5  # [H, W]
        scores = (f(mask.astype("uint8"), truth)[0] for f in (dice.dice_score, dice.iou_score, dice.boundary_f1))
        rows.append([val.stems[i], *map(float, scores)])
    table = pd.DataFrame(rows, columns=["id", "dice", "iou", "boundary_f1"]).set_index("id").round(6)
    table.to_csv(runs / run / "flip_scores.csv")
    return f"Dice {table['dice'].mean():.4f} with the test-time flip"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.reproduce", description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", metavar="ID", help="names or patterns of the plan")
    parser.add_argument("--list", action="store_true", help="names, states and estimated minutes")
    parser.add_argument("--flip", action="store_true", help="also score with the test-time flip")
    parser.add_argument("--folder", type=Path, default=experiment.experiments_folder() / "runs")
    parser.add_argument("--device", choices=("cpu",), help="cpu: even where there is a GPU")
    options = parser.parse_args(arguments)
    if options.list or not options.runs:
        print(listing(options.folder).to_string())
        return 0
    wanted = [name for pattern in options.runs for name in PLAN if fnmatch.fnmatch(name, pattern)]
    unknown = [pattern for pattern in options.runs if not fnmatch.filter(PLAN, pattern)]
    if unknown:
        parser.error(f"no run of the plan is called '{unknown[0]}': see --list")
    for name in dict.fromkeys(wanted):
        try:
            print(f"{name}: {reproduce(name, PLAN[name], options.folder, options.device)}", flush=True)
        except ValueError as error:
            parser.exit(1, f"{name}: {error}\n")
        if options.flip:
            print(f"{name}: {flip(name, options.folder)}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
