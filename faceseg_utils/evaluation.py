"""The scores that every reported number comes from: photo by photo, at the photo's own resolution."""

import pandas as pd
import torch

from faceseg_utils import dice
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.model import Segmenter


def evaluate(segmenter: Segmenter, photos: PortraitDataset, loss=None) -> pd.DataFrame:
    """Scores of every photo at its native size: one row per photo with dice, iou, boundary_f1 (means over classes).

    `photos` come without a transform: the segmenter fits each photo to its network and its answer back. With `loss`,
    one of `losses.LOSSES`, there is a column with it. Raises ValueError when there are no photos, or no masks.
    """
    if not photos.items:
        raise ValueError("no photos to evaluate: the dataset is empty")
    if photos.transform is not None:
        raise ValueError("photos have a transform: take photos.with_transform(None), or make the dataset without one")
    if photos.items[0].mask is None:
        raise ValueError(f"the split '{photos.split}' of '{photos.info.name}' has no masks to compare with")
    rows = []
    for photo, mask in photos:                                                  # [H, W, 3], [H, W]
        logits = segmenter.logits(photo)                                        # [C, H, W]
        prediction = logits[0] > 0 if len(logits) == 1 else logits.argmax(0)    # [H, W]
        row = dice.photo_scores(prediction.cpu(), mask, len(segmenter.config.classes))
        if loss is not None:
            target = torch.from_numpy(mask).long().to(logits.device)
            row["loss"] = loss(logits[None], target[None]).item()
        rows.append(row)
    return pd.DataFrame(rows, index=pd.Index([item.stem for item in photos.items], name="id"))
