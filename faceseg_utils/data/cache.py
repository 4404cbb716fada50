"""Decoded photos that stay in memory, and how much memory they may take."""

import contextlib
import re
import weakref
from pathlib import Path

import numpy as np

from faceseg_utils.data.layout import Item


class Kept:
    """Decoded photos and masks by item: the first ones that fit into `limit` bytes, and no others.

    Over epochs in ever new orders that saves more decoding than dropping the oldest would. Without a limit, all
    caches of the process together take at most a quarter of the memory that would be free without them, which is
    asked for at every hundredth photo.
    """

    _filled: "weakref.WeakSet[Kept]" = weakref.WeakSet()

    def __init__(self, limit: int | None = None):
        self.limit, self.bytes, self.offered, self.quarter = limit, 0, 0, 0
        self.pairs: dict[Item, tuple[np.ndarray, np.ndarray]] = {}

    def put(self, item: Item, pair: tuple[np.ndarray, np.ndarray]) -> None:
        size, taken, limit = sum(array.nbytes for array in pair), self.bytes, self.limit
        if limit is None:
            taken = sum(kept.bytes for kept in Kept._filled)
            if self.offered % 100 == 0:
                self.quarter = (free_memory() + taken) // 4
            self.offered, limit = self.offered + 1, self.quarter
        if taken + size <= limit:
            self.bytes += size
            self.pairs[item] = pair
            Kept._filled.add(self)


def free_memory() -> int:
    """Bytes that programs may still take: what Linux says of the machine or the container, elsewhere 4 GB."""
    found = []
    for file, pattern, unit in (
        ("/proc/meminfo", r"MemAvailable: *(\d+)", 1024),
        ("/sys/fs/cgroup/memory.max", r"^(\d+)", 1),  # of the container ("max": no limit)
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", r"^(\d+)", 1),
    ):
        with contextlib.suppress(OSError, TypeError):  # no such file; nothing found in it
            found.append(int(re.search(pattern, Path(file).read_text(encoding="ascii"))[1]) * unit)
    return min(found, default=4 * 1024**3)
