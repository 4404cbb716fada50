"""From photos to batches: which photos a run learns from, in which order, and which of them this process takes."""

import math
import warnings

import numpy as np
import pandas as pd
import torch
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader

from faceseg_utils.config import TrainConfig
from faceseg_utils.data.catalog import IGNORE
from faceseg_utils.dataset import Batch, Cut, PortraitDataset
from faceseg_utils.engine.device import data_workers
from faceseg_utils.network.encoders import normalisation
from faceseg_utils.transforms import Pipeline


def statistics(config: TrainConfig) -> tuple[tuple, tuple]:
    """(mean, std) that the photos of a run are normalised with, on the 0..1 scale."""
    return normalisation(config.model) if config.normalise == "encoder" else ((0.0,) * 3, (1.0,) * 3)


def datasets(config: TrainConfig) -> tuple[PortraitDataset, PortraitDataset, PortraitDataset]:
    """Train, monitor and validation photos of a run. Monitor chooses the best epoch; see `TrainConfig.holdout`.

    Train carries the run's pipeline, the other two come as arrays for `evaluate`. Raises ValueError where no photo is
    left to learn from, or where `extra` would teach a photo of monitor, validation or exam.
    """
    padding = {"ignore": IGNORE, "background": 0}[config.padding]
    pipeline = Pipeline(config.size, *statistics(config), config.augment, padding)
    val = PortraitDataset(config.dataset, "val", config.view)
    split = config.train_on if config.train_on in val.info.splits else "train"  # most datasets have no exam
    train = PortraitDataset(config.dataset, split, config.view, pipeline, config.seed)
    held = held_out(train.people, config.holdout)
    monitor = train.subset(held).with_transform(None) if held else val
    kept = sorted(set(range(len(train))) - set(held))
    if not kept:
        held_all = f"{len(train)} for training, and all of them are held out to choose the best epoch"
        raise ValueError(f"too few photos in '{config.dataset}': {held_all}; add photos, or set holdout=0")
    learned = train.subset(kept[: config.limit or None])
    for name in filter(None, config.extra.split(" + ")):
        extra = PortraitDataset(name, "all", config.view)
        judges = {*val.stems, *monitor.stems, *val.info.exam}
        if leaked := sorted(set(extra.stems) & judges):
            raise ValueError(f"extra='{name}' holds the photo '{leaked[0]}', which has to judge: remove it")
        learned = learned + extra
    if len(learned.classes) > 2:
        warn_of_unseen(learned)
    return learned, monitor, val


def held_out(people: list[str], share: float) -> list[int]:
    """Numbers of the photos that are held out: a share of the people, with all their photos; the same in every run."""
    everyone = list(dict.fromkeys(people))
    count = max(1, round(share * len(everyone))) if share else 0
    chosen = {everyone[i] for i in np.random.default_rng(0).permutation(len(everyone))[:count]}
    return np.flatnonzero(pd.Series(people).isin(chosen)).tolist()


def folds(people: list[str], count: int = 5) -> list[tuple[list[int], list[int]]]:
    """Cross-validation: `count` pairs (numbers of the photos to learn from, of those that judge), each judging once.

    Every `count`-th person judges, with all their photos. Those to learn from begin with the next fold, so that the
    first few of them are other photos in every fold.
    """
    everyone = list(dict.fromkeys(people))
    if len(everyone) < count:
        raise ValueError(f"{len(everyone)} people for {count} folds: take at most {len(everyone)}")
    parts = [np.flatnonzero(pd.Series(people).isin(everyone[k::count])).tolist() for k in range(count)]
    return [(sum(parts[k + 1 :] + parts[:k], []), parts[k]) for k in range(count)]


def warn_of_unseen(photos: PortraitDataset) -> None:
    """A warning that names the classes of a dataset that none of these photos shows: nobody can learn them here."""
    seen = set().union(*(np.unique(photos.read(i)[1]).tolist() for i in range(len(photos))))
    if absent := [name for c, name in enumerate(photos.classes) if c not in seen]:
        warnings.warn(f"no photo to learn from shows {', '.join(absent)}: the model cannot learn it", stacklevel=3)


def epoch_order(photos: int, seed: int, epoch: int) -> list[int]:
    """A new order of the photos every epoch, fixed by seed and epoch alone, so that a resumed run goes on with it."""
    return np.random.default_rng((seed, epoch)).permutation(photos).tolist()


def cuts(photos: int, config: TrainConfig, epoch: int = 0, rank: int = 0, ranks: int = 1) -> list[Cut]:
    """The batches of one epoch that this process (`rank` of `ranks`) takes: each photo once, in one process.

    Batches are cut before they are shared out, so the processes together see what one alone would see.
    """
    order, size = epoch_order(photos, config.seed, epoch), config.batch_size
    step, found = size * config.accumulate, []
    for first in range(0, photos, size):
        batch = order[first : first + size]
        in_step = min(step, photos - first // step * step)  # photos in this step of the optimizer
        # 1 / in_step would be the mean. accelerate divides by `accumulate` and averages processes: undo both.
        share = config.accumulate * ranks / in_step
        mine = batch[rank::ranks]
        found.append(Cut(mine, share) if mine else Cut(batch[:1], 0.0))  # no photo left: one that counts for nothing
    return found


def steps_per_epoch(photos: int, config: TrainConfig) -> int:
    """Steps of the optimizer in one epoch."""
    return math.ceil(math.ceil(photos / config.batch_size) / config.accumulate)


def new_loader(photos: PortraitDataset, batches: list[Cut], device: torch.device, ranks: int = 1) -> DataLoader:
    """Yields a `Batch` on the device for each cut."""
    workers = data_workers(device, ranks)
    if workers:
        photos.decode()  # what workers decode is lost with them at the end of the epoch
    pin = device.type == "cuda"
    loader = DataLoader(photos, batch_sampler=batches, collate_fn=Batch._make, num_workers=workers, pin_memory=pin)
    return prepare_data_loader(loader, device, num_processes=1, process_index=0, put_on_device=True)
