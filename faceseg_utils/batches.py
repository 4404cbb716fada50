"""From photos to batches: which photos a run learns from, in which order, and which of them this process takes."""

import math

import numpy as np
import pandas as pd
import torch
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader, Dataset, Sampler

from faceseg_utils.catalog import IGNORE
from faceseg_utils.config import TrainConfig
from faceseg_utils.dataset import PortraitDataset, every_photo
from faceseg_utils.device import data_workers
from faceseg_utils.transforms import Pipeline


def datasets(config: TrainConfig) -> tuple[PortraitDataset, PortraitDataset, PortraitDataset]:
    """Train, monitor and validation photos of a run. Monitor chooses the best epoch; see `TrainConfig.holdout`.

    Raises ValueError where `extra` would teach a photo of monitor or validation.
    """
    padding = {"ignore": IGNORE, "background": 0}[config.padding]
    moving = Pipeline(config.size, *config.statistics, config.augment, padding)
    still = Pipeline(config.size, *config.statistics, padding=padding)
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
    learned = train.subset(kept[: config.limit or None])
    if config.extra:
        extra = every_photo(config.extra, config.view)
        if leaked := sorted(set(extra.stems) & {*val.stems, *monitor.stems}):
            raise ValueError(f"extra='{config.extra}' holds the photo '{leaked[0]}', which has to judge: remove it")
        learned = learned.joined(extra)
    return learned, monitor, val


def epoch_order(photos: int, seed: int, epoch: int) -> list[int]:
    """A new order of the photos every epoch, fixed by seed and epoch alone, so that a resumed run goes on with it."""
    return np.random.default_rng((seed, epoch)).permutation(photos).tolist()


class Batches(Sampler):
    """The photos of every batch that this process (`rank` of `ranks`) takes: each photo once, in one process.

    Batches are cut before they are shared out, so the processes together see what one alone would see.
    """

    def __init__(self, photos: int, config: TrainConfig, rank: int = 0, ranks: int = 1):
        self.photos, self.config, self.rank, self.ranks, self.epoch = photos, config, rank, ranks, 0

    def __len__(self):
        return math.ceil(self.photos / self.config.batch_size)

    def __iter__(self):
        order = epoch_order(self.photos, self.config.seed, self.epoch)
        for first in range(0, self.photos, self.config.batch_size):
            batch = order[first : first + self.config.batch_size]
            yield batch[self.rank :: self.ranks] or batch[:1]  # no photo left for this one: it takes one that weighs 0

    def weight(self, number: int) -> float:
        """What each loss in batch `number` is multiplied by, so that a step follows the mean over all its photos.

        accelerate divides by `accumulate`, and the processes are averaged: both are undone here, since the last
        batch of an epoch, and the last group of batches, may be smaller than the others.
        """
        size, group = self.config.batch_size, self.config.batch_size * self.config.accumulate
        if self.rank >= self.photos - number * size:
            return 0.0
        first = number * size // group * group  # the photo that this step began with
        return self.config.accumulate * self.ranks / min(group, self.photos - first)


class _WithIndex(Dataset):
    """Adds to image and mask the photo's number, so that an error can name its file."""

    def __init__(self, data: PortraitDataset):
        self.data = data

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        return *self.data[index], index


def new_loader(data: PortraitDataset, batches: Batches, device: torch.device) -> DataLoader:
    """float32 [B, 3, h, w], int64 [B, h, w], photo numbers int64 [B], on the device."""
    workers = data_workers(device, batches.ranks)
    for i in range(len(data)) if workers else ():
        data.read(i)  # decode now: what workers decode is lost with them at the end of the epoch
    loader = DataLoader(_WithIndex(data), batch_sampler=batches, num_workers=workers, pin_memory=workers > 0)
    return prepare_data_loader(loader, device, num_processes=1, process_index=0, put_on_device=True)
