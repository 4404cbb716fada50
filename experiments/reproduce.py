"""Runs of the plan, by name: `python -m experiments.reproduce --list`, then `python -m experiments.reproduce ID ...`.

Each run is written to experiments/runs/ID, one after the other. A run that is done is skipped; one that was
interrupted goes on from its last whole epoch. An ID may be a pattern: 'report160-*'. Everything is on the PicsArt
photos with the report's split.
"""

import argparse
import fnmatch
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from experiments import command, costs
from experiments.plan import CONTINUES, EXTRA, PLAN
from faceseg_utils import dice, paths
from faceseg_utils.config import TrainConfig
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.engine.device import has_bf16_units
from faceseg_utils.log.runs import Run
from faceseg_utils.model import Segmenter
from faceseg_utils.training import train

# --- State and cost ---------------------------------------------------------------------------------------------------


def state(run: str, config: TrainConfig, runs: Path) -> str:
    """What is in the folder of a run: missing, part (N epochs), done, stale or other.

    stale: trained by a faulty revision; it is trained again when it is named. other: a run of another configuration.
    """
    if not (runs / run / "config.json").is_file():
        return "missing"
    if not (runs / run / "metrics.csv").is_file():
        return "part (0 epochs)"
    found = Run.read(runs / run)
    if found.settings != json.loads(json.dumps(asdict(config))):
        return "other"
    if not found.finished:
        return f"part ({len(found.metrics)} epochs)"
    return "stale" if found.stale else "done"


def minutes(config: TrainConfig, photos: int = 1191) -> float:
    """Roughly what a run costs on two CPU cores: forward and backward count as three forwards, at the speed measured.

    GFLOP per second: 600 for plain convolutions with bf16 matrix units, 150 without; 130 for depthwise ones, which run
    in float32. Scoring the monitor photos is added. `photos` are those of train before the holdout.
    """
    extra = sum(EXTRA.get(folder, 0) for folder in config.extra.split(" + "))
    learned = (config.limit or photos * (1 - config.holdout)) + extra
    scored = photos * config.holdout or 150
    speed = 130 if config.model.startswith("lite") else 600 if has_bf16_units() else 150
    gflop = costs.gflop(config.model, config.size) * (3 * learned + scored)
    return config.epochs * (gflop / speed + 0.05 * scored) / 60  # boundary F1 takes some 50 ms per photo


def listing(runs: Path) -> pd.DataFrame:
    """The plan as a table: state, setting and estimated minutes of every run."""
    rows = {
        name: {
            "state": state(name, config, runs),
            "model": config.model,
            "size": "x".join(map(str, config.size)),
            "epochs": config.epochs,
            "minutes, about": max(1, round(minutes(config))),
        }
        for name, config in PLAN.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")


# --- Work -------------------------------------------------------------------------------------------------------------


def reproduce(run: str, config: TrainConfig, runs: Path, device: str | None = None) -> str:
    """Bring one run to its end; returns what was done, in words.

    Raises ValueError where another run is in its place, or where what it learns from has not been made.
    """
    now = state(run, config, runs)
    if now == "done":
        return "done already"
    if now == "other":
        raise ValueError(f"{runs / run} holds a run of another configuration: remove it, or name another run")
    if config.weights and not Path(config.weights).is_dir():
        raise ValueError(f"{run} begins with {config.weights}: make {Path(config.weights).parent.name} first")
    for folder in filter(None, config.extra.split(" + ")):
        if not Path(folder).is_dir():
            raise ValueError(f"{run} also learns from {folder}: make it first, as experiments/README.md says")
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
    config = TrainConfig(**Run.read(runs / run).config)
    segmenter = Segmenter.load(runs / run / "model")
    val = PortraitDataset(config.dataset, "val", config.view)
    rows = []
    for photo, truth in val:
        mirrored = segmenter.predict(photo[:, ::-1].copy())[:, ::-1]
        mask = (segmenter.predict(photo) + mirrored) / 2 > 0.5  # [H, W]
        rows.append(dice.photo_scores(mask.astype("uint8"), truth))
    table = pd.DataFrame(rows, index=pd.Index(val.stems, name="id")).round(6)
    paths.write_text(runs / run / "flip_scores.csv", table.to_csv(lineterminator="\n"))
    return f"Dice {table['dice'].mean():.4f} with the test-time flip"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.reproduce", description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", metavar="ID", help="names or patterns of the plan")
    parser.add_argument("--list", action="store_true", help="names, states and estimated minutes")
    parser.add_argument("--flip", action="store_true", help="also score with the test-time flip")
    parser.add_argument("--folder", type=Path, default=paths.experiments_folder() / "runs")
    parser.add_argument("--device", choices=("cpu",), help="cpu: even where there is a GPU")
    options = parser.parse_args(arguments)
    if options.list or not options.runs:
        print(listing(options.folder).to_string())
        return
    wanted = [name for pattern in options.runs for name in PLAN if fnmatch.fnmatch(name, pattern)]
    unknown = [pattern for pattern in options.runs if not fnmatch.filter(PLAN, pattern)]
    if unknown:
        raise ValueError(f"no run of the plan is called '{unknown[0]}': see --list")
    for name in dict.fromkeys(wanted):
        print(f"{name}: {reproduce(name, PLAN[name], options.folder, options.device)}", flush=True)
        if options.flip:
            print(f"{name}: {flip(name, options.folder)}", flush=True)


if __name__ == "__main__":
    command.run(main)
