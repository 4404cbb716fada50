"""Is every run of the log complete, and do its files agree with each other?"""

from pathlib import Path

import numpy as np

from faceseg_utils.config import TrainConfig
from faceseg_utils.data import catalog
from faceseg_utils.log.runs import SCORES, Run
from faceseg_utils.paths import experiments_folder

TOLERANCE = 2e-6  # the files keep six decimals


def check(run: Run) -> list[str]:
    """What is wrong with a run of record: one line per problem, an empty list if it is complete and consistent."""
    if not run.finished:
        return ["not finished: summary.json and val_scores.csv are written at the end; go on with resume=True"]
    try:
        return [*_check_config(run), *_check_epochs(run), *_check_scores(run), *_check_origin(run)]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return [f"a field is missing or of the wrong kind: {error}"]


def _check_config(run: Run) -> list[str]:
    try:
        TrainConfig(**run.config)
    except (TypeError, ValueError) as error:
        return [f"config.json is no configuration: {error}"]
    return []


def _check_epochs(run: Run) -> list[str]:
    metrics, summary, planned, problems = run.metrics, run.summary, run.settings["epochs"], []
    stopped_early = run.settings["patience"] and 0 < len(metrics) < planned
    if metrics["epoch"].tolist() != list(range(len(metrics))) or (len(metrics) != planned and not stopped_early):
        problems.append(f"metrics.csv has {len(metrics)} epochs, config.json asks for {planned}, from 0 on")
    monitored = metrics.groupby("epoch")["val_dice"].max()
    if not np.isfinite(metrics[["train_loss", "train_dice", "val_loss", "val_dice"]].to_numpy()).all():
        problems.append("metrics.csv holds a loss or Dice that is no number")
    best = summary["best_epoch"]
    if best not in monitored.index or monitored[best] < monitored.max() - TOLERANCE:
        problems.append(f"best epoch {best} is not the best in metrics.csv: that is epoch {monitored.idxmax()}")
    elif not run.settings["holdout"] and abs(monitored[best] - summary["dice"]) > TOLERANCE:
        problems.append(
            f"metrics.csv has Dice {monitored[best]:.6f} for the best epoch, summary.json {summary['dice']}"
        )
    if abs(metrics["seconds"].sum() / 60 - summary["minutes"]) > 0.01:
        problems.append(
            f"metrics.csv adds up to {metrics['seconds'].sum() / 60:.2f} min, summary.json {summary['minutes']}"
        )
    return problems


def _check_scores(run: Run) -> list[str]:
    scores, summary, problems = run.val_scores, run.summary, []
    if len(scores) != summary["photos"]["val"] or not scores.index.is_unique:
        problems.append(f"val_scores.csv has {scores.index.nunique()} photos, summary.json {summary['photos']['val']}")
    person = run.settings["view"] == "person"
    # The report's own formula was scored by older revisions only.
    for name in [*SCORES, *(["report_dice"] if person and "report_dice" in scores else [])]:
        if not scores[name].between(0, 1).all():
            problems.append(f"val_scores.csv: {name} is not between 0 and 1 everywhere")
        elif abs(scores[name].mean() - summary[name]) > TOLERANCE:
            problems.append(
                f"{name}: val_scores.csv has the mean {scores[name].mean():.6f}, summary.json {summary[name]}"
            )
    if person and (scores["iou"] - scores["dice"] / (2 - scores["dice"])).abs().max() > 5 * TOLERANCE:
        problems.append("val_scores.csv: Dice and IoU of a photo contradict each other (IoU = Dice / (2 - Dice))")
    return problems


def _check_origin(run: Run) -> list[str]:
    summary, problems = run.summary, []
    digest, info = summary["dataset_digest"], catalog.DATASETS.get(run.settings["dataset"])
    if digest and (info is None or digest != info.digest):
        problems.append(f"dataset digest {digest[:12]}... is not that of '{run.settings['dataset']}' in the catalog")
    for name in ("device", "precision", "processes", "revision"):
        if name in run.metrics:  # one entry per epoch; older revisions wrote the summary alone
            found, stated = run.metrics[name].drop_duplicates().tolist(), summary[name]
            if found != (stated if isinstance(stated, list) else [stated]):
                problems.append(f"{name}: metrics.csv has {', '.join(map(str, found))}, summary.json {stated}")
    chooser = "held-out part of train" if run.settings["holdout"] else "validation"
    if summary["chosen_on"] != chooser:
        problems.append(f"summary.json: best epoch chosen on '{summary['chosen_on']}', config.json says {chooser}")
    if not summary["photos"]["train"] > 0:
        problems.append(f"summary.json: trained on {summary['photos']['train']} photos")
    revisions = summary["revision"] if isinstance(summary["revision"], list) else [summary["revision"]]
    if not {"", "unknown", None}.isdisjoint(revisions) or not revisions or not summary["device"]:
        problems.append("summary.json does not say which revision or device the run comes from")
    return problems


def run_folders(folder: str | Path | None = None) -> list[Path]:
    """The folders of the runs in `folder`, in its runs/, or `folder` itself; of experiments/ of the course if None.

    Raises FileNotFoundError where there is no such folder, or nothing in it.
    """
    place = Path(folder or experiments_folder())
    place = place / "runs" if (place / "runs").is_dir() else place
    if not place.is_dir():
        raise FileNotFoundError(f"{place}: no such folder")
    if (place / "config.json").is_file():
        return [place]
    found = sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not found:
        raise FileNotFoundError(f"{place}: no runs here")
    return found


def check_log(folder: str | Path | None = None) -> list[str]:
    """The problems of the runs in `run_folders(folder)`, each named by its run."""
    problems = []
    for place in run_folders(folder):
        try:
            problems += [f"{place.name}: {problem}" for problem in check(Run.read(place))]
        except (OSError, ValueError) as error:  # these name the file
            problems.append(str(error))
    return problems
