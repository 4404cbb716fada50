"""The scores that every reported number comes from: photo by photo, at the photo's own resolution."""

import numpy as np
import pandas as pd
import torch

from faceseg_utils import dice
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.model import Segmenter
from faceseg_utils.transforms import unpad


@torch.no_grad()
def batch_dice(logits: torch.Tensor, y: torch.Tensor) -> float:
    """Mean hard Dice of a batch at the network's size: logits [B, C, h, w], classes y [B, h, w]."""
    prediction = logits[:, 0] > 0 if logits.shape[1] == 1 else logits.argmax(1)
    return float(dice.dice_score(prediction.long().cpu(), y.cpu(), max(2, logits.shape[1])).mean())


def evaluate(segmenter: Segmenter, data: PortraitDataset, batch_size: int = 16, loss=None) -> pd.DataFrame:
    """Scores of every photo at its native resolution: a row a photo with dice, iou, boundary_f1 (means over classes).

    The network runs in eval mode and float32, so the numbers do not depend on batch size or precision of training.
    `data` must carry the segmenter's letterbox as transform. With `loss`, a column with it (at the network's size).
    `report_dice` is the report's own formula on the padded square, by batch, for comparison with its log only.
    """
    if not len(data):
        raise ValueError("no photos to evaluate: the dataset is empty")
    device = next(segmenter.network.parameters()).device
    segmenter.network.eval()
    classes, rows = len(segmenter.classes), []
    for first in range(0, len(data), batch_size):
        batch = range(first, min(first + batch_size, len(data)))
        x, y = (torch.stack(part).to(device) for part in zip(*(data[i] for i in batch), strict=True))
        with torch.inference_mode():
            logits = segmenter.network(x.to(memory_format=torch.channels_last)).float()  # [B, C, h, w]
        padded = dice.report_dice(logits, y) if logits.shape[1] == 1 else float("nan")
        for k, i in enumerate(batch):
            _, mask = data.read(i)  # [H, W]
            full = unpad(logits[k : k + 1], mask.shape)[0]  # [C, H, W]
            prediction = (full[0] > 0 if len(full) == 1 else full.argmax(0)).cpu().numpy().astype(np.uint8)
            row = {
                "id": data.stems[i],
                "dice": dice.dice_score(prediction, mask, classes).mean(),
                "iou": dice.iou_score(prediction, mask, classes).mean(),
                "boundary_f1": dice.boundary_f1(prediction, mask, classes).mean(),
                "report_dice": padded,
            }
            if loss is not None:
                row["loss"] = loss(logits[k : k + 1], y[k : k + 1]).item()
            rows.append(row)
    return pd.DataFrame(rows).set_index("id")
