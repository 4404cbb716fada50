"""Which recipe is better? The runs recipe-NAME-sN of the plan, every idea against the old recipe.

    python -m experiments.recipes

A run's score is its best monitor Dice: mean over the tenth of train that chose its epoch (`val_dice` in metrics.csv).
The 150 validation photos and the exam do not enter. Runs of one seed are paired.

**The rule**: the winner is the idea with the largest mean difference among those that gain with every seed; if none
does, the old recipe stays. The verdict beside it says whether the gain is clear of seed noise.
"""

import argparse
from pathlib import Path

import pandas as pd

from experiments import command
from experiments.plan import PLAN
from experiments.reproduce import state
from faceseg_utils.log.runs import Run
from faceseg_utils.paths import experiments_folder
from faceseg_utils.statistics import verdict


def scores(runs: Path) -> pd.DataFrame:
    """The best monitor Dice of every run of the comparison: one row per seed, one column per recipe.

    Raises ValueError naming a run that is not done: the rule is for all of them together.
    """
    found = {}
    for name, config in PLAN.items():
        if not name.startswith("recipe-"):
            continue
        if (now := state(name, config, runs)) != "done":
            raise ValueError(f"{name} is {now}: make it first, with python -m experiments.reproduce {name}")
        recipe = name.removeprefix("recipe-").rpartition("-s")[0]
        found.setdefault(recipe, {})[config.seed] = Run.read(runs / name).metrics["val_dice"].max()
    return pd.DataFrame(found)


def compare(scores: pd.DataFrame) -> pd.DataFrame:
    """One row per idea: mean Dice, mean difference to "old", the smallest over seeds, the verdict over seeds."""
    rows = {}
    for idea in scores.columns.drop("old"):
        differences = scores[idea] - scores["old"]
        rows[idea] = {
            "Dice": scores[idea].mean(), "difference": differences.mean(), "smallest": differences.min(),
            "verdict": verdict(scores["old"], scores[idea]).word,
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("idea").sort_values("difference", ascending=False)


def winner(table: pd.DataFrame) -> str:
    """The winner by the rule above, from the table of `compare`."""
    gains = table[table["smallest"] > 0]
    return gains["difference"].idxmax() if len(gains) else "old"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.recipes", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=experiments_folder() / "runs")
    table = compare(scores(parser.parse_args(arguments).folder))
    print(table.to_string(float_format="%.4f"))
    print(f"winner: {winner(table)}")


if __name__ == "__main__":
    command.run(main)
