"""Data detective: a copy of the training portraits in which faults are planted, to be found with one's own tools.

case = plant(portraits, others, seed=7)     # case[i] gives photo and mask, some of them wrong
case.report(accused)                        # one word per portrait: a kind of fault, or "" for none
"""

from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd
from scipy import ndimage

KINDS = ("swapped", "shifted", "eroded", "mirrored", "wrong class", "leaked")
Portrait = tuple[np.ndarray, np.ndarray]  # photo uint8 [H, W, 3] and mask uint8 [H, W], 0 or 1


class Case:
    """Portraits of which some carry a fault; which ones, `report` alone can tell."""

    def __init__(self, portraits: list[Portrait], faults: dict[int, str]):
        self.portraits, self._faults = portraits, faults

    def __len__(self) -> int:
        return len(self.portraits)

    def __getitem__(self, i: int) -> Portrait:
        return self.portraits[i]

    def report(self, accused: Sequence[str]) -> pd.DataFrame:
        """One row per kind: how many were planted, accused and found; precision, found of accused; recall, found of
        planted. A precision without an accusation is NaN.

        `accused` has one word per portrait. Raises ValueError for another length, or a word that is no kind.
        """
        if len(accused) != len(self) or (strange := set(accused) - {"", *KINDS}):
            wrong = f"{len(accused)} words" if len(accused) != len(self) else f"'{strange.pop()}' among them"
            raise ValueError(f"{wrong}: expected {len(self)}, each '' or one of {', '.join(KINDS)}")
        said, true = np.array(accused), np.array([self._faults.get(i, "") for i in range(len(self))])
        counts = [
            ((true == kind).sum(), (said == kind).sum(), ((true == kind) & (said == kind)).sum()) for kind in KINDS
        ]
        table = pd.DataFrame(counts, pd.Index(KINDS, name="kind"), ["planted", "accused", "found"])
        return table.assign(precision=table["found"] / table["accused"], recall=table["found"] / table["planted"])


def plant(portraits: Sequence[Portrait], others: Sequence[Portrait], seed: int, each: int = 8) -> Case:
    """A copy of `portraits` in which `each` of them carry a fault of each kind, chosen by `seed`.

    swapped: two exchange their masks. shifted: the mask moved by 3 to 8 px in rows and in columns. eroded: 2 to 5 px
    taken off along its border. mirrored: the mask alone. wrong class: person and background exchanged. leaked: one of
    `others` in this one's place, its photo brighter, mirrored, cropped, or smaller and enlarged again. The originals
    stay as they are. Raises ValueError for an odd `each`, or too few portraits of one size.
    """
    needed = len(KINDS) * each
    if each % 2 or len(portraits) < needed or len(others) < each:
        raise ValueError(f"{each} faults of each kind: an even number, {needed} portraits and {each} others are needed")
    if len({mask.shape for _, mask in portraits}) > 1:
        raise ValueError("portraits of several sizes: bring them to one size first, or masks cannot be swapped")
    random = np.random.default_rng(seed)
    chosen = random.permutation(len(portraits))[:needed].reshape(len(KINDS), each)
    faults = {int(i): kind for kind, group in zip(KINDS, chosen) for i in group}
    copy = list(portraits)
    for i, partner in zip(chosen[0], np.roll(chosen[0].reshape(-1, 2), 1, axis=1).ravel()):
        copy[i] = portraits[i][0], portraits[partner][1]
    for i, other in zip(chosen[-1], random.permutation(len(others))):
        copy[i] = others[other]
    for number, (i, kind) in enumerate(faults.items()):
        if kind in SPOIL:
            copy[i] = SPOIL[kind](*copy[i], random, number)
    return Case(copy, faults)


def move(mask: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The mask moved down by `rows` and right by `columns`; what comes in repeats the rim: shoulders stay cut off."""
    reach = max(abs(rows), abs(columns))
    beyond = np.pad(mask, reach, "edge")
    return beyond[reach - rows :, reach - columns :][: mask.shape[0], : mask.shape[1]]


def _shift(photo, mask, random, _):
    rows, columns = random.integers(3, 9, 2) * random.choice([-1, 1], 2)
    return photo, move(mask, rows, columns)


def _erode(photo, mask, random, _):  # the frame of the photo is no border
    return photo, ndimage.binary_erosion(mask, iterations=random.integers(2, 6), border_value=1).astype(np.uint8)


def _upload(photo, mask, random, number):
    """The portrait as it comes back when somebody uploads it again, in one of four ways."""
    height, width = mask.shape
    if number % 4 == 0:
        return np.clip(photo * 1.25, 0, 255).astype(np.uint8), mask
    if number % 4 == 1:
        return photo[:, ::-1], mask[:, ::-1]
    if number % 4 == 2:
        part = np.s_[height // 20 : -height // 20, width // 20 : -width // 20]
        photo, mask = cv2.resize(photo[part], (width, height)), mask[part]
        return photo, cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
    smaller = cv2.resize(photo, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return cv2.resize(smaller, (width, height)), mask


SPOIL = {
    "shifted": _shift,
    "eroded": _erode,
    "mirrored": lambda photo, mask, *_: (photo, mask[:, ::-1]),
    "wrong class": lambda photo, mask, *_: (photo, 1 - mask),
    "leaked": _upload,
}
