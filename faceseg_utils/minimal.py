"""The whole training in one file, to be read from top to bottom: files, photos, network, loop, Dice, a saved network.

It trains the set-up of the report: ResNet34 U-Net, 320 x 320, batch 4, Adam at 1e-3, binary cross-entropy. The package
does the same, step for step (tests/unit/test_minimal.py). What it adds is the subject of notebook 03.

    python -m faceseg_utils.minimal data/picsart/train data/picsart/train_mask
"""

import argparse
import random
from pathlib import Path

import albumentations as A
import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

FAST = torch.channels_last  # the channels of a pixel side by side in memory: convolutions run faster
SIZE, BATCH, RATE, EPOCHS, SEED = 320, 4, 1e-3, 150, 0  # side of the square in pixels, photos per step, ...

# --- Data -------------------------------------------------------------------------------------------------------------


def split(photos: Path, masks: Path) -> tuple[list, list]:
    """Pairs of files (photo, mask) for training and for validation: every tenth name, sorted as strings."""
    pairs = [(photo, masks / f"{photo.stem}.png") for photo in sorted(photos.iterdir(), key=lambda path: path.stem)]
    return [pair for i, pair in enumerate(pairs) if i % 10], pairs[::10]


def read(pair) -> tuple[np.ndarray, np.ndarray]:
    """Photo uint8 [H, W, 3], RGB, and mask uint8 [H, W]: 0 background, 1 person."""
    photo = cv2.cvtColor(cv2.imread(str(pair[0])), cv2.COLOR_BGR2RGB)
    return photo, (cv2.imread(str(pair[1]), cv2.IMREAD_GRAYSCALE) > 0).astype(np.uint8)


def fit(size: int) -> A.Compose:
    """Scale the longer side to `size`, then pad to a square with black and with background."""
    return A.Compose([
        A.LongestMaxSize(size, area_for_downscale="image", mask_interpolation=cv2.INTER_NEAREST),
        A.PadIfNeeded(size, size),
    ])  # fmt: skip


def tensor(photo: np.ndarray) -> torch.Tensor:
    """uint8 [H, W, 3] -> float32 [3, H, W], 0 to 1."""
    return torch.from_numpy(photo.transpose(2, 0, 1).copy()).float() / 255


class Photos(Dataset):
    """Training photos, turned and mirrored anew in every epoch."""

    def __init__(self, pairs, size: int, seed: int):
        self.pairs, self.seed, self.epoch, self.fit = pairs, seed, 0, fit(size)
        self.augment = A.Compose([A.Transpose(p=0.5), A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)])

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, i):
        # Seed, epoch and photo decide, whichever process asks: a run can be repeated.
        seed = int(np.random.SeedSequence((self.seed, self.epoch, i)).generate_state(1)[0])
        self.augment.set_random_state(np.random.default_rng(seed), random.Random(seed))
        photo, mask = read(self.pairs[i])
        out = self.augment(**self.fit(image=photo, mask=mask))
        return tensor(out["image"]), torch.from_numpy(out["mask"].copy()).float()  # [3, size, size], [size, size]


# --- Score ------------------------------------------------------------------------------------------------------------


def dice(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Twice the overlap over the sum of both areas (Dice 1945); 1 where both masks are empty."""
    total = prediction.sum() + truth.sum()
    return 2 * (prediction * truth).sum() / total if total else 1.0


@torch.no_grad()
def predict(network, photo: np.ndarray, size: int) -> np.ndarray:
    """Mask of one photo at its own size: uint8 [H, W, 3] -> bool [H, W]."""
    height, width = photo.shape[:2]
    scale = size / max(height, width)
    h, w = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (size - h) // 2, (size - w) // 2
    logits = network(tensor(fit(size)(image=photo)["image"])[None])  # [1, 1, size, size]
    inside = logits[..., top : top + h, left : left + w]  # padding comes off
    native = F.interpolate(inside, (height, width), mode="bilinear", antialias=h > height)
    return (native[0, 0] > 0).numpy()  # a logit of 0 is 50 %


def validate(network, pairs, size: int) -> float:
    """Mean Dice over photos, each at its own size."""
    network.eval()  # batch statistics and dropout as at use
    return float(np.mean([dice(predict(network, photo, size), mask) for photo, mask in map(read, pairs)]))


# --- Training ---------------------------------------------------------------------------------------------------------


def train(learn, val, out, size=SIZE, batch=BATCH, rate=RATE, epochs=EPOCHS, seed=SEED, encoder="resnet34"):
    """Train on the pairs `learn`, choose the epoch by the pairs `val`, keep its weights in `out`.

    Returns (losses of all steps, validation Dice of all epochs).
    """
    torch.manual_seed(seed)
    network = smp.Unet(encoder, encoder_weights=None, classes=1).to(memory_format=FAST)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    photos, losses, scores = Photos(learn, size, seed), [], []
    for epoch in range(epochs):
        photos.epoch = epoch
        order = np.random.default_rng((seed, epoch)).permutation(len(photos)).tolist()
        network.train()
        for x, y in tqdm(DataLoader(photos, batch, sampler=order), leave=False):  # [B, 3, s, s], [B, s, s]
            logits = network(x.to(memory_format=FAST))  # [B, 1, s, s]
            loss = F.binary_cross_entropy_with_logits(logits[:, 0], y)
            loss.backward()  # d loss / d weight, for all
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        scores.append(validate(network, val, size))
        if scores[-1] == max(scores):
            torch.save(network.state_dict(), out)
        print(f"epoch {epoch + 1}: loss {np.mean(losses[-len(photos) // batch :]):.3f}, Dice {scores[-1]:.4f}")
    return losses, scores


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train the set-up of the report on two folders.")
    parser.add_argument("photos", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("--out", default="minimal.pt", help="where the best weights go")
    options = parser.parse_args()
    train(*split(options.photos, options.masks), options.out)
