"""The experiment log: run folders, as `training.train` writes them, read back and compared.

config.json is what was asked for, metrics.csv has one row per epoch, val_scores.csv one per validation photo;
summary.json is what came out, on which device, from which revision.
"""

import json
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from faceseg_utils.config import BEFORE, TrainConfig
from faceseg_utils.paths import did_you_mean, experiments_folder, models_folder, one_line

SCORES = ["dice", "iou", "boundary_f1"]
FACTS = ["report_dice", "best_epoch", "minutes", "device", "precision", "torch", "revision", "dataset_digest"]
SHOWN = "model pretrained dataset size augment loss batch_size learning_rate epochs limit seed".split()
NEEDED = {"metrics.csv": ["epoch", "val_dice"], "val_scores.csv": ["id", *SCORES], "flip_scores.csv": ["id", *SCORES]}
FAULTY = {"45c4e8bd775b"}  # revisions in which the steps of an augmentation drew the same random numbers


@dataclass(frozen=True)
class Run:
    """One run, as its folder records it; `val_scores` (index `id`) and `summary` are empty until it is finished."""

    id: str
    folder: Path
    config: dict
    metrics: pd.DataFrame  # its val_dice and val_loss are of the photos that choose the best epoch
    val_scores: pd.DataFrame
    summary: dict

    @classmethod
    def read(cls, folder: str | Path) -> "Run":
        """Read a run folder. Raises FileNotFoundError where it is no run, ValueError naming a file that is damaged."""
        folder = Path(folder)
        config, metrics = BEFORE | _read(folder / "config.json"), _read(folder / "metrics.csv")
        scores, summary = pd.DataFrame(columns=SCORES), {}
        if (folder / "summary.json").is_file() and (folder / "val_scores.csv").is_file():
            scores, summary = _read(folder / "val_scores.csv").set_index("id"), _read(folder / "summary.json")
        return cls(folder.name, folder, config, metrics, scores, summary)

    @property
    def finished(self) -> bool:
        return bool(self.summary)

    @property
    def flip_scores(self) -> pd.DataFrame | None:
        """Scores as in `val_scores`, each photo together with its mirror image; None where they were not taken."""
        file = self.folder / "flip_scores.csv"
        return _read(file).set_index("id") if file.is_file() else None

    @property
    def stale(self) -> bool:
        """Was an epoch of this run trained by a revision with a fault that changed its numbers? Train it again."""
        revisions = self.metrics.get("revision", [self.summary.get("revision")])
        return not FAULTY.isdisjoint(map(str, revisions)) and self.settings["augment"] != "none"

    @property
    def settings(self) -> dict:
        """Every field of `TrainConfig`: fields that were added after the run have their defaults."""
        return {field.name: field.default for field in fields(TrainConfig)} | self.config

    def row(self) -> dict:
        """The run as one row of the log: its configuration, its scores, and where they come from."""
        cells = self.settings | {name: self.summary.get(name) for name in SCORES + FACTS}
        for name, value in cells.items():
            if isinstance(value, (list, dict)):  # a size; the devices of a run that was moved
                cells[name] = ("x" if name == "size" else ", ").join(map(str, value))
        return {"run": self.id, **cells, "val_photos": len(self.val_scores)}


def _read(path: Path):
    """The object in a .json file, the table in a .csv file. Raises as `Run.read` does."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent}: {path.name} is missing, so this is no run; `train` writes one")
    try:
        if path.suffix == ".json":
            return {**json.loads(path.read_text(encoding="utf-8"))}
        # Ids and revisions stay text, "NA" and "007" included; only an empty cell means that there is no value.
        table = pd.read_csv(path, dtype={"id": str, "revision": str}, keep_default_na=False, na_values=[""])
        if missing := [name for name in NEEDED[path.name] if name not in table]:
            raise ValueError(f"no column '{missing[0]}'")
        return table
    except (ValueError, TypeError, RecursionError) as error:  # TypeError: JSON that is no object
        remedy = "take it from the repository, or train again"
        raise ValueError(f"{path}: cannot be read ({one_line(error)}); {remedy}") from None


class ExperimentLog:
    """All runs below some folders: `log.table` is a DataFrame with one row per run, `log[id]` the run itself.

    Without folders: experiments/ of the course. A run is named by its path below the folder (or below its runs/).
    Folders that do not exist hold no runs. Raises ValueError when two runs have the same name or a file is damaged.
    """

    def __init__(self, *folders: str | Path):
        self.runs: dict[str, Run] = {}
        for place in map(Path, folders or [experiments_folder()]):
            place = place / "runs" if (place / "runs").is_dir() else place
            for file in sorted(place.rglob("metrics.csv")):
                run = Run.read(file.parent)
                run = run if run.folder == place else replace(run, id=run.folder.relative_to(place).as_posix())
                if run.id in self.runs:
                    raise ValueError(f"{run.folder}: there is a run '{run.id}' already, in {self.runs[run.id].folder}")
                self.runs[run.id] = run

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, run: str) -> Run:
        if run not in self.runs:
            raise KeyError(f"no run '{run}' in this log.{did_you_mean(run, self.runs)}")
        return self.runs[run]

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per run, index `run`: the columns of config.json, then scores, minutes, device, revision."""
        rows = [run.row() for run in self.runs.values()]
        return pd.DataFrame(rows).set_index("run") if rows else pd.DataFrame(columns=SCORES)

    @property
    def changed(self) -> list[str]:
        """The columns of the configuration in which the runs differ: what was tried."""
        names = dict.fromkeys(name for run in self.runs.values() for name in run.settings)
        return [name for name in names if self.table[name].nunique(dropna=False) > 1]

    def scores(self, metric: str = "dice") -> pd.DataFrame:
        """One score for every photo (rows) and finished run (columns); NaN where a run did not see a photo."""
        return pd.DataFrame({run.id: run.val_scores[metric] for run in self.runs.values() if run.finished})


def log_table(folder: str | Path | None = None) -> str:
    """All runs below a folder as text, best first. Raises FileNotFoundError where there is no such folder."""
    if not (folder := Path(folder or experiments_folder())).is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    if not len(log := ExperimentLog(folder)):
        return f"no runs in {folder} yet"
    columns = [name for name in log.changed if name in SHOWN] + [*SCORES, "minutes", "revision"]
    table = log.table.assign(dice=pd.to_numeric(log.table["dice"], errors="coerce"))
    return table[columns].sort_values("dice", ascending=False).to_string()


def read_report() -> pd.DataFrame:
    """The report's own figures with where each comes from: experiments/report.csv, explained in its README."""
    return pd.read_csv(experiments_folder() / "report.csv", keep_default_na=False, na_values={"epoch": [""]})


def best_model(dataset: str, models: Path | None = None, experiments: Path | None = None) -> Path | None:
    """The folder of the model of record with the highest Dice on this dataset; None where there is none."""
    models, runs = models or models_folder(), (experiments or experiments_folder()) / "runs"
    found = [Run.read(runs / place.name) for place in models.glob("*") if (runs / place.name).is_dir()]
    found = [run for run in found if run.finished and run.settings["dataset"] == dataset]
    return models / max(found, key=lambda run: run.summary["dice"]).id if found else None
