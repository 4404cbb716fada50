"""Training: a configuration, one explicit loop, and the evaluation that every reported number comes from.

accelerate looks after devices, precision and processes; the loop itself is written out, to be read and taught.
"""

import contextlib
import copy
import io
import json
import os
import platform
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import DistributedDataParallelKwargs, gather_object
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader, Sampler
from tqdm.auto import tqdm

from faceseg_utils import catalog, dice
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.model import ModelCard, Segmenter, build_model, normalisation
from faceseg_utils.transforms import AUGMENTATIONS, Pipeline, unpad

CHECKPOINT_FORMAT = 1


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides how a run goes; saved as `config.json` with the run.

    `size` is (height, width) of the letterbox in pixels, `limit` takes only the first photos of train (0: all),
    `holdout` the share of train that is set aside to choose the best epoch (0: the validation photos choose, as in
    the report), `ema` the decay of the weight average (0: none), `clip` the largest gradient norm (0: no limit).
    `batch_size` is that of all processes together.
    """

    model: str = "lite0"
    pretrained: bool = True
    dataset: str = "sample"
    view: str = "person"
    size: tuple[int, int] = (256, 192)
    normalise: str = "encoder"  # the statistics of the pretrained encoder; "unit": pixels / 255, as in the report
    augment: str = "portrait"
    loss: str = "bce+dice"
    optimizer: str = "adamw"
    schedule: str = "one-cycle"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    batch_size: int = 8
    epochs: int = 4
    clip: float = 1.0
    ema: float = 0.0
    holdout: float = 0.1
    limit: int = 0
    seed: int = 0

    def __post_init__(self):
        object.__setattr__(self, "size", tuple(self.size))
        for name, choices in (
            ("loss", tuple(dice.LOSSES)),
            ("augment", AUGMENTATIONS),
            ("optimizer", ("adam", "adamw")),
            ("schedule", ("constant", "one-cycle")),
            ("normalise", ("encoder", "unit")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}='{getattr(self, name)}': choose one of {', '.join(choices)}")
        for name in ("batch_size", "epochs", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)}: must be above 0")


_REPORT = TrainConfig(
    pretrained=False, dataset="picsart", size=(320, 320), normalise="unit", augment="report", loss="bce",
    optimizer="adam", schedule="constant", learning_rate=1e-3, weight_decay=0.0, batch_size=4, epochs=150,
    clip=0.0, holdout=0.0,
)  # fmt: skip

PRESETS = {
    "quick": TrainConfig(size=(256, 192), epochs=4),
    "full": TrainConfig(dataset="picsart", size=(320, 256), epochs=20, ema=0.998),
    "report-default": replace(_REPORT, model="resnet34"),
    "report-unet11": replace(_REPORT, model="unet11"),
    "report-unet16": replace(_REPORT, model="unet16"),
    "report-batch8": replace(_REPORT, model="resnet34", batch_size=8, epochs=20),
    "report-tuned": replace(_REPORT, model="resnet34", batch_size=8, learning_rate=3e-4, epochs=100),
}


def seed_everything(seed: int) -> None:
    """One place for all random numbers of torch. Augmentation and order have their own, by photo and epoch."""
    torch.manual_seed(seed)


def has_bf16_units() -> bool:
    """Does this CPU multiply bfloat16 in matrix units (AMX)? Only there is bf16 faster than float32.

    With avx512_bf16 alone it was slower: 162 against 274 GFLOP/s for a 2048 x 2048 product on two such cores.
    """
    probe = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(probe and probe())


def mixed_precision(device: str | None = None) -> str:
    """What accelerate is asked for: "bf16" where the hardware has it, "fp16" on older GPUs, else "no"."""
    if device != "cpu" and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if has_bf16_units() else "no"


class EpochOrder(Sampler):
    """A new order of the photos every epoch, fixed by seed and epoch alone, so that a resumed run goes on with it."""

    def __init__(self, length: int, seed: int):
        self.length, self.seed, self.epoch = length, seed, 0

    def __len__(self):
        return self.length

    def __iter__(self):
        return iter(np.random.default_rng((self.seed, self.epoch)).permutation(self.length).tolist())


class _WithIndex(torch.utils.data.Dataset):
    """Adds to image and mask the photo's number, so that an error can name its file."""

    def __init__(self, data: PortraitDataset):
        self.data = data

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        return *self.data[index], index


def datasets(config: TrainConfig) -> tuple[PortraitDataset, PortraitDataset, PortraitDataset]:
    """Train, monitor and validation photos of a run. Monitor chooses the best epoch; see `TrainConfig.holdout`."""
    statistics = normalisation(config.model) if config.normalise == "encoder" else ((0.0,) * 3, (1.0,) * 3)
    moving = Pipeline(config.size, *statistics, augment=config.augment)
    still = Pipeline(config.size, *statistics)
    train = PortraitDataset(config.dataset, "train", config.view, moving, config.seed)
    val = PortraitDataset(config.dataset, "val", config.view, still)
    # Photos of one person (in the sample: of one seed) stay together, and the draw is the same for every run.
    people = pd.Series(train.table["seed"].to_numpy() if "seed" in train.table else train.stems)
    count = max(1, round(config.holdout * people.nunique())) if config.holdout else 0
    held = np.flatnonzero(people.isin(np.random.default_rng(0).permutation(people.unique())[:count]))
    monitor = val
    if len(held):
        monitor = train.subset(held)
        monitor.transform = still
    kept = sorted(set(range(len(train))) - set(held.tolist()))
    return train.subset(kept[: config.limit or None]), monitor, val


def new_segmenter(config: TrainConfig, classes: tuple[str, ...]) -> Segmenter:
    """An untrained network for these classes, with the card that its configuration implies."""
    statistics = normalisation(config.model) if config.normalise == "encoder" else ((0.0,) * 3, (1.0,) * 3)
    card = ModelCard(config.model, tuple(classes), config.size, *statistics)
    seed_everything(config.seed)
    return Segmenter(build_model(config.model, card.channels, config.pretrained), card)


def build_optimizer(config: TrainConfig, network: torch.nn.Module, steps: int):
    """The optimizer and its schedule over `steps` steps: (optimizer, schedule), the schedule stepped every step."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    optimizer = kind(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    if config.schedule == "constant":
        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    steps = max(steps, 10)  # fewer leave no room to rise and fall in (and torch divides by zero)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=steps, pct_start=0.2)
    return optimizer, schedule


def new_accelerator(device: str | None = None) -> Accelerator:
    """Device, precision and processes as accelerate sees them; every batch is split over the processes."""
    return Accelerator(
        cpu=device == "cpu",
        mixed_precision=mixed_precision(device),
        dataloader_config=DataLoaderConfiguration(split_batches=True),
        # The encoders of smp carry layers for classification that a U-Net never calls.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


def average_of_weights(network: torch.nn.Module, decay: float) -> AveragedModel:
    """Exponential moving average of weights and statistics; it forgets faster in the first steps."""

    def average(mean, new, count):
        keep = min(decay, (1 + int(count)) / (10 + int(count)))
        return torch.lerp(new, mean, keep) if mean.is_floating_point() else new

    return AveragedModel(network, avg_fn=average, use_buffers=True)


@torch.no_grad()
def batch_dice(logits: torch.Tensor, y: torch.Tensor) -> float:
    """Mean hard Dice of a batch at the network's size: logits [B, C, h, w], classes y [B, h, w]."""
    prediction = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(1)
    return float(dice.dice_score(prediction.long().cpu(), y.cpu(), max(2, logits.shape[1])).mean())


def evaluate(segmenter: Segmenter, data: PortraitDataset, batch_size: int = 16, loss=None) -> pd.DataFrame:
    """Scores of every photo at its native resolution: a row a photo with dice, iou, boundary_f1 (means over classes).

    The network runs in eval mode and float32, so the numbers do not depend on batch size or precision of training.
    `data` must carry the segmenter's letterbox as transform. With `loss`, a column with it (at the network's size).
    `report_dice` is the report's own formula on the padded square, by batch, for comparison with its log only.
    """
    if not len(data):
        raise ValueError("no photos to evaluate: the dataset is empty (or there are more processes than photos)")
    device = next(segmenter.network.parameters()).device
    segmenter.network.eval()
    classes, rows = len(segmenter.classes), []
    for first in range(0, len(data), batch_size):
        batch = range(first, min(first + batch_size, len(data)))
        x, y = (torch.stack(part).to(device) for part in zip(*(data[i] for i in batch), strict=True))
        with torch.inference_mode():
            logits = segmenter.network(x.to(memory_format=torch.channels_last)).float()  # [B, C, h, w]
        padded = dice.report_dice(logits, y) if logits.shape[1] == 1 else float("nan")
        for k, i in enumerate(batch):
            _, mask = data.read(i)  # [H, W]
            full = unpad(logits[k : k + 1], mask.shape)[0]  # [C, H, W]
            prediction = (full[0] > 0 if len(full) == 1 else full.argmax(0)).cpu().numpy().astype(np.uint8)
            row = {
                "id": data.stems[i],
                "dice": dice.dice_score(prediction, mask, classes).mean(),
                "iou": dice.iou_score(prediction, mask, classes).mean(),
                "boundary_f1": dice.boundary_f1(prediction, mask, classes).mean(),
                "report_dice": padded,
            }
            if loss is not None:
                row["loss"] = loss(logits[k : k + 1], y[k : k + 1]).item()
            rows.append(row)
    return pd.DataFrame(rows).set_index("id")


@dataclass(frozen=True)
class Trained:
    """What `train` returns: the best network, a row an epoch, a row a validation photo, and where it all lies."""

    segmenter: Segmenter
    metrics: pd.DataFrame
    val_scores: pd.DataFrame
    folder: Path

    @property
    def dice(self) -> float:
        """The score of record: per-image hard Dice at native resolution, mean over the validation photos."""
        return float(self.val_scores["dice"].mean())


def train(config: TrainConfig, folder: str | Path, resume: bool = False, device: str | None = None) -> Trained:
    """Train as `config` says and write the run into `folder` as it goes.

    The folder gets config.json, metrics.csv (a row an epoch), last.pt (everything to go on with), model/ (the best
    epoch's weights), and at the end val_scores.csv and summary.json. A run that was killed goes on with
    `resume=True` from its last whole epoch and ends with the same weights as one that was never killed.

    Raises
    ------
    FileExistsError
        The folder holds a run already and `resume` is False.
    ValueError
        `resume` with another configuration, or a checkpoint that is damaged or not ours.
    FloatingPointError
        The loss is NaN or infinite (names the batch's files).
    """
    folder = Path(folder)
    if (folder / "config.json").exists() and not resume:
        raise FileExistsError(f"{folder} holds a run already: resume=True goes on with it, or choose another folder")
    accelerator = new_accelerator(device)
    train_data, monitor_data, val_data = datasets(config)
    rank, ranks = accelerator.process_index, accelerator.num_processes
    monitor_data, val_data = (data.subset(range(rank, len(data), ranks)) for data in (monitor_data, val_data))
    best = new_segmenter(config, train_data.classes)
    network = copy.deepcopy(best.network).to(memory_format=torch.channels_last)
    average = average_of_weights(network, config.ema) if config.ema else None

    order = EpochOrder(len(train_data), config.seed)
    loader = DataLoader(_WithIndex(train_data), batch_size=config.batch_size, sampler=order)
    optimizer, schedule = build_optimizer(config, network, config.epochs * len(loader))
    model, optimizer, loader, schedule = accelerator.prepare(network, optimizer, loader, schedule)
    best.network.to(accelerator.device)
    if average is not None:
        average.to(accelerator.device)

    parts = {"model": accelerator.unwrap_model(model), "optimizer": optimizer, "schedule": schedule}
    parts |= {"average": average, "scaler": accelerator.scaler}  # None where there is none
    history = _load_checkpoint(folder / "last.pt", config, parts) if resume and (folder / "last.pt").exists() else []
    if accelerator.is_main_process:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "config.json", json.dumps(asdict(config), indent=2) + "\n")

    for epoch in range(len(history), config.epochs):
        started = time.perf_counter()
        order.epoch = train_data.epoch = epoch
        seed_everything(config.seed + epoch)
        loss, train_dice = _train_epoch(accelerator, model, optimizer, schedule, loader, config, average, epoch)

        source = average.module if average is not None else accelerator.unwrap_model(model)
        best.network.load_state_dict(source.state_dict())
        scores = _evaluate_together(accelerator, best, monitor_data, config)
        row = {
            "epoch": epoch,
            "learning_rate": optimizer.param_groups[0]["lr"],
            "train_loss": loss,
            "train_dice": train_dice,
            **{f"val_{name}": float(scores[name].mean()) for name in scores},
            "seconds": round(time.perf_counter() - started, 1),
        }
        history.append(row)
        if accelerator.is_main_process:
            _write_epoch(folder, history, best, config, parts)
            _report_epoch(history, config)

    accelerator.wait_for_everyone()
    best = Segmenter.load(folder / "model")
    best.network.to(accelerator.device)
    val_scores = _evaluate_together(accelerator, best, val_data, config)
    metrics = pd.DataFrame(history)
    if accelerator.is_main_process:
        write_whole(folder / "val_scores.csv", val_scores.round(6).to_csv())
        summary = _summary(config, metrics, val_scores, accelerator, len(train_data))
        write_whole(folder / "summary.json", json.dumps(summary, indent=2) + "\n")
    return Trained(best, metrics, val_scores, folder)


def _train_epoch(accelerator, model, optimizer, schedule, loader, config, average, epoch) -> tuple[float, float]:
    """One pass over the training photos: (mean loss, mean hard Dice at the network's size, as seen while learning)."""
    model.train()
    losses, scores = [], []
    bar = tqdm(loader, desc=f"epoch {epoch + 1}/{config.epochs}", leave=False, disable=not accelerator.is_main_process)
    for x, y, index in bar:  # float32 [B, 3, h, w], int64 [B, h, w], int64 [B]
        try:
            logits = model(x.to(memory_format=torch.channels_last))  # [B, C, h, w]
            loss = dice.LOSSES[config.loss](logits.float(), y)
            if not torch.isfinite(loss):
                files = ", ".join(loader.dataset.data.items[i].image.name for i in index.tolist())
                raise FloatingPointError(
                    f"the loss is {loss.item()} in epoch {epoch + 1} on the photos {files}: "
                    "lower the learning rate, set clip=1, or look at these files"
                )
            optimizer.zero_grad()
            accelerator.backward(loss)
            if config.clip:
                accelerator.clip_grad_norm_(model.parameters(), config.clip)
            optimizer.step()
            schedule.step()
        except torch.cuda.OutOfMemoryError:
            raise RuntimeError(
                f"out of GPU memory with batch {config.batch_size} at {config.size}: "
                f"try batch_size={max(1, config.batch_size // 2)} or a smaller size; a kernel restart frees the rest"
            ) from None
        if average is not None:
            average.update_parameters(accelerator.unwrap_model(model))
        losses.append(loss.item())
        scores.append(batch_dice(logits, y))
        bar.set_postfix(loss=f"{np.mean(losses[-20:]):.3f}", dice=f"{np.mean(scores[-20:]):.3f}")
    per_rank = gather_object([(float(np.mean(losses)), float(np.mean(scores)))])
    return tuple(float(np.mean(column)) for column in zip(*per_rank, strict=True))


def _evaluate_together(accelerator, segmenter, mine, config) -> pd.DataFrame:
    """`evaluate` of this process's own photos, then the tables of all processes as one: each photo counts once."""
    scores = evaluate(segmenter, mine, batch_size=8, loss=dice.LOSSES[config.loss])
    return pd.concat(gather_object([scores])).sort_index()


def _write_epoch(folder, history, segmenter, config, parts) -> None:
    """The best weights, then the checkpoint, then the table: whenever the run is killed, resume finds a whole state."""
    if history[-1]["val_dice"] > max((row["val_dice"] for row in history[:-1]), default=-1.0):
        fresh = folder / "model.new"
        segmenter.save(fresh)
        (folder / "model").mkdir(exist_ok=True)
        for file in fresh.iterdir():
            os.replace(file, folder / "model" / file.name)
        shutil.rmtree(fresh)
    state = {name: part.state_dict() for name, part in parts.items() if part is not None}
    state |= {"format": CHECKPOINT_FORMAT, "config": json.dumps(asdict(config)), "history": history}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_whole(folder / "last.pt", buffer.getvalue())
    write_whole(folder / "metrics.csv", pd.DataFrame(history).to_csv(index=False, float_format="%.6f"))


def _load_checkpoint(path: Path, config: TrainConfig, parts: dict) -> list[dict]:
    """Put the saved state back into `parts`; returns the rows of the epochs that are done."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        version, saved, history = state["format"], json.loads(state["config"]), state["history"]
    except Exception as error:  # a damaged file fails in many ways; one answer fits them all
        raise ValueError(
            f"{path}: damaged, or not a checkpoint of this course ({type(error).__name__}); "
            "remove the folder and train again"
        ) from error
    if version != CHECKPOINT_FORMAT:
        raise ValueError(f"{path}: checkpoint format {version}, this version of the course reads {CHECKPOINT_FORMAT}")
    now = json.loads(json.dumps(asdict(config)))
    for name in now:
        if saved.get(name) != now[name]:
            raise ValueError(
                f"{path}: saved with {name}={saved.get(name)!r}, asked for {name}={now[name]!r}; "
                "resume with the same configuration, or take a new folder"
            )
    for name, part in parts.items():
        if part is not None:
            part.load_state_dict(state[name])
    return history


# --- Guard rails: minutes that save hours ----------------------------------------------------------------------


def overfit_one_batch(config: TrainConfig, steps: int = 40, device: str | None = None) -> pd.DataFrame:
    """Learn one batch by heart, without augmentation: a row a step with learning_rate, loss and dice.

    A sound set-up comes close to Dice 1. One that does not has a fault in its masks, its loss or its learning rate,
    and a long run would only hide it.
    """
    config = replace(config, augment="none")
    one_batch = [range(config.batch_size)] * steps
    return _short_run(config, one_batch, [config.learning_rate] * steps, device)


def lr_range_test(
    config: TrainConfig, lowest: float = 1e-6, highest: float = 1.0, steps: int = 50, device: str | None = None
) -> pd.DataFrame:
    """Raise the learning rate a little every step and watch the loss (Smith 2017): learning_rate, loss and dice.

    Ends early where the loss has run away: above four times its smallest value, or no number any more.
    """
    order = iter(EpochOrder(steps * config.batch_size, config.seed))
    batches = [[next(order) for _ in range(config.batch_size)] for _ in range(steps)]
    return _short_run(config, batches, np.geomspace(lowest, highest, steps), device, stop=4.0)


def _short_run(config, batches, rates, device=None, stop=float("inf")) -> pd.DataFrame:
    """Some steps of a new network on these batches (photo numbers, counted round) at these learning rates."""
    accelerator = new_accelerator(device)
    train_data, _, _ = datasets(config)
    network = new_segmenter(config, train_data.classes).network
    optimizer, _ = build_optimizer(replace(config, schedule="constant"), network, len(rates))
    model, optimizer = accelerator.prepare(network, optimizer)
    model.train()
    rows = []
    for batch, rate in zip(batches, rates, strict=True):
        optimizer.param_groups[0]["lr"] = float(rate)
        x, y = (torch.stack(part) for part in zip(*(train_data[i % len(train_data)] for i in batch), strict=True))
        x, y = x.to(accelerator.device), y.to(accelerator.device)
        logits = model(x)
        loss = dice.LOSSES[config.loss](logits.float(), y)
        optimizer.zero_grad()
        accelerator.backward(loss)
        if config.clip:
            accelerator.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        rows.append({"learning_rate": float(rate), "loss": loss.item(), "dice": batch_dice(logits, y)})
        if not loss.item() <= stop * min(row["loss"] for row in rows):  # true for NaN too
            break
    return pd.DataFrame(rows)


# --- Files and words ------------------------------------------------------------------------------------------


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it is there whole or not at all: first beside its place, then renamed into it."""
    path = Path(path)
    fresh = path.with_name(path.name + ".new")
    try:
        with open(fresh, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        fresh.unlink(missing_ok=True)
        reason = error.strerror or error
        raise OSError(f"{path}: could not be written ({reason}); free some space, then go on with resume") from error
    os.replace(fresh, path)


def _report_epoch(history: list[dict], config: TrainConfig) -> None:
    row, left = history[-1], config.epochs - len(history)
    ahead = f", about {left * row['seconds'] / 60:.0f} min to go" if left and row["seconds"] * left > 60 else ""
    print(
        f"epoch {row['epoch'] + 1:3d}  train loss {row['train_loss']:.3f} Dice {row['train_dice']:.3f}   "
        f"monitor loss {row['val_loss']:.3f} Dice {row['val_dice']:.4f}   {row['seconds']:.0f} s{ahead}"
    )


def _summary(config, metrics, val_scores, accelerator, photos) -> dict:
    best = int(metrics["val_dice"].idxmax())
    return {
        "dice": round(float(val_scores["dice"].mean()), 6),
        "iou": round(float(val_scores["iou"].mean()), 6),
        "boundary_f1": round(float(val_scores["boundary_f1"].mean()), 6),
        "report_dice": round(float(val_scores["report_dice"].mean()), 6),
        "best_epoch": int(metrics["epoch"][best]),
        "chosen_on": "held-out part of train" if config.holdout else "validation",
        "photos": {"train": photos, "val": len(val_scores)},
        "minutes": round(float(metrics["seconds"].sum()) / 60, 2),
        "device": device_name(accelerator.device),
        "precision": str(accelerator.mixed_precision),
        "processes": accelerator.num_processes,
        "torch": torch.__version__,
        "revision": revision(),
        "dataset_digest": catalog.DATASETS[config.dataset].digest if config.dataset in catalog.DATASETS else "",
    }


def device_name(device=None) -> str:
    """The device in words, such as "NVIDIA T4" or "CPU (2 threads)"."""
    kind = str(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if kind.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"CPU ({torch.get_num_threads()} threads, {platform.machine()})" if kind == "cpu" else kind


def revision() -> str:
    """The commit of the course that is running, with "+" when files were changed; "unknown" outside of git."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        here = {"cwd": catalog.course_root(), "capture_output": True, "text": True, "check": True}
        commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], **here).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "--untracked-files=no"], **here).stdout.strip()
        return commit + ("+" if changed else "")
    return "unknown"
