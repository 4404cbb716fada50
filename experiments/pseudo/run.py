"""Pseudo-labels: masks that a model, not a person, drew for the unlabelled test photos of PicsArt.

    python -m experiments.pseudo.run --python PEERS/bin/python                  # MediaPipe's masks (Apache-2.0)
    python -m experiments.pseudo.run --model models/ID                          # those of a model of ours
    python -m experiments.pseudo.run --model models/ID --python PEERS/bin/python --agree 0.97   # ours, where both agree

Written: build/pseudo/{images,masks}, a folder dataset (images are links, masks 0 and 255), and agreement.csv. Photos
that are near duplicates of a labelled one are left out: 40 of them show validation photos again. Masks are 0 or 255:
the course's training does not take soft ones.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from experiments import command
from experiments.peers.run import ask
from faceseg_utils.data.images import read_image
from faceseg_utils.data.layout import Item
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.dice import dice_score
from faceseg_utils.model import Segmenter
from faceseg_utils.paths import course_root

NEAR = 10  # of 256 bits: near duplicates differ in at most so many, the next pair of photos in over 60


def difference_hash(photo: np.ndarray, side: int = 16) -> np.ndarray:
    """Is a pixel brighter than its left neighbour, on a grey thumbnail of 17 x 16 (Krawetz 2013)? bool [256]."""
    grey = np.asarray(Image.fromarray(photo).convert("L").resize((side + 1, side), Image.Resampling.LANCZOS), int)
    return (grey[:, 1:] > grey[:, :-1]).ravel()


def bits_apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """In how many bits any two hashes differ: bool [N, 256] and [M, 256] -> int [N, M]."""
    a, b = 2.0 * a - 1, 2.0 * b - 1  # products are +1 where they agree, -1 where they differ
    return np.rint((a.shape[1] - a @ b.T) / 2).astype(int)


def new_photos(unlabelled: list[Item], labelled: list[Item]) -> list[Item]:
    """The unlabelled photos that are not near duplicates of a labelled one."""
    hashes = [np.stack([difference_hash(read_image(item.image)) for item in items]) for items in (unlabelled, labelled)]
    distance = bits_apart(*hashes).min(axis=1)  # [N]: to the nearest labelled photo
    return [item for item, bits in zip(unlabelled, distance) if bits > NEAR]


def write(folder: Path, photos: list[Item], masks, agreement) -> pd.DataFrame:
    """A folder dataset of these photos (linked, or copied where links are not allowed) and masks (0 or 1).

    Replaces what an earlier call wrote; raises FileExistsError where the folder holds anything else.
    """
    if folder.exists() and not (folder / "agreement.csv").is_file() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} holds something other than pseudo-labels: choose another --out")
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for item, mask in zip(photos, masks):
        place = folder / "images" / item.image.name
        try:
            place.symlink_to(item.image.resolve())
        except OSError:
            shutil.copy(item.image, place)
        Image.fromarray((mask * 255).astype(np.uint8)).save(folder / "masks" / f"{item.stem}.png")
    table = pd.DataFrame({"id": [item.stem for item in photos], "agreement": agreement})
    table.to_csv(folder / "agreement.csv", index=False)
    return table


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", help="the interpreter of the peers' environment: ask MediaPipe")
    parser.add_argument("--model", help="the name or folder of a model of ours: ask it")
    parser.add_argument("--agree", type=float, default=0.95, help="with both: the lowest Dice between their masks")
    parser.add_argument("--out", type=Path, default=course_root() / "build" / "pseudo")
    options = parser.parse_args(arguments)
    if not (options.python or options.model):
        parser.error("choose what draws the masks: --python for MediaPipe, --model for a model of ours, or both")

    test = PortraitDataset("picsart", "test").items
    labelled = PortraitDataset("picsart", "all") + PortraitDataset("picsart", "exam")
    photos = new_photos(test, labelled.items)
    print(f"{len(test)} photos, {len(test) - len(photos)} left out as near duplicates of labelled ones")
    votes = []
    if options.model:
        segmenter = Segmenter.load(options.model)
        votes.append([segmenter.classify(read_image(item.image)) for item in photos])
    if options.python:
        out = course_root() / "build" / "peers" / "test-photos.npz"
        votes.append(ask("mediapipe-general", [item.image for item in photos], out, options.python)["masks"])
    masks = votes[0]  # ours, where there are two
    agreement = np.array([dice_score(a, b)[0] for a, b in zip(votes[0], votes[-1])])  # 1 where there is one
    kept = [i for i in range(len(photos)) if agreement[i] >= options.agree and 0 < masks[i].mean() < 1]
    write(options.out, [photos[i] for i in kept], [masks[i] for i in kept], agreement[kept].round(4))
    print(f"{len(kept)} photos with masks in {options.out}")


if __name__ == "__main__":
    command.run(main)
