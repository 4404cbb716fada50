"""Near duplicates: photos that show the same picture again, found by a hash of 256 bits."""

import numpy as np
from PIL import Image

from faceseg_utils.data.images import read_image
from faceseg_utils.data.layout import Item

NEAR = 10  # of 256 bits: near duplicates differ in at most so many, the next pair of photos in over 60


def difference_hash(photo: np.ndarray, side: int = 16) -> np.ndarray:
    """Is a pixel brighter than its left neighbour, on a grey thumbnail of 17 x 16 (Krawetz 2013)? bool [256]."""
    grey = np.asarray(Image.fromarray(photo).convert("L").resize((side + 1, side), Image.Resampling.LANCZOS), int)
    return (grey[:, 1:] > grey[:, :-1]).ravel()


def bits_apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """In how many bits any two hashes differ: bool [N, 256] and [M, 256] -> int [N, M]."""
    a, b = 2.0 * a - 1, 2.0 * b - 1  # products are +1 where they agree, -1 where they differ
    return np.rint((a.shape[1] - a @ b.T) / 2).astype(int)


def hashes(items: list[Item]) -> np.ndarray:
    """The hash of every photo: bool [N, 256]."""
    return np.stack([difference_hash(read_image(item.image)) for item in items])


def new_photos(photos: list[Item], known: list[Item]) -> list[Item]:
    """The photos that are not near duplicates of a known one."""
    distance = bits_apart(hashes(photos), hashes(known)).min(axis=1)  # [N]: to the nearest known photo
    return [item for item, bits in zip(photos, distance) if bits > NEAR]
