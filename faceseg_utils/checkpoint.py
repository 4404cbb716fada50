"""The files that a run leaves in its folder, written so that whoever kills it finds a whole state to go on from."""

import contextlib
import functools
import io
import json
import os
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError

from faceseg_utils import catalog
from faceseg_utils.config import TrainConfig
from faceseg_utils.device import device_name
from faceseg_utils.model import Segmenter

FORMAT = 1
RESULTS = ("val_scores.csv", "summary.json")  # written last: a folder that holds them is a finished run


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it is there whole or not at all: first beside its place, then renamed into it."""
    path = Path(path)
    fresh = path.with_name(path.name + ".new")
    with _room_for(path, fresh):
        with open(fresh, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
    os.replace(fresh, path)


@contextlib.contextmanager
def _room_for(path: Path, fresh: Path):
    """Turns a failed write into one line that says what to do, and removes what was half written."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        shutil.rmtree(fresh) if fresh.is_dir() else fresh.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or error
        raise OSError(f"{path}: could not be written ({reason}); free some space, then go on with resume") from error


def write_config(folder: Path, config: TrainConfig) -> None:
    """`config.json`: what was asked for. The results of a run that now goes on are removed: they are not its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in RESULTS:
        (folder / name).unlink(missing_ok=True)
    write_whole(folder / "config.json", json.dumps(asdict(config), indent=2) + "\n")


def write_epoch(folder: Path, history: list[dict], segmenter: Segmenter, config: TrainConfig, parts: dict) -> None:
    """The best weights, then the checkpoint, then the table: whenever the run is killed, resume finds a whole state."""
    if history[-1]["val_dice"] > max((row["val_dice"] for row in history[:-1]), default=-1.0):
        fresh = folder / "model.new"
        with _room_for(folder / "model", fresh):
            segmenter.save(fresh)
        (folder / "model").mkdir(exist_ok=True)
        for file in fresh.iterdir():
            os.replace(file, folder / "model" / file.name)
        shutil.rmtree(fresh)
    state = {name: part.state_dict() for name, part in parts.items() if part is not None}
    state |= {"format": FORMAT, "config": json.dumps(asdict(config)), "history": history}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_whole(folder / "last.pt", buffer.getvalue())
    write_metrics(folder, history)


def write_metrics(folder: Path, history: list[dict]) -> None:
    """`metrics.csv`: a row an epoch."""
    write_whole(folder / "metrics.csv", pd.DataFrame(history).to_csv(index=False, float_format="%.6f"))


def load_checkpoint(path: Path, config: TrainConfig, parts: dict) -> list[dict]:
    """Put the saved state back into `parts`; returns the rows of the epochs that are done.

    With a constant learning rate `config` may ask for more epochs than the run that was saved: its steps so far are
    the same. Under a schedule they are not.

    Raises ValueError for a file that is damaged, not ours, of another format or of another configuration.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        version, saved, history = state["format"], state["config"], state["history"]
        saved = asdict(TrainConfig(**json.loads(saved)))  # fields that are younger than the file get their defaults
    except Exception as error:  # a damaged file fails in many ways; one answer fits them all
        raise ValueError(
            f"{path}: damaged, or not a checkpoint of this course ({type(error).__name__}); "
            "remove the folder and train again"
        ) from error
    if version != FORMAT:
        raise ValueError(f"{path}: checkpoint format {version}, this version of the course reads {FORMAT}")
    longer = config.schedule == "constant" and config.epochs > saved["epochs"]
    for name, value in asdict(config).items():
        if saved[name] != value and not (name == "epochs" and longer):
            raise ValueError(
                f"{path}: saved with {name}={saved[name]!r}, asked for {name}={value!r}; "
                "resume with the same configuration, or take a new folder"
            )
    for name, part in parts.items():
        if part is not None:
            part.load_state_dict(state[name])
    return history


def write_result(folder: Path, config: TrainConfig, history: list[dict], val_scores: pd.DataFrame, **facts) -> None:
    """`val_scores.csv` and `summary.json`: the run is finished. `facts` are further entries of the summary."""
    metrics = pd.DataFrame(history)
    best = int(metrics["val_dice"].idxmax())
    means = {name: round(float(val_scores[name].mean()), 6) for name in ("dice", "iou", "boundary_f1", "report_dice")}
    summary = {
        **means,
        "best_epoch": int(metrics["epoch"][best]),
        "chosen_on": "held-out part of train" if config.holdout else "validation",
        "minutes": round(float(metrics["seconds"].sum()) / 60, 2),
        "torch": torch.__version__,
        "revision": revision(),
        "dataset_digest": catalog.DATASETS[config.dataset].digest if config.dataset in catalog.DATASETS else "",
        **facts,
    }
    write_whole(folder / "val_scores.csv", val_scores.round(6).to_csv())
    write_whole(folder / "summary.json", json.dumps(summary, indent=2) + "\n")


def facts_of(accelerator) -> dict:
    """Where a run took place, for its summary."""
    return {
        "device": device_name(accelerator.device),
        "precision": str(accelerator.mixed_precision),
        "processes": accelerator.num_processes,
    }


@functools.cache
def revision() -> str:
    """The commit of the code that is running, with "+" when the package was changed since; "unknown" outside of git.

    Asked once a process, and by `train` before it begins: the files may change while a long run goes on.
    """
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        here = {"cwd": catalog.course_root(), "capture_output": True, "text": True, "check": True}
        commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], **here).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "--", "faceseg_utils"], **here).stdout.strip()
        return commit + ("+" if changed else "")
    return "unknown"
