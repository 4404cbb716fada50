"""The classes of the masks and how a mask is made from what Cycles counted. numpy only.

Every material writes, beside its colour, the class that it shows into one pass a class (Blender calls such a
pass an AOV). After sampling, a pass holds the share of each pixel that its class covers; the mask is the class
with the largest share.
"""

import numpy as np
from PIL import Image
from scipy import ndimage

CLASSES = ["background", "skin", "nose", "eyes", "brows", "ears", "lips", "mouth", "hair", "facial hair",
           "glasses", "headwear", "clothes"]
PALETTE = [(24, 26, 37), (246, 193, 151), (232, 140, 96), (64, 132, 244), (46, 160, 90), (255, 145, 0),
           (225, 29, 88), (255, 255, 255), (112, 66, 35), (128, 128, 20), (30, 210, 200), (240, 210, 60),
           (150, 95, 220)]
# One render pass for each class but background; no spaces, they are pass names.
PASSES = [name.replace(" ", "_") for name in CLASSES[1:]]
INDEX = {name: i for i, name in enumerate(CLASSES)}

# Thin things (strands, brows, wire frames) never cover half of a pixel although the eye sees them there.
THIN = {"glasses": 1.3, "brows": 1.25, "facial hair": 1.15}
SPREAD = {"hair": 0.8, "facial hair": 0.6}      # pixels; closes the gaps between strands that one sees as hair
SMALLEST = {"mouth": 4, "hair": 14, "facial hair": 10, "skin": 8, "clothes": 8, "headwear": 6, "background": 6}


def mask_from_coverage(coverage):
    """Coverage float [H, W, 13], background first -> mask uint8 [H, W]."""
    share = coverage.copy()
    for name, sigma in SPREAD.items():
        share[..., INDEX[name]] = ndimage.gaussian_filter(share[..., INDEX[name]], sigma)
    for name, gain in THIN.items():
        share[..., INDEX[name]] *= gain
    return without_specks(share.argmax(-1).astype(np.uint8), share)


def without_specks(mask, share):
    """Give islands that are too small to see to the class with the next largest share."""
    mask = mask.copy()
    for _ in range(3):      # what one class gives away may be a speck of the next
        for name, smallest in SMALLEST.items():
            index = INDEX[name]
            islands, count = ndimage.label(mask == index)
            sizes = np.bincount(islands.ravel(), minlength=count + 1)
            speck = (islands > 0) & (sizes < smallest)[islands]
            if speck.any():
                around = ndimage.gaussian_filter(share, (1.5, 1.5, 0))[speck]
                around[:, index] = -1
                mask[speck] = around.argmax(-1)
    return mask


def save_mask(mask, path):
    """Write a palette PNG whose pixel values are the class indices."""
    image = Image.fromarray(mask, "P")
    image.putpalette([value for colour in PALETTE for value in colour])
    image.save(path, optimize=True)
