"""The files that a run leaves in its folder, written so that whoever kills it finds a whole state to go on from."""

import io
import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch

from faceseg_utils.config import BEFORE, TrainConfig
from faceseg_utils.data import catalog
from faceseg_utils.engine.device import device_name
from faceseg_utils.model import Segmenter
from faceseg_utils.paths import revision, write_text, written_whole

FORMAT = 2
RESULTS = ("val_scores.csv", "summary.json")  # written last: a folder that holds them is a finished run
EARLY = {"config.json", ".config.json.new", "model", ".model.new", ".last.pt.new"}  # all before the first last.pt
FACTS = ("device", "precision", "processes", "revision")  # columns of metrics.csv: where an epoch was trained
REMEDY = {"remedy": "free some space, then go on with resume=True (--resume)"}


def check_folder(folder: Path, resume: bool) -> None:
    """Raises FileExistsError where a run would overwrite what is in `folder`: another run, or files of other programs.

    A run that failed in its first epoch leaves its config.json: another one may begin there.
    """
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    begun = found <= {".config.json.new"} or (found <= EARLY and _is_config(folder / "config.json"))
    if not begun and "last.pt" not in found:
        why = f"is not empty and holds no run to go on with ({min(found)}, but no last.pt)"
        raise FileExistsError(f"{folder} {why}: choose another folder")
    if not resume and found & {"last.pt", "model"}:
        how = "resume=True (on the command line: --resume) goes on with it, or choose another folder"
        raise FileExistsError(f"{folder} holds a run already: {how}")


def _is_config(path: Path) -> bool:
    try:
        return bool(TrainConfig(**json.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError):
        return False


def write_config(folder: Path, config: TrainConfig) -> None:
    """`config.json`: what was asked for. The results of a shorter run that now goes on are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in RESULTS:
        (folder / name).unlink(missing_ok=True)
    write_text(folder / "config.json", json.dumps(asdict(config), indent=2) + "\n", **REMEDY)


def write_epoch(folder: Path, history: list[dict], segmenter: Segmenter, config: TrainConfig, parts: dict) -> None:
    """The best weights, then the checkpoint, then the table: whenever the run is killed, resume finds a whole state."""
    if history[-1]["val_dice"] > max((row["val_dice"] for row in history[:-1]), default=-1.0):
        segmenter.save(folder / "model")
    state = {name: part.state_dict() for name, part in parts.items() if part is not None}
    state |= {"format": FORMAT, "config": json.dumps(asdict(config)), "history": history}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with written_whole(folder / "last.pt", **REMEDY) as fresh:
        fresh.write_bytes(buffer.getvalue())
    write_metrics(folder, history)


def write_metrics(folder: Path, history: list[dict]) -> None:
    """`metrics.csv`: one row per epoch."""
    table = pd.DataFrame(history).to_csv(index=False, float_format="%.6f", lineterminator="\n")
    write_text(folder / "metrics.csv", table, **REMEDY)


def load_checkpoint(path: Path, config: TrainConfig, parts: dict) -> list[dict]:
    """Put the saved state back into `parts`; returns the rows of the epochs that are done, none without a file.

    With a constant learning rate `config` may ask for more epochs than the run that was saved: its steps so far are
    the same. Under a schedule they are not. A scaler (fp16) that the saved run did not have starts afresh.

    Raises ValueError for a file that is damaged, not ours, of another format or of another configuration.
    """
    if not path.exists():
        return []
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        version, saved, history = state["format"], state["config"], state["history"]
        saved = asdict(TrainConfig(**BEFORE | json.loads(saved)))  # fields that are younger than the file are added
    except Exception as error:  # a damaged file fails in many ways; one answer fits them all
        fault = f"damaged, or not a checkpoint of this course ({type(error).__name__})"
        raise ValueError(f"{path}: {fault}; remove the folder and train again") from error
    if version != FORMAT:
        raise ValueError(f"{path}: checkpoint format {version}, this version reads {FORMAT}; take a new folder")
    longer = config.schedule == "constant" and config.epochs > saved["epochs"]
    for name, value in asdict(config).items():
        if saved[name] != value and not (name == "epochs" and longer):
            change = f"saved with {name}={saved[name]!r}, asked for {name}={value!r}"
            raise ValueError(f"{path}: {change}; resume with the same configuration, or take a new folder")
    for name, part in parts.items():
        if part is not None and name in state:
            part.load_state_dict(state[name])
        elif part is not None and name != "scaler":
            raise ValueError(f"{path}: damaged, it holds no {name}; remove the folder and train again")
    return history


def facts_of(accelerator) -> dict:
    """Where and by which code an epoch is trained: {name: value} of `FACTS`."""
    device, precision = device_name(accelerator.device), str(accelerator.mixed_precision)
    return dict(zip(FACTS, (device, precision, accelerator.num_processes, revision())))


def write_result(folder: Path, config: TrainConfig, history: list[dict], scores: pd.DataFrame, photos: dict) -> None:
    """`val_scores.csv` and `summary.json`: the run is finished. `photos` counts those of train and validation.

    Device, precision, processes and revision are those of all its epochs: a list where they changed on the way.
    `metrics.csv` is written again, since a run that was killed right before it would miss its last row.
    """
    write_metrics(folder, history)
    metrics = pd.DataFrame(history)
    best = int(metrics["val_dice"].idxmax())
    origin = {name: metrics[name].drop_duplicates().tolist() for name in FACTS if name in metrics}
    summary = {
        **{name: round(float(scores[name].mean()), 6) for name in ("dice", "iou", "boundary_f1")},
        "best_epoch": int(metrics["epoch"][best]),
        "chosen_on": "held-out part of train" if config.holdout else "validation",
        "minutes": round(float(metrics["seconds"].sum()) / 60, 2),
        "torch": torch.__version__,
        "dataset_digest": catalog.DATASETS[config.dataset].digest if config.dataset in catalog.DATASETS else "",
        "photos": photos,
        **{name: values[0] if len(values) == 1 else values for name, values in origin.items()},
    }
    write_text(folder / "val_scores.csv", scores.round(6).to_csv(lineterminator="\n"), **REMEDY)
    write_text(folder / "summary.json", json.dumps(summary, indent=2) + "\n", **REMEDY)


def read_result(folder: Path) -> pd.DataFrame | None:
    """`val_scores.csv` of a finished run, index `id`; None where the run is not finished."""
    if not all((folder / name).is_file() for name in RESULTS):
        return None
    return pd.read_csv(folder / "val_scores.csv", dtype={"id": str}).set_index("id")
