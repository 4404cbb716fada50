"""The exam: photos that no model of the course learns from and no choice is made by, 150 of PicsArt and 50 of FASSEG.

    python -m experiments.exam RUN ...     open the exam for finished runs, whose weights are in RUN/model
    python -m experiments.exam             validation beside exam, for all runs that have taken it
    python -m experiments.exam --draw      draw the photos anew by the rule, and compare them with the stored names

Every opening is one row of experiments/exam/openings.csv: which run, when, by whom, with which weights, and what came
out; the scores of each photo are in experiments/exam/scores/RUN.csv, and for models of several classes those of each
class in experiments/exam/classes/RUN.csv. A run is scored once: asked again, the command prints what is recorded.

For FASSEG they are the 50 test photos of its papers. The rule for PicsArt: take the photos that the report trained on;
leave out those that had chosen an epoch when the exam was drawn (the first 134 of a fixed permutation) and every photo
with a near duplicate among all 3,668 (`experiments.duplicates`); of the 1,014 that remain, the 150 whose "exam NAME"
has the smallest SHA-256 are the exam.
"""

import argparse
import hashlib
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pandas as pd

from experiments import card, command
from experiments.duplicates import NEAR, bits_apart, hashes
from faceseg_utils import paths
from faceseg_utils.analysis.classes import class_scores, confusions, overall
from faceseg_utils.data import catalog
from faceseg_utils.data.layout import every_tenth
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.evaluation import evaluate
from faceseg_utils.log.runs import SCORES, Run
from faceseg_utils.model import Segmenter

PHOTOS, CHOSE = 150, 134

# --- Draw -------------------------------------------------------------------------------------------------------------


def draw(labelled: dict[str, np.ndarray], unlabelled: np.ndarray) -> list[str]:
    """The exam, by the rule above: hashes of the labelled photos by stem, hashes [N, 256] of the unlabelled ones."""
    stems, own = list(labelled), np.stack(list(labelled.values()))
    apart = np.hstack([bits_apart(own, own) + 256 * np.eye(len(own), dtype=int), bits_apart(own, unlabelled)])
    alone = {stem for stem, bits in zip(stems, apart.min(axis=1)) if bits > NEAR}
    train = sorted(set(stems) - every_tenth(stems))
    chose = {train[i] for i in np.random.default_rng(0).permutation(len(train))[:CHOSE]}
    candidates = sorted(alone.intersection(train) - chose, key=lambda s: hashlib.sha256(f"exam {s}".encode()).digest())
    return sorted(candidates[:PHOTOS])


def is_drawn_by_rule() -> bool:
    """Are the stored names those that the rule gives?"""
    labelled = PortraitDataset("picsart", "all") + PortraitDataset("picsart", "exam")
    by_stem = dict(sorted(zip(labelled.stems, hashes(labelled.items)), key=lambda pair: pair[0]))
    return draw(by_stem, hashes(PortraitDataset("picsart", "test").items)) == sorted(catalog.DATASETS["picsart"].exam)


# --- Open -------------------------------------------------------------------------------------------------------------


def exam_folder(experiments: Path | None = None) -> Path:
    """Where openings and scores are kept."""
    return (experiments or paths.experiments_folder()) / "exam"


def exam_names(dataset: str) -> frozenset[str]:
    """The stems of the exam photos of a dataset."""
    return catalog.DATASETS[dataset].exam or frozenset(map(str, range(1, 51)))  # FASSEG's have a folder of their own


def openings(experiments: Path | None = None) -> pd.DataFrame:
    """Who opened the exam, when and for which run, index `run`; empty before the first opening."""
    file = exam_folder(experiments) / "openings.csv"
    if not file.is_file():
        return pd.DataFrame(columns=["run", "opened", "by", "weights", *SCORES]).set_index("run")
    return pd.read_csv(file, dtype={"run": str}).set_index("run")


def exam_scores(run: str, experiments: Path | None = None) -> pd.DataFrame:
    """The scores of each exam photo in the one opening for this run, index `id`."""
    return pd.read_csv(exam_folder(experiments) / "scores" / f"{run}.csv", dtype={"id": str}).set_index("id")


def optimism(experiments: Path | None = None) -> pd.DataFrame:
    """Validation beside exam: mean Dice of every run that has taken the exam, index `run`, best on validation first."""
    experiments = experiments or paths.experiments_folder()
    log = openings(experiments)
    runs = {name: Run.read(experiments / "runs" / name) for name in log.index}
    validation = pd.Series({name: run.summary["dice"] for name, run in runs.items()}, dtype=float)
    table = pd.DataFrame({"validation": validation, "exam": log["dice"]}).rename_axis("run")
    return table.sort_values("validation", ascending=False)


def saw_exam(run: Run, experiments: Path) -> str:
    """The first of the runs that led to this one that learned from exam photos of its dataset; "" if none did."""
    same = [each for each in card.ancestry(run, experiments) if each.settings["dataset"] == run.settings["dataset"]]
    return next((each.id for each in same if each.settings["train_on"] != "train"), "")


def open_exam(folder: str | Path, by: str, experiments: Path | None = None) -> pd.Series:
    """Score a finished run on the exam photos, once, and log it. Returns its row of `openings`.

    Raises ValueError where the run, or one that it began with, learned from these photos, is not finished, or is no
    run on photos that have an exam.
    """
    experiments = experiments or paths.experiments_folder()
    run, log = Run.read(folder), openings(experiments)
    if run.id in log.index:
        return log.loc[run.id]
    dataset = run.settings["dataset"]
    if dataset not in ("picsart", "fasseg") or not run.finished:
        raise ValueError(f"{folder}: the exam is for finished runs on the PicsArt or FASSEG photos")
    if seen := saw_exam(run, experiments):
        raise ValueError(f"{run.id} has no exam: {seen} learned from the exam photos")
    weights = run.folder / "model"
    if not (weights / "model.safetensors").is_file():
        raise ValueError(f"{weights}: no weights here; train the run again, or copy its model there")
    segmenter, photos = Segmenter.load(weights), PortraitDataset(dataset, "exam", run.settings["view"])
    scores = evaluate(segmenter, photos)[SCORES]
    scores = scores.round(6).rename_axis("id")
    row = {
        "opened": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%MZ"),
        "by": by,
        "weights": hashlib.sha256((weights / "model.safetensors").read_bytes()).hexdigest()[:12],
        **scores.mean().round(6),
    }
    log.loc[run.id] = row
    place = exam_folder(experiments)
    (place / "scores").mkdir(parents=True, exist_ok=True)
    if len(segmenter.classes) > 2:
        tables = confusions(segmenter, photos)
        each = class_scores(tables, segmenter.classes).assign(**overall(tables)).round(6)
        (place / "classes").mkdir(exist_ok=True)
        paths.write_text(place / "classes" / f"{run.id}.csv", each.to_csv(lineterminator="\n"))
    paths.write_text(place / "scores" / f"{run.id}.csv", scores.to_csv(lineterminator="\n"))
    paths.write_text(place / "openings.csv", log.to_csv(lineterminator="\n"))
    return log.loc[run.id]


def check_exam(experiments: Path | None = None) -> list[str]:
    """What is wrong with the log of openings: one line per problem."""
    experiments, problems = experiments or paths.experiments_folder(), []
    for name, row in openings(experiments).iterrows():
        try:
            scores, run = exam_scores(name, experiments), Run.read(experiments / "runs" / name)
            if set(scores.index) != exam_names(run.settings["dataset"]) or not scores.index.is_unique:
                problems.append(f"exam: {name} was scored on other photos than those of the exam")
            if not np.allclose(scores[SCORES].mean(), row[SCORES].astype(float), atol=2e-6):
                problems.append(f"exam: the scores of {name} and its row in openings.csv differ")
            if seen := saw_exam(run, experiments):
                problems.append(f"exam: {name} has a score, but {seen} learned from the exam photos")
        except (OSError, ValueError) as error:
            problems.append(f"exam: {name}: {error}")
    return problems


def _git_user() -> str:
    done = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, cwd=paths.course_root())
    return done.stdout.strip()


def main(arguments: list[str]) -> int | None:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.exam", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="a run of record, by name, or the folder of a run")
    parser.add_argument("--by", default=_git_user(), help="who opens the exam (default: git's user.name)")
    parser.add_argument("--draw", action="store_true", help="check the stored names against the rule")
    options = parser.parse_args(arguments)
    if options.draw:
        same = is_drawn_by_rule()
        print(f"the stored names are {'' if same else 'not '}those that the rule gives")
        return int(not same)
    if options.runs and not options.by:
        raise ValueError("say who opens the exam: --by NAME")
    for name in options.runs:
        place = paths.experiments_folder() / "runs" / name
        row = open_exam(place if place.is_dir() else name, options.by)
        print(f"{name}: Dice {row['dice']:.4f}, boundary F1 {row['boundary_f1']:.4f} (opened {row['opened']})")
    if not options.runs:
        print(optimism().to_string(float_format="%.4f"))
    return None


if __name__ == "__main__":
    command.run(main)
