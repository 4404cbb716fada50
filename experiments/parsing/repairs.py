"""What sets the rendered portraits apart from FASSEG's faces, and one repair for each difference.

A repair takes a photo uint8 [H, W, 3], its mask uint8 [H, W] in the thirteen classes of the sample and a random
generator, and answers a photo and a mask. The constants are medians over the 20 training faces and the sample's frontal
portraits; nothing here was measured on the exam.
"""

import numpy as np
import torch
from scipy import ndimage

from faceseg_utils.data.catalog import PARTS
from faceseg_utils.model import Segmenter

FEATURES = ("nose", "eyes", "lips", "mouth")  # eyes, nose and mouth: what stands in the middle of every face
FRAME = (512, 370)  # height and width of most FASSEG photos
HIGH, CENTRE = 0.34, (0.63, 0.50)  # of the frame: the height of the features, and where their centre lies


def _is(mask: np.ndarray, *names: str) -> np.ndarray:
    return np.isin(mask, [PARTS.index(name) for name in names])


def face_box(features: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the crop in which a face stands as in FASSEG's frames, from its features, bool [H, W].

    It ends at the photo's edge; without features it is the whole photo. A hundredth of the pixels on either side may
    lie astray.
    """
    places = np.nonzero(features)
    if not len(places[0]):
        return tuple(slice(0, side) for side in features.shape)
    (top, bottom), (left, right) = (np.quantile(place, (0.01, 0.99)) for place in places)
    height = max(bottom - top, right - left, 8) / HIGH  # of a profile the features are narrow, so height decides
    sides = (height, height * FRAME[1] / FRAME[0])
    first = (((top + bottom) / 2, (left + right) / 2) - np.multiply(CENTRE, sides)).round().astype(int)
    return tuple(
        slice(max(0, start), min(full, start + round(side))) for start, side, full in zip(first, sides, features.shape)
    )


def framing(photo, mask, random):
    """Cut out as FASSEG frames its faces: the head fills the picture."""
    box = face_box(_is(mask, *FEATURES))
    return photo[box], mask[box]


def wall(photo, mask, random):
    """A plain light wall in place of the backdrop."""
    alpha = ndimage.gaussian_filter((mask > 0).astype(np.float32), 0.7)[..., None]                  # [H, W, 1]
    shade = np.linspace(*random.uniform(0.85, 1.1, 2), photo.shape[1])[:, None] * np.ones(photo.shape)
    return (photo * alpha + shade * random.uniform(150, 235) * (1 - alpha)).clip(0, 255).astype(np.uint8), mask


def light(photo, mask, random):
    """Another camera and lamp: gamma, colour of the light, brighter on one side."""
    side = np.linspace(*random.uniform(0.7, 1.3, 2), photo.shape[1])[:, None]                       # [W, 1]
    lit = (photo / 255) ** random.uniform(0.6, 1.6) * random.uniform(0.85, 1.15, 3) * side
    return (255 * lit).clip(0, 255).astype(np.uint8), mask


def texture(photo, mask, random):
    """Skin and hair are not smooth: blotches, fine strands, and the noise of a camera."""
    noise = random.normal(0, 1, (2, *mask.shape))
    blotches = 12 * ndimage.gaussian_filter(noise[0], 1.5) / 0.19                                    # std 12
    strands = 18 * ndimage.gaussian_filter(noise[1], (4, 0.6)) / 0.17                                # upright, std 18
    grain = np.where(_is(mask, "hair", "brows", "facial hair"), strands, np.where(mask > 0, blotches / 2, 0))
    return (photo + grain[..., None] + random.normal(0, 4, photo.shape)).clip(0, 255).astype(np.uint8), mask


def labels(photo, mask, random):
    """FASSEG's outlines: eyes with their lids, a nose without its wings, lips drawn a little narrower.

    Pixels are those of the sample at its native size; the classes are merged into FASSEG's six elsewhere.
    """
    skin, mask = PARTS.index("skin"), mask.copy()
    for names, margin in ((("nose",), 5), (("lips", "mouth"), 1)):
        inside = _is(mask, *names)
        mask[inside & ~ndimage.binary_erosion(inside, iterations=margin, border_value=1)] = skin
    mask[ndimage.binary_dilation(_is(mask, "eyes"))] = PARTS.index("eyes")
    return photo, mask


class TwoLooks(Segmenter):
    """Looks at the whole photo with one network, then with another at the face that it found there.

    The second answer replaces the first inside of the crop; where no face was found, the first one stays. Both know the
    sample's thirteen classes.
    """

    def __init__(self, first: Segmenter, second: Segmenter):
        super().__init__(second.network, second.config)
        self.first = first

    @torch.inference_mode()
    def logits(self, photo):
        whole = self.first.logits(photo)                                                              # [13, H, W]
        features = _is(whole.argmax(0).cpu().numpy(), *FEATURES)                                      # [H, W]
        if features.any():
            rows, columns = face_box(features)
            whole[:, rows, columns] = super().logits(photo[rows, columns])
        return whole
