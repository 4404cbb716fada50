"""Does a guided filter sharpen the pocket network's masks? `python -m experiments.guided` writes guided.csv.

The 150 validation photos of PicsArt, whose masks were drawn by hand, photo by photo: the network of demo/model.onnx as
it is (radius 0), and behind it the filter. Notebook 07 tries it on the rendered sample.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import ndimage

from experiments import command
from faceseg_utils import dice, transforms
from faceseg_utils.data.catalog import PERSON
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.deploy.onnx import new_session
from faceseg_utils.model import Segmenter
from faceseg_utils.network.saved import ModelConfig
from faceseg_utils.paths import demo_folder, write_text

FILE = Path(__file__).resolve().parent / "guided.csv"
RADII = (2, 4, 8)  # pixels of a 320 x 240 photo
SIZE = (256, 256)


def guided(photo: np.ndarray, p: np.ndarray, radius: int, eps: float = 1e-3) -> np.ndarray:
    """p [H, W] as a linear function of the grey photo in every window (He, Sun, Tang 2010).

    `eps`: how much of the photo's contrast counts as flat.
    """
    grey, mean = photo.mean(-1) / 255, partial(ndimage.uniform_filter, size=2 * radius + 1)
    slope = (mean(grey * p) - mean(grey) * mean(p)) / (mean(grey * grey) - mean(grey) ** 2 + eps)
    return mean(slope) * grey + mean(mean(p) - slope * mean(grey))


def main(arguments: list[str]) -> None:
    session, box, rows = new_session(demo_folder() / "model.onnx"), transforms.letterbox(SIZE), []
    pocket = Segmenter(torch.nn.Identity(), ModelConfig("pocket", PERSON, SIZE, (0.0,) * 3, (1.0,) * 3))
    photos = PortraitDataset("picsart", "val", "person")
    for stem, (photo, mask) in zip(photos.stems, photos):
        boxed = box(image=photo)["image"].transpose(2, 0, 1)[None].astype(np.float32)
        answer = torch.from_numpy(session.run(None, {"photo": boxed})[0])
        p = pocket.unpad(answer, photo.shape[:2])[0, 0].numpy()
        for radius, soft in {0: p, **{radius: guided(photo, p, radius) for radius in RADII}}.items():
            scores = dice.photo_scores(soft > 0.5, mask)
            rows.append({"id": stem, "radius": radius, "dice": scores["dice"], "boundary_f1": scores["boundary_f1"]})
    table = pd.DataFrame(rows).round(4)
    write_text(FILE, table.to_csv(index=False, lineterminator="\n"))
    print(table.groupby("radius")[["dice", "boundary_f1"]].mean().round(4))


if __name__ == "__main__":
    command.run(main)
