"""Pseudo-labels: masks that a model, not a person, drew for the unlabelled test photos of PicsArt.

    python -m experiments.pseudo.run --python PEERS/bin/python                  # MediaPipe's masks (Apache-2.0)
    python -m experiments.pseudo.run --model NAME --out build/pseudo-2          # those of a model of ours
    python -m experiments.pseudo.run --model NAME --python PEERS/bin/python --agree 0.97   # ours, where both agree

Written: build/pseudo/{images,trimaps}, a folder dataset (images are links), and agreement.csv. A trimap holds 1 for
person, 0 for background and 2 for pixels in doubt, which count for nothing in training. In doubt is where a model of
ours, its answers for the photo and its mirror image averaged, says neither below 0.1 nor above 0.9; MediaPipe's masks
are taken as they are.

Photos that are near duplicates of a labelled one are left out: 40 of them show validation photos again. A model that
learned from the exam photos is refused: who learned from its masks would have seen the exam at second hand.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from experiments import card, command, exam
from experiments.duplicates import new_photos
from experiments.peers.run import ask
from faceseg_utils.data.catalog import IGNORE
from faceseg_utils.data.images import read_image
from faceseg_utils.data.layout import Item
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.dice import dice_score
from faceseg_utils.log.runs import Run
from faceseg_utils.model import Segmenter
from faceseg_utils.paths import course_root, experiments_folder

SURE = 0.1, 0.9  # below: background; above: person; between: in doubt
UNKNOWN = 2  # what a trimap says of a pixel in doubt


def teacher(model: str, experiments: Path | None = None) -> Segmenter:
    """A model of ours by name or folder. Raises ValueError where it learned from exam photos, or nobody can tell."""
    experiments = experiments or experiments_folder()
    if seen := exam.saw_exam(Run.read(card.run_of(model, experiments)), experiments):
        raise ValueError(f"'{model}' cannot draw masks: {seen} learned from the exam photos. Take a model without them")
    return Segmenter.load(model)


def answer(segmenter: Segmenter, photo: np.ndarray) -> np.ndarray:
    """The mask of a photo, averaged with that of its mirror image: uint8 [H, W], 255 in doubt."""
    mirrored = segmenter.predict(photo[:, ::-1].copy())[:, ::-1]
    person = (segmenter.predict(photo) + mirrored) / 2  # [H, W]
    mask = np.full(person.shape, IGNORE, np.uint8)
    mask[person < SURE[0]], mask[person > SURE[1]] = 0, 1
    return mask


def fresh(folder: Path, table: str) -> None:
    """An empty folder dataset, images/ and trimaps/, in place of the one that an earlier call wrote.

    `table` is the file by which it is known. Raises FileExistsError where the folder holds anything else.
    """
    if folder.exists() and not (folder / table).is_file() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} was not made by this command, it has no {table}: choose another --out")
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("images", "trimaps"):
        (folder / name).mkdir(parents=True)


def save_trimap(file: Path, mask: np.ndarray) -> None:
    """A mask, uint8 [H, W] of 0, 1 and 255, as a picture of 0, 1 and 2; viewers show it black, white and grey."""
    picture = Image.fromarray(np.where(mask == IGNORE, UNKNOWN, mask).astype(np.uint8)).convert("P")
    picture.putpalette([0] * 3 + [255] * 3 + [128] * 3)
    picture.save(file)


def write(folder: Path, photos: list[Item], masks, agreement) -> pd.DataFrame:
    """A folder dataset of these photos (linked, or copied where links are not allowed) and masks (0, 1, 255)."""
    fresh(folder, "agreement.csv")
    for item, mask in zip(photos, masks):
        place = folder / "images" / item.image.name
        try:
            place.symlink_to(item.image.resolve())
        except OSError:
            shutil.copy(item.image, place)
        save_trimap(folder / "trimaps" / f"{item.stem}.png", mask)
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

    segmenter = teacher(options.model) if options.model else None
    test = PortraitDataset("picsart", "test").items
    labelled = PortraitDataset("picsart", "all") + PortraitDataset("picsart", "exam")
    photos = new_photos(test, labelled.items)
    print(f"{len(test)} photos, {len(test) - len(photos)} left out as near duplicates of labelled ones")
    votes = []
    if segmenter:
        votes.append([answer(segmenter, read_image(item.image)) for item in photos])
    if options.python:
        out = course_root() / "build" / "peers" / "test-photos.npz"
        votes.append(ask("mediapipe-general", [item.image for item in photos], out, options.python)["masks"])
    masks = votes[0]  # ours, where there are two
    agreement = np.array([dice_score(b, a)[0] for a, b in zip(*votes)] if votes[1:] else [1.0] * len(photos))
    kept = [i for i in range(len(photos)) if agreement[i] >= options.agree and {0, 1} <= set(np.unique(masks[i]))]
    write(options.out, [photos[i] for i in kept], [masks[i] for i in kept], agreement[kept].round(4))
    print(f"{len(kept)} photos with masks in {options.out}")


if __name__ == "__main__":
    command.run(main)
