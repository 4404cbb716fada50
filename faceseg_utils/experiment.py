"""The experiment log: run folders read back, compared and checked.

One run is one folder, written by `training.train`: config.json (what was asked for), metrics.csv (a row an epoch),
val_scores.csv (a row a validation photo) and summary.json (what came out, on which device, from which revision).
The runs of record lie in experiments/runs, the report's own figures in experiments/report.csv.
"""

import difflib
import json
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from faceseg_utils import catalog

SCORES = ("dice", "iou", "boundary_f1", "report_dice")
FACTS = ("best_epoch", "minutes", "device", "precision", "torch", "revision", "dataset_digest")
SHOWN = (
    "model",
    "pretrained",
    "dataset",
    "size",
    "augment",
    "loss",
    "batch_size",
    "learning_rate",
    "epochs",
    "limit",
    "seed",
)
TOLERANCE = 2e-6  # the files keep six decimals
FAULTY = {"45c4e8bd775b"}  # revisions in which the steps of an augmentation drew the same random numbers


@dataclass(frozen=True)
class Run:
    """One run as its folder tells it.

    `metrics` has a row an epoch (val_dice, val_loss: on the photos that choose the best epoch), `val_scores` a row a
    validation photo, index `id`. A run that has not come to its end has empty `val_scores` and `summary`.
    """

    id: str
    folder: Path
    config: dict
    metrics: pd.DataFrame
    val_scores: pd.DataFrame
    summary: dict

    @classmethod
    def read(cls, folder: str | Path) -> "Run":
        """Read a run folder.

        Raises
        ------
        FileNotFoundError
            No config.json or metrics.csv in it: not a run, or one that was stopped before its first epoch ended.
        ValueError
            A file of it cannot be read (names the file).
        """
        folder = Path(folder)
        for name in ("config.json", "metrics.csv"):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder}: {name} is missing, so this is no run; `train` writes one")
        finished = (folder / "summary.json").is_file() and (folder / "val_scores.csv").is_file()
        return cls(
            id=folder.name,
            folder=folder,
            config=_read(folder / "config.json"),
            metrics=_read(folder / "metrics.csv"),
            val_scores=_read(folder / "val_scores.csv").set_index("id") if finished else pd.DataFrame(columns=SCORES),
            summary=_read(folder / "summary.json") if finished else {},
        )

    @property
    def finished(self) -> bool:
        """Did the run come to its end, with a score for every validation photo?"""
        return bool(self.summary)

    @property
    def flip_scores(self) -> pd.DataFrame | None:
        """Scores as in `val_scores`, each photo together with its mirror image; None where they were not taken."""
        file = self.folder / "flip_scores.csv"
        return _read(file).set_index("id") if file.is_file() else None

    @property
    def stale(self) -> bool:
        """Did a fault that is mended by now shape this run? It is to be made again; until then it says so."""
        return self.summary.get("revision") in FAULTY and self.config["augment"] != "none"

    @property
    def settings(self) -> dict:
        """Every field of `TrainConfig`: fields that are younger than the run have their defaults."""
        from faceseg_utils.config import TrainConfig  # late: it brings torch

        return {field.name: field.default for field in fields(TrainConfig)} | self.config

    def row(self) -> dict:
        """The run as one row of the log: its configuration, its scores, and where they come from."""
        config = {name: "x".join(map(str, v)) if isinstance(v, list) else v for name, v in self.settings.items()}
        facts = {name: self.summary.get(name) for name in (*SCORES, *FACTS)}
        return {"run": self.id, **config, **facts, "val_photos": len(self.val_scores)}


def _read(path: Path):
    try:
        if path.suffix == ".json":
            return json.loads(path.read_text(encoding="utf-8"))
        return pd.read_csv(path, dtype={"id": str})
    except (ValueError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{path}: cannot be read ({reason}); take it from the repository, or train again") from None


class ExperimentLog:
    """All runs below some folders: `log.table` is a DataFrame with a row a run, `log[id]` the run itself.

    Parameters
    ----------
    folders : experiments/ of the course if none is given. A run is named by its path below the folder (or the folder's
        runs/). Folders that do not exist hold no runs.

    Raises ValueError when two runs have the same name or a file cannot be read.
    """

    def __init__(self, *folders: str | Path):
        self.runs: dict[str, Run] = {}
        for place in [Path(folder) for folder in folders] or [experiments_folder()]:
            place = place / "runs" if (place / "runs").is_dir() else place
            for file in sorted(place.rglob("metrics.csv")):
                run = replace(Run.read(file.parent), id=file.parent.relative_to(place).as_posix())
                if run.id in self.runs:
                    raise ValueError(f"{run.folder}: there is a run '{run.id}' already, in {self.runs[run.id].folder}")
                self.runs[run.id] = run

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, run: str) -> Run:
        if run not in self.runs:
            near = difflib.get_close_matches(run, self.runs, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise KeyError(f"no run '{run}' in this log.{hint}")
        return self.runs[run]

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row a run, index `run`: the columns of config.json, then scores, minutes, device, revision."""
        rows = [run.row() for run in self.runs.values()]
        return pd.DataFrame(rows).set_index("run") if rows else pd.DataFrame(columns=SCORES)

    @property
    def changed(self) -> list[str]:
        """The columns of the configuration in which the runs differ: what was tried."""
        names = [name for run in self.runs.values() for name in run.settings]
        return [name for name in dict.fromkeys(names) if self.table[name].nunique(dropna=False) > 1]

    def scores(self, metric: str = "dice") -> pd.DataFrame:
        """One score for every photo (rows) and finished run (columns); NaN where a run did not see a photo."""
        return pd.DataFrame({run.id: run.val_scores[metric] for run in self.runs.values() if run.finished})


def experiments_folder() -> Path:
    """Where the log of record lies: experiments/ of the course."""
    return catalog.course_root() / "experiments"


def read_report() -> pd.DataFrame:
    """The report's own figures with where each comes from: experiments/report.csv, explained in its README."""
    return pd.read_csv(experiments_folder() / "report.csv", keep_default_na=False, na_values={"epoch": [""]})


# --- Comparing -------------------------------------------------------------------------------------------------------


class Interval(NamedTuple):
    """An estimate with the interval that the bootstrap gives it."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def bootstrap_mean(scores, draws: int = 10_000, seed: int = 0, level: float = 0.95) -> Interval:
    """The mean of `scores` [N] with its percentile interval (Efron 1979): how far would other photos move it?

    N photos are drawn with replacement `draws` times; the interval holds the middle `level` of their means.
    Raises ValueError for no scores, or NaN among them.
    """
    scores = np.asarray(scores, float)
    if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
        raise ValueError(f"scores of shape {scores.shape}: expected a list of numbers, one a photo, without NaN")
    drawn = np.random.default_rng(seed).integers(0, len(scores), size=(draws, len(scores)), dtype=np.int32)
    means = scores[drawn].mean(axis=1)  # [draws]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(scores.mean()), float(low), float(high))


def paired_bootstrap(a, b, draws: int = 10_000, seed: int = 0, level: float = 0.95) -> Interval:
    """How much better is b than a on the same photos? The mean of b - a [N] with its interval.

    Both scores of a photo are drawn together, so that hard photos, which are hard for both, cancel out. The interval
    speaks of other photos of this kind, not of other seeds: two runs that differ by their seed alone may well differ.
    Two pandas Series are matched by photo. Raises ValueError when the photos are not the same.
    """
    if isinstance(a, pd.Series) and isinstance(b, pd.Series):
        if set(a.index) != set(b.index) or not a.index.is_unique:
            only = sorted(map(str, set(a.index) ^ set(b.index)))[:3]
            raise ValueError(
                f"a and b are not scores of the same photos (e.g. {', '.join(only) or 'one listed twice'})"
            )
        b = b.loc[a.index]
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape:
        raise ValueError(f"a has {a.shape} scores, b has {b.shape}: a paired comparison needs the same photos")
    return bootstrap_mean(b - a, draws, seed, level)


# --- Checking --------------------------------------------------------------------------------------------------------


def check(run: Run) -> list[str]:
    """What is wrong with a run of record: one line a problem, an empty list if it is whole and agrees with itself."""
    if not run.finished:
        return ["not finished: summary.json and val_scores.csv are written at the end; go on with resume=True"]
    try:
        return [*_check_config(run), *_check_epochs(run), *_check_scores(run), *_check_origin(run)]
    except (KeyError, TypeError) as error:
        return [f"a field is missing or of the wrong kind: {error}"]


def _check_config(run: Run) -> list[str]:
    from faceseg_utils.config import TrainConfig  # late: it brings torch

    try:
        TrainConfig(**run.config)
    except (TypeError, ValueError) as error:
        return [f"config.json is no configuration: {error}"]
    return []


def _check_epochs(run: Run) -> list[str]:
    metrics, summary, problems = run.metrics, run.summary, []
    stopped_early = run.settings["patience"] and 0 < len(metrics) < run.config["epochs"]
    if metrics["epoch"].tolist() != list(range(len(metrics) if stopped_early else run.config["epochs"])):
        problems.append(
            f"metrics.csv has {len(metrics)} epochs, config.json asks for {run.config['epochs']}, from 0 on"
        )
    monitored = metrics.groupby("epoch")["val_dice"].max()
    if not np.isfinite(metrics[["train_loss", "train_dice", "val_loss", "val_dice"]].to_numpy()).all():
        problems.append("metrics.csv holds a loss or Dice that is no number")
    best = summary["best_epoch"]
    if best not in monitored.index or monitored[best] < monitored.max() - TOLERANCE:
        problems.append(f"best epoch {best} is not the best in metrics.csv: that is epoch {monitored.idxmax()}")
    elif not run.config["holdout"] and abs(monitored[best] - summary["dice"]) > TOLERANCE:
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
    person = run.config["view"] == "person"
    for name in SCORES if person else SCORES[:3]:
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
    problems, digest = [], run.summary["dataset_digest"]
    info = catalog.DATASETS.get(run.config["dataset"])
    if digest and (info is None or digest != info.digest):
        problems.append(f"dataset digest {digest[:12]}... is not that of '{run.config['dataset']}' in the catalog")
    if run.summary["revision"] in ("", "unknown") or not run.summary["device"]:
        problems.append("summary.json does not say which revision or device the run comes from")
    return problems


def check_log(folder: str | Path | None = None) -> list[str]:
    """The problems of all runs in `folder` or its runs/ (experiments/ of the course if None), named by their run."""
    runs = Path(folder or experiments_folder())
    runs = runs / "runs" if (runs / "runs").is_dir() else runs
    if not runs.is_dir():
        return [f"{runs}: no such folder"]
    problems = []
    for place in sorted(path for path in runs.iterdir() if path.is_dir()):
        try:
            problems += [f"{place.name}: {problem}" for problem in check(Run.read(place))]
        except (FileNotFoundError, ValueError) as error:
            problems.append(str(error))
    return problems


def main_check(folder: str | Path | None = None) -> int:
    """`python -m faceseg_utils experiments --check`: print the problems, if any; gives the exit code.

    Without a folder the models of record are checked too.
    """
    problems = check_log(folder)
    if not folder:
        from faceseg_utils.publish import check_models  # late: it brings torch

        problems += check_models()
    runs = 0 if problems else len(ExperimentLog(*([folder] if folder else [])))
    print("\n".join(problems) or f"{runs} runs, each complete and consistent")
    return int(bool(problems))


def main_table(folder: str | Path | None = None) -> int:
    """`python -m faceseg_utils experiments`: the log as a table, best run first."""
    log = ExperimentLog(*([folder] if folder else []))
    columns = [name for name in log.changed if name in SHOWN] + ["dice", "iou", "boundary_f1", "minutes", "revision"]
    print(log.table[columns].sort_values("dice", ascending=False).to_string() if len(log) else "no runs yet")
    return 0
