"""The only user of albumentations: from a photo and its mask to the tensors that a network takes.

Every photo is letterboxed first: scaled until it touches the network's box, then padded. Padding carries the mask
value 255, so that it enters neither a loss nor a score; `Segmenter.unpad` takes it off again. (The report that this
course grew from counted its padding as background that is easy to get right; `padding=0` does that.)
"""

import os
import random

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would look for updates online at every import

import albumentations as A  # noqa: E402
import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from torchvision.transforms.functional import normalize, to_tensor  # noqa: E402

from faceseg_utils.config import AUGMENTATIONS  # noqa: E402
from faceseg_utils.data.catalog import IGNORE  # noqa: E402

cv2.setNumThreads(0)  # OpenCV's threads and torch's would fight for the same cores


def letterbox(size: tuple[int, int], padding: int = IGNORE) -> A.Compose:
    """Scale a photo into the box `size` (height, width), centred; pad the photo with 0 and its mask with `padding`."""
    return A.Compose([
        A.LongestMaxSize(max_size_hw=size, area_for_downscale="image", mask_interpolation=cv2.INTER_NEAREST),
        A.PadIfNeeded(*size, fill=0, fill_mask=padding),
    ])  # fmt: skip


def augmentations(name: str, padding: int = IGNORE) -> list[A.BasicTransform]:
    """The random transforms by name; what they move in from outside gets the mask value `padding`.

    "report": transpose and flips, as in the report. "portrait": what a phone does to a portrait: mirrored, a little
    turned, nearer or farther, brighter, tinted, blurred. Never upside down: the model will not meet such portraits.
    "zoom-out": the same, but people may shrink to 0.4 of their size, in proportion, as if they stood farther away.
    """
    if name == "none":
        return []
    if name == "report":
        return [A.Transpose(p=0.5), A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)]
    if name in ("portrait", "zoom-out"):
        far = name == "zoom-out"
        return [
            A.HorizontalFlip(p=0.5),
            A.Affine(
                scale=(0.4 if far else 0.8, 1.3), keep_ratio=far,
                translate_percent=(-0.1, 0.1), rotate=(-20, 20), shear=(-5, 5),
                fill=0, fill_mask=padding, mask_interpolation=cv2.INTER_NEAREST, p=0.8,
            ),
            A.ColorJitter(brightness=0.25, contrast=0.25, saturation=0.25, hue=0.04, p=0.7),
            A.OneOf([A.GaussianBlur(blur_limit=(3, 5)), A.GaussNoise(std_range=(0.02, 0.08)), A.ToGray()], p=0.2),
        ]  # fmt: skip
    raise ValueError(f"unknown augmentation '{name}': choose one of {', '.join(AUGMENTATIONS)}")


class Pipeline:
    """Letterbox, augment, to tensors: `pipeline(image, mask, seed)` -> float32 [3, h, w], int64 [h, w].

    The random choices depend on `seed` alone, so the augmented photo is the same whichever process prepares it.
    `padding` is the mask value of all that is not photo.
    """

    def __init__(self, size, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), augment: str = "none", padding: int = IGNORE):
        if min(size) < 32 or size[0] % 32 or size[1] % 32:
            fits = tuple(max(32, -(-side // 32) * 32) for side in size)
            raise ValueError(f"size {tuple(size)} is not divisible by 32: take {fits}, the letterbox pads to it")
        if augment == "report" and size[0] != size[1]:
            raise ValueError(f"augment='report' transposes, so {tuple(size)} must be square: take {(max(size),) * 2}")
        self.size, self.mean, self.std = tuple(size), mean, std
        self.letterbox = letterbox(self.size, padding)
        self.augment = A.Compose(augmentations(augment, padding))

    def fit(self, image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The letterboxed photo and mask, uint8 [h, w, 3] and uint8 [h, w]; what is letterboxed stays as it is."""
        out = self.letterbox(image=image, mask=mask)
        return out["image"], out["mask"]

    def arrays(self, image: np.ndarray, mask: np.ndarray, seed: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Letterboxed and augmented, before it becomes tensors, to be looked at: uint8 [h, w, 3] and uint8 [h, w]."""
        out = self.letterbox(image=image, mask=mask)
        if seed is not None:
            # One stream for all steps. `set_random_seed` would give each step its own from the same seed, and equal
            # draws: flips would come together or not at all.
            self.augment.set_random_state(np.random.default_rng(seed), random.Random(seed))
        out = self.augment(**out)
        return out["image"], out["mask"]

    def __call__(self, image, mask, seed: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = self.arrays(image, mask, seed)
        return normalize(to_tensor(image), self.mean, self.std), torch.from_numpy(np.ascontiguousarray(mask)).long()
