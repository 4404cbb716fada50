"""The runs behind the budget game of notebook 04, in one file: what each asked for, its price, its scores.

    python -m experiments.reproduce 'budget-*'                               # train those that are missing
    python -m experiments.exam $(cd experiments/runs && echo budget-*)       # open the exam for them
    python -m experiments.budget                                             # budget.csv, from all that are there

budget.csv has one row per run: the choices of the game, `minutes` (what it costs on two idle CPU cores, by formula, so
that prices do not depend on what else a machine had to do), `holdout` (mean Dice of the tenth of train that chose its
best epoch: what the player sees), and the Dice of every validation photo (`val ID`) and exam photo (`locked ID`).
"""

import argparse
from pathlib import Path

import pandas as pd

from experiments import command, exam
from experiments.plan import PLAN
from experiments.reproduce import minutes, state
from faceseg_utils.config import TrainConfig
from faceseg_utils.log.runs import Run
from faceseg_utils.paths import experiments_folder, write_text


def choices(config: TrainConfig) -> dict:
    """A configuration in the words of the game."""
    return {
        "photos": config.limit, "epochs": config.epochs, "rate": config.learning_rate, "augment": config.augment,
        "start": "ImageNet" if config.pretrained else "random", "loss": config.loss,
        "size": "x".join(map(str, config.size)), "seed": config.seed,
    }  # fmt: skip


def collect(experiments: Path | None = None) -> tuple[pd.DataFrame, list[str]]:
    """(The table of budget.csv, the runs of the plan that are not in it: not done, or without an exam score.)"""
    experiments = experiments or experiments_folder()
    planned = {name: config for name, config in PLAN.items() if name.startswith(("short-", "budget-"))}
    opened, rows, missing = exam.openings(experiments).index, {}, []
    for name, config in planned.items():
        if name not in opened or state(name, config, experiments / "runs") != "done":
            missing.append(name)
            continue
        run = Run.read(experiments / "runs" / name)
        rows[name] = choices(config) | {"minutes": round(minutes(config), 2), "holdout": run.metrics["val_dice"].max()}
        for kind, scores in (("val", run.val_scores), ("locked", exam.exam_scores(name, experiments))):
            rows[name] |= {f"{kind} {photo}": dice for photo, dice in scores["dice"].items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run"), missing


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.budget", description=__doc__.splitlines()[0])
    parser.parse_args(arguments)
    table, missing = collect()
    text = table.to_csv(float_format="%.4f", lineterminator="\n")
    write_text(experiments_folder() / "budget.csv", text)
    print(f"{len(table)} runs, {len(text) / 1024:.0f} kB" + (f"; missing: {', '.join(missing)}" if missing else ""))


if __name__ == "__main__":
    command.run(main)
