"""Face parsing: the experiments of notebook 06. Every run learns for a few minutes, and nothing chooses its epoch.

    python -m experiments.parsing.run              # all parts, about 2 hours on two idle cores
    python -m experiments.parsing.run --list       # the runs, how far they are, and estimated minutes
    python -m experiments.parsing.run rare gap     # some parts; `faces` begins with models of `gap`

rare : the thirteen classes of the sample, scored on its validation portraits; one change at a time.
gap : trained on renders alone, in FASSEG's six classes, scored on its 20 training faces; one repair at a time.
faces : trained on 1 to 16 of the 20 faces, from ImageNet weights or from a model of `gap`. Five folds: each face is
    scored by models that never saw it, and each fold begins with other faces.

FASSEG's 50 test faces take no part. Written beside this file after every run, so that a stop loses nothing: PART.csv,
one row per run, photo and class with its pixels (`both`: truth and prediction, `predicted`, `wanted`), without classes
that neither shows; and PART.json, where the rows come from. A run that is there is not made again.
"""

import argparse
import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from experiments import command, costs
from experiments.parsing import repairs
from faceseg_utils.analysis.classes import confusions
from faceseg_utils.config import TrainConfig
from faceseg_utils.data.catalog import DATASETS, RENDERED
from faceseg_utils.dataset import Batch, PortraitDataset
from faceseg_utils.engine.device import device_name, new_accelerator
from faceseg_utils.engine.loader import folds, statistics
from faceseg_utils.losses import LOSSES
from faceseg_utils.model import Segmenter
from faceseg_utils.paths import course_root, revision, write_text
from faceseg_utils.training import build_optimizer, new_segmenter, train_step
from faceseg_utils.transforms import Pipeline

HERE = Path(__file__).resolve().parent
MODELS = course_root() / "build" / "parsing"
SEEDS, FOLDS = range(5), range(5)
COUNTS = (1, 2, 5, 10, 16)  # labelled faces; of 20, four judge in every fold

# --- The plan ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """One run: how it learns, for how many steps, on which photos."""

    config: TrainConfig
    steps: int
    repairs: tuple[str, ...] = ()  # of the renders, in this order
    faces: int = 0  # of FASSEG; 0: the renders
    second_look: str = ""  # the run whose network finds the face that this one looks at
    begins_with: str = ""  # a run of `gap`


def _seeds(arms: dict[str, Plan]) -> dict[str, Plan]:
    """The arms with every seed; what a run needs of another one, it takes from the run of its own seed."""
    return {
        f"{name}-s{seed}": replace(
            plan, config=replace(plan.config, seed=seed), second_look=plan.second_look and f"{plan.second_look}-s{seed}"
        )
        for name, plan in arms.items()
        for seed in SEEDS
    }


_small = Plan(TrainConfig(view="parts", size=(128, 96), loss="bce"), 256)
_dice = replace(_small.config, loss="bce+dice")
RARE = {
    "plain": _small,
    "weights": replace(_small, config=replace(_small.config, loss="weighted-bce")),
    "dice-term": replace(_small, config=_dice),
    "crop": replace(_small, repairs=("framing",), second_look="plain"),
    "resolution": replace(_small, config=replace(_small.config, size=(256, 192))),
    "all": replace(_small, config=replace(_dice, size=(256, 192)), repairs=("framing",), second_look="plain"),
}
_six = Plan(TrainConfig(view="face", size=(160, 128), loss="bce+dice"), 160)
GAP = {
    "renders": _six,
    "framing": replace(_six, repairs=("framing",)),
    **{name: replace(_six, repairs=(name, "framing")) for name in ("wall", "light", "texture", "labels")},
    "all": replace(_six, repairs=("labels", "wall", "texture", "light", "framing")),
}
_real = replace(_six, config=replace(_six.config, dataset="fasseg", learning_rate=5e-4), steps=120)
PARTS: dict[str, dict[str, Plan]] = {
    "rare": _seeds(RARE),
    "gap": _seeds(GAP),
    "faces": {
        f"{start}-{count}-f{fold}": replace(
            _real, config=replace(_real.config, seed=fold), faces=count,
            begins_with=f"all-s{fold}" if start == "renders" else "",
        )
        for start in ("imagenet", "renders") for count in COUNTS for fold in FOLDS
    },
}  # fmt: skip


def minutes(plan: Plan) -> float:
    """Roughly, on two idle cores: forward and backward count as three forwards, at 130 GFLOP per second (float32)."""
    return plan.steps * plan.config.batch_size * 3 * costs.gflop(plan.config.model, plan.config.size) / 130 / 60


# --- Learning ---------------------------------------------------------------------------------------------------------


def learn(pairs: list, classes: tuple[str, ...], config: TrainConfig, steps: int, start=None) -> Segmenter:
    """A network after `steps` batches of these photos and masks; the last weights, as nothing chooses.

    Each photo is seen as often as the others, give or take one; `start` is a segmenter to go on from.
    """
    accelerator = new_accelerator(precision=config.precision)
    segmenter = new_segmenter(config, classes)
    if start is not None:
        segmenter.network.load_state_dict(start.network.state_dict())
    network = segmenter.network.to(memory_format=torch.channels_last).train()
    model, optimizer, schedule = accelerator.prepare(network, *build_optimizer(config, network, steps))
    pipeline, random = Pipeline(config.size, *statistics(config), config.augment), np.random.default_rng(config.seed)
    size = config.batch_size
    order = np.concatenate([random.permutation(len(pairs)) for _ in range(math.ceil(steps * size / len(pairs)))])
    for step in range(steps):
        numbers = order[step * size : (step + 1) * size]
        x, y = zip(*(pipeline(*pairs[i], int(random.integers(2**31))) for i in numbers))
        x, y = (torch.stack(part).to(accelerator.device) for part in (x, y))
        batch = Batch(x, y, [str(i) for i in numbers], 1 / size)
        train_step(model, batch, LOSSES[config.loss], optimizer, accelerator, config.clip)
        schedule.step()
    return segmenter.to(accelerator.device)


def photos_of(plan: Plan) -> tuple[list, PortraitDataset]:
    """What a run learns from, as (photo, mask) pairs, and the photos that it is scored on."""
    seed, view = plan.config.seed, plan.config.view
    if plan.faces:
        faces = PortraitDataset("fasseg", "all")
        numbers, judges = folds(faces.people)[seed]
        return [faces[i] for i in numbers[: plan.faces]], faces.subset(judges)
    lookup, pairs = np.array(RENDERED[view].lookup, np.uint8), []
    for i, (photo, mask) in enumerate(PortraitDataset("sample", "train", "parts")):
        random = np.random.default_rng((seed, i))
        for name in plan.repairs:
            photo, mask = getattr(repairs, name)(photo, mask, random)
        pairs.append((photo, lookup[mask]))
    return pairs, PortraitDataset("fasseg", "all") if view == "face" else PortraitDataset("sample", "val", view)


def _model(folder: Path) -> Segmenter:
    """What another run has left for this one."""
    if not folder.is_dir():
        part = folder.parent.name
        raise ValueError(f"{folder} is not there: remove {part}.csv and {part}.json, then make the part `{part}` again")
    return Segmenter.load(folder)


def make(part: str, name: str, plan: Plan, models: Path) -> pd.DataFrame:
    """Train one run and score it: one row per photo and class that it or its mask shows.

    Weights that another run needs are kept in `models`. Raises ValueError where those that it needs are not there.
    """
    pairs, judges = photos_of(plan)
    start = _model(models / "gap" / plan.begins_with) if plan.begins_with else None
    segmenter = learn(pairs, judges.classes, plan.config, plan.steps, start)
    if any(name in (each.begins_with, each.second_look) for plans in PARTS.values() for each in plans.values()):
        segmenter.save(models / part / name, half=True)
    if plan.second_look:
        segmenter = repairs.TwoLooks(_model(models / part / plan.second_look), segmenter)
    tables = confusions(segmenter, judges)                                                       # [N, K, K]
    index = pd.MultiIndex.from_product([judges.stems, judges.classes], names=["id", "class"])
    pixels = {"both": np.diagonal(tables, axis1=1, axis2=2), "predicted": tables.sum(1), "wanted": tables.sum(2)}
    rows = pd.DataFrame({key: value.ravel() for key, value in pixels.items()}, index).reset_index()
    rows.insert(0, "run", name)
    return rows[rows["predicted"] + rows["wanted"] > 0]


# --- The record -------------------------------------------------------------------------------------------------------


def read(part: str, folder: Path = HERE) -> pd.DataFrame:
    """PART.csv, as it is so far; raises FileNotFoundError where there is none."""
    return pd.read_csv(folder / f"{part}.csv", dtype={"id": str})


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per run, pixels summed over its photos: Dice per class, macro Dice without background, pixel accuracy."""
    pixels = rows.groupby(["run", "class"], sort=False)[["both", "predicted", "wanted"]].sum()
    scores = (2 * pixels["both"] / (pixels["predicted"] + pixels["wanted"])).unstack()
    right = pixels.groupby("run", sort=False)[["both", "wanted"]].sum()
    macro = scores.drop(columns="background").mean(axis=1)
    return scores.assign(macro=macro, pixel_accuracy=right["both"] / right["wanted"])


def make_part(part: str, folder: Path = HERE, models: Path = MODELS) -> None:
    """Every run of a part that is not in its csv yet. A csv of other plans is not gone on with: ValueError."""
    try:
        tables = [read(part, folder)]
        origin = json.loads((folder / f"{part}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        tables, origin = [], {}
    for name, plan in PARTS[part].items():
        asked = json.loads(json.dumps(asdict(plan)))
        if name in origin:
            if origin[name]["plan"] != asked:
                raise ValueError(f"{folder / part}.csv holds {name} of another plan: remove {part}.csv and {part}.json")
            continue
        code = revision()
        tables.append(make(part, name, plan, models))
        used = sorted({plan.config.dataset, "fasseg" if plan.config.view == "face" else "sample"})
        digests = {dataset: DATASETS[dataset].digest for dataset in used}
        here = {"device": device_name(), "torch": torch.__version__, "revision": code, "digests": digests}
        origin[name] = {"plan": asked, **here}
        write_text(folder / f"{part}.csv", pd.concat(tables).to_csv(index=False, lineterminator="\n"))
        write_text(folder / f"{part}.json", json.dumps(origin, indent=1) + "\n")
        print(f"{part} {name}: macro Dice {summary(tables[-1])['macro'].iloc[-1]:.4f}", flush=True)


def listing(folder: Path = HERE) -> pd.DataFrame:
    """The runs of every part by arm: how many, how many are done, estimated minutes for those that are not."""
    rows = []
    for part, plans in PARTS.items():
        file = folder / f"{part}.json"
        done = set(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else set()
        for name, plan in plans.items():
            rows.append((part, name.rpartition("-")[0], name in done, 0 if name in done else minutes(plan)))
    table = pd.DataFrame(rows, columns=["part", "arm", "done", "minutes"]).groupby(["part", "arm"], sort=False)
    return table.agg(runs=("done", "size"), done=("done", "sum"), minutes=("minutes", "sum")).round(1)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.parsing.run", description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument("--list", action="store_true", help="runs, states and estimated minutes")
    options = parser.parse_args(arguments)
    if unknown := [part for part in options.parts if part not in PARTS]:
        raise ValueError(f"no part is called '{unknown[0]}': choose from {', '.join(PARTS)}")
    if options.list:
        print(listing().to_string())
        return
    for part in options.parts or PARTS:
        make_part(part)


if __name__ == "__main__":
    command.run(main)
