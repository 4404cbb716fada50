"""Photos and masks by number: `PortraitDataset`, and the batches that training takes from it."""

import copy
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from faceseg_utils.data import catalog
from faceseg_utils.data.cache import Kept
from faceseg_utils.data.layout import Item, list_items, metadata


class PortraitDataset:
    """Photos with masks: `photo, mask = dataset[i]`, uint8 [H, W, 3] and uint8 [H, W] with classes 0..K-1.

    Parameters
    ----------
    name : a dataset of the catalog ("sample", "picsart", "fasseg") or the path of a folder of one's own.
    split : "train", "val", "all" or, where there is one, "test" (no masks: they come as all 255, "not labelled").
    view : which classes to see, such as "person" or "parts"; None takes the dataset's first.
    transform : a `transforms.Pipeline`; None leaves arrays.
    seed : base of the seeds that `transform` gets; with `epoch` and the index it fixes every random choice.

    Photos are decoded once and kept, with a transform at the size that it fits them to. What all datasets together
    keep takes at most a quarter of the free memory; photos beyond that are decoded anew each time.
    `a + b` has the photos of both, `subset(numbers)` some of them.
    """

    def __init__(self, name="sample", split="train", view=None, transform=None, seed=0):
        self.info, self.root = catalog.find(name)
        view = self.info.default_view if view is None else view
        if view not in self.info.views:
            raise ValueError(f"dataset '{self.info.name}' has no view '{view}': it has {', '.join(self.info.views)}")
        self.view, self.split = self.info.views[view], split
        self.items = list_items(self.info, self.root, split, self.view)
        self.transform, self.seed, self.epoch = transform, seed, 0
        self._kept = Kept()

    def __len__(self) -> int:
        return len(self.items)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.view.classes

    @property
    def stems(self) -> list[str]:
        return [item.stem for item in self.items]

    @cached_property
    def table(self) -> pd.DataFrame:
        """What is known about each photo beside its pixels, in the order of the dataset (may have no columns)."""
        table = metadata(self.root)
        return table.reindex(self.stems) if len(table) else pd.DataFrame(index=pd.Index(self.stems, name="id"))

    @property
    def people(self) -> list[str]:
        """Whose portrait each photo is: column `seed` of the table, else every photo is a person of its own."""
        if "seed" not in self.table:
            return self.stems
        return [stem if pd.isna(who) else str(who) for stem, who in self.table["seed"].items()]

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo and mask number `index` at their native size, before any transform."""
        return self[index] if self.transform is None else self.items[index].read()

    def __getitem__(self, index: int):
        if not -len(self.items) <= index < len(self.items):
            raise IndexError(f"photo {index} of {len(self.items)}")
        index = int(index) % len(self.items)
        pair = self._pair(self.items[index])
        if self.transform is None:
            return pair
        # The seed names the photo and the epoch, not the order of calls: workers and resumed runs agree.
        seed = int(np.random.SeedSequence((self.seed, self.epoch, index)).generate_state(1)[0])
        return self.transform(*pair, seed)

    def _pair(self, item: Item) -> tuple[np.ndarray, np.ndarray]:
        """Photo and mask as they are kept."""
        if (pair := self._kept.pairs.get(item)) is None:
            pair = item.read() if self.transform is None else self.transform.fit(*item.read())
            self._kept.put(item, pair)
        return pair

    def decode(self) -> None:
        """Decode the photos that there is room for, once: processes that are forked later share them."""
        for item in self.items:
            self._pair(item)
            if item not in self._kept.pairs:  # no room is left
                return

    def __getitems__(self, cut: "Cut") -> tuple:
        """A whole batch, as torch's DataLoader asks for it: the fields of `Batch`."""
        x, y = zip(*(self[i] for i in cut.numbers))
        return torch.stack(x), torch.stack(y), [self.items[i].image.name for i in cut.numbers], cut.share

    def subset(self, numbers) -> "PortraitDataset":
        """The same dataset with only these photos, in this order; what is decoded is shared."""
        part = copy.copy(self)
        part.__dict__.pop("table", None)
        part.items = [self.items[i] for i in numbers]
        return part

    def with_transform(self, transform) -> "PortraitDataset":
        """The same photos through another transform (None: as arrays)."""
        part = copy.copy(self)
        part.transform, part._kept = transform, Kept()
        return part

    def __add__(self, other: "PortraitDataset") -> "PortraitDataset":
        """These photos and after them those of `other`; the transform is ours.

        Raises ValueError when the classes differ or a photo's name is in both.
        """
        if other.classes != self.classes:
            raise ValueError(f"classes differ: {', '.join(self.classes)} here, {', '.join(other.classes)} there")
        if both := sorted(set(self.stems) & set(other.stems)):
            raise ValueError(f"'{both[0]}' is a photo of both datasets: give those of {other.root} other names")
        joined = self.subset(range(len(self)))
        joined.items = [*self.items, *other.items]
        return joined


class Cut(NamedTuple):
    """Which photos make a batch, and what each photo's loss is multiplied by."""

    numbers: list[int]
    share: float


class Batch(NamedTuple):
    """What one training step learns from."""

    x: torch.Tensor  # float32 [B, 3, h, w]
    y: torch.Tensor  # int64 [B, h, w], 255 = does not count
    names: list[str]  # the files of the photos
    share: float  # each photo's share in the loss of its step
