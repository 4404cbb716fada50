"""Composites: people of the training photos, cut out by their masks, in front of other photos' backgrounds.

    python -m experiments.composites                # 600 composites into build/composites

Written: build/composites/{images,trimaps}, a folder dataset, and composites.csv (who stands in front of which photo).
Their names are none of the photos'. All of them are made of the photos that a run with `holdout=0.1` learns from:
neither validation nor exam photos, nor the tenth that chooses its epoch, nor near duplicates of these. So a run that
learns from them keeps this share. They are photos of other people: they stay in build/.

A person whom the photo cuts off at a side stays cut off there, and one cut off at opposite sides fills the frame. The
background is the largest rectangle of a photo without its person, mirrored at its edges until it fills the frame: all
its pixels are real. The person's colours go up to half of the way to those of the background.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from experiments import command
from experiments.duplicates import new_photos
from experiments.pseudo.run import fresh, save_trimap
from faceseg_utils.config import TrainConfig
from faceseg_utils.data.layout import Item
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.engine.loader import held_out
from faceseg_utils.paths import course_root

FRAME = 320, 240  # height and width of a composite, those of the PicsArt photos
HEIGHTS = 0.3, 1.4  # of a person, as a share of the frame's: from far away to a close-up
CELL = 10  # pixels: free rectangles are looked for on a grid
LEAST = 0.06  # share of a photo that its free rectangle must have
FEATHER = 1.5  # pixels: sigma of the blur of an outline


def sources(share: float = TrainConfig.holdout) -> list[Item]:
    """The photos that composites may be made of: those that a run with this holdout learns from, see above."""
    train, val = PortraitDataset("picsart", "train"), PortraitDataset("picsart", "val")
    held = set(held_out(train.people, share))
    judges = [*val.items, *(train.items[i] for i in held)]
    return new_photos([item for i, item in enumerate(train.items) if i not in held], judges)


def read(item: Item) -> tuple[np.ndarray, np.ndarray]:
    """Photo and mask at the size of the frame, uint8 [320, 240, 3] and uint8 [320, 240]."""
    ways = cv2.INTER_AREA, cv2.INTER_NEAREST
    photo, mask = (cv2.resize(picture, FRAME[::-1], interpolation=way) for picture, way in zip(item.read(), ways))
    return photo, mask


def free_rectangle(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the largest rectangle without person (empty where there is none), at a distance from it."""
    near = cv2.dilate(mask, np.ones((9, 9), np.uint8))
    height, width = (side // CELL for side in mask.shape)
    taken = near[: height * CELL, : width * CELL].reshape(height, CELL, width, CELL).any((1, 3))  # [32, 24] cells
    sums = cv2.integral(taken.astype(np.uint8))  # [33, 25]: taken cells above and left of each corner
    (top, bottom), (left, right) = np.triu_indices(height + 1, 1), np.triu_indices(width + 1, 1)
    rows = sums[bottom] - sums[top]  # [all spans of rows, 25]
    area = np.outer(bottom - top, right - left) * (rows[:, right] == rows[:, left])
    y, x = np.unravel_index(area.argmax(), area.shape)
    end = (bottom[y], right[x]) if area.max() else (top[y], left[x])
    return slice(top[y] * CELL, end[0] * CELL), slice(left[x] * CELL, end[1] * CELL)


def background(photo: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """What is behind the person, uint8 [320, 240, 3]; None where the photo shows too little of it."""
    free = photo[free_rectangle(mask)]
    if free.shape[0] * free.shape[1] < LEAST * mask.size:
        return None
    grow = min(2, max(1, FRAME[0] / free.shape[0], FRAME[1] / free.shape[1]))
    free = cv2.resize(free, None, fx=grow, fy=grow, interpolation=cv2.INTER_CUBIC)[: FRAME[0], : FRAME[1]]
    missing = [side - have for side, have in zip(FRAME, free.shape)]
    return np.pad(free, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")


def match_colours(person: np.ndarray, ground: np.ndarray, inside: np.ndarray, strength: float) -> np.ndarray:
    """`person` with its mean and spread of L, a, b moved towards those of `ground` (Reinhard et al. 2001).

    Both float32 [H, W, 3] from 0 to 1, `inside` bool [H, W] where the person is, `strength` 0 (not at all) to 1.
    """
    lab, other = (cv2.cvtColor(picture, cv2.COLOR_RGB2LAB) for picture in (person, ground))
    mean, spread = lab[inside].mean(0), lab[inside].std(0)
    goal, goal_spread = other.mean((0, 1)), other.std((0, 1))
    stretch = 1 + strength * ((goal_spread / np.maximum(spread, 1)).clip(0.5, 2) - 1)
    moved = (lab - mean) * stretch + mean + strength * (goal - mean)
    return cv2.cvtColor(moved.astype(np.float32), cv2.COLOR_LAB2RGB).clip(0, 1)


def position(extent: int, side: int, cut: tuple[bool, bool], random: np.random.Generator) -> int:
    """Where a person of `extent` pixels begins along a side of the frame; `cut`: at its low end, at its high end."""
    low, high = sorted((0, side - extent))
    if cut[0] and not cut[1]:
        low, high = -0.3 * extent, 0
    elif cut[1] and not cut[0]:
        low, high = max(side - extent, -0.1 * extent), max(side - 0.6 * extent, 0)
    return round(random.uniform(low, high))


def compose(person, behind: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A person (photo and mask at the size of the frame) in front of a background: photo and mask, uint8."""
    photo, mask = person
    spans = [(int(i.min()), int(i.max()) + 1) for i in np.nonzero(mask)]  # rows, columns
    cuts = [(first <= 1, last >= side - 1) for (first, last), side in zip(spans, FRAME)]
    extents = [last - first for first, last in spans]
    wanted = np.exp(random.uniform(*np.log(HEIGHTS))) * FRAME[0] / extents[0]
    scale = max([wanted, *(side / extent for side, extent, cut in zip(FRAME, extents, cuts) if all(cut))])
    begin = [position(round(extent * scale), *rest, random) for extent, *rest in zip(extents, FRAME, cuts)]

    # Scaled, then moved so that the person begins there. Outside of the photo its edge goes on, so that the outline
    # stays where the photo ends.
    shift = [begin[axis] - scale * spans[axis][0] for axis in (1, 0)]
    if scale < 1:  # against aliasing
        photo = cv2.GaussianBlur(photo, (0, 0), 0.4 / scale)
    place = np.float32([[scale, 0, shift[0]], [0, scale, shift[1]]])
    photo, soft = (
        cv2.warpAffine(picture, place, FRAME[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for picture in (photo.astype(np.float32) / 255, mask.astype(np.float32))
    )
    # The outer half of the feather, in which the old background shows, is cut away: the outline moves in by a pixel.
    alpha = (2 * cv2.GaussianBlur(soft, (0, 0), FEATHER) - 1).clip(0, 1)
    inside = alpha > 0.5
    behind = behind.astype(np.float32) / 255
    photo = match_colours(photo, behind, inside, random.uniform(0, 0.5))
    picture = alpha[..., None] * photo + (1 - alpha[..., None]) * behind
    return np.rint(255 * picture).astype(np.uint8), inside.astype(np.uint8)


def composites(items: list[Item], count: int, seed: int = 0):
    """Yields `count` composites: photo, mask, and the stems of the person and of the background."""
    order = np.random.default_rng(seed).permutation(len(items))  # nobody twice before everybody was there once
    for number in range(count):
        random, who = np.random.default_rng((seed, number)), order[number % len(items)]
        for other in random.permutation(len(items)):
            if other != who and (behind := background(*read(items[other]))) is not None:
                yield *compose(read(items[who]), behind, random), items[who].stem, items[other].stem
                break


def write(folder: Path, items: list[Item], count: int) -> pd.DataFrame:
    """A folder dataset of composites, in place of the one that an earlier call wrote. Returns composites.csv."""
    fresh(folder, "composites.csv")
    rows = []
    for number, (photo, mask, person, behind) in enumerate(composites(items, count)):
        name = f"composite-{number:04d}"
        Image.fromarray(photo).save(folder / "images" / f"{name}.jpg", quality=95)
        save_trimap(folder / "trimaps" / f"{name}.png", mask)
        rows.append({"id": name, "person": person, "background": behind, "share": round(float(mask.mean()), 3)})
    table = pd.DataFrame(rows)
    table.to_csv(folder / "composites.csv", index=False)
    return table


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.composites", description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=600, help="how many (default: 600)")
    parser.add_argument("--out", type=Path, default=course_root() / "build" / "composites")
    options = parser.parse_args(arguments)
    items = sources()
    table = write(options.out, items, options.count)
    print(f"{len(table)} composites of {len(items)} photos in {options.out}")


if __name__ == "__main__":
    command.run(main)
