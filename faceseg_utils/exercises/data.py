"""Checks of the exercises in notebook 01: reading, counting, a first baseline, a hash, a split, padding."""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from faceseg_utils.exercises.framework import Mistake, as_array, as_number, exercise, expect, refuse

# --- __getitem__ -------------------------------------------------------------------------------------------


def _three_portraits(folder: Path) -> tuple[list[Path], list[Path], list[np.ndarray], list[np.ndarray]]:
    """Files of three tiny portraits of different sizes, the last photo grey, and what they should read as."""
    rng = np.random.default_rng(0)
    photos, masks, photo_files, mask_files = [], [], [], []
    for i, (height, width) in enumerate([(6, 4), (5, 8), (7, 3)]):
        photo = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        mask = np.zeros((height, width), np.uint8)
        mask[i:, 1:] = 1
        stored = Image.fromarray(photo)
        if i == 2:
            stored = stored.convert("L")
            photo = np.asarray(stored.convert("RGB"))
        photo_files.append(folder / f"photo{i}.png")
        mask_files.append(folder / f"mask{i}.png")
        stored.save(photo_files[-1])
        Image.fromarray(mask * 255).save(mask_files[-1])
        photos.append(photo)
        masks.append(mask)
    return photo_files, mask_files, photos, masks


@exercise("portraits")
def check_portraits(learner):
    with tempfile.TemporaryDirectory() as folder:
        photo_files, mask_files, photos, masks = _three_portraits(Path(folder))
        data = learner(photo_files, mask_files)
        expect(as_number(len(data), "len(data)") == 3, f"There are three photos, but len(data) is {len(data)}.")
        for i in (1, 0, 2):
            item = data[i]
            expect(isinstance(item, tuple) and len(item) == 2, "`data[i]` should give two things: photo, mask.")
            _compare_portrait(i, *item, photos, masks)
    return "Colour and grey photos read as RGB, masks as 0 and 1."


def _compare_portrait(i, photo, mask, photos, masks):
    expect(isinstance(photo, np.ndarray) and isinstance(mask, np.ndarray),
           "Photo and mask should be numpy arrays: wrap what PIL opened in np.asarray(...).")  # fmt: skip
    expect(photo.ndim == 3, f"A photo has shape {photo.shape}: some files are grey, `.convert('RGB')` gives all of "
                            "them three channels.")  # fmt: skip
    expect(mask.ndim == 2, f"A mask has shape {mask.shape}, but one class per pixel needs no channel axis: [H, W].")
    wanted = photos[i].shape
    if photo.shape != wanted:
        other = [k for k, p in enumerate(photos) if p.shape == photo.shape]
        expect(not other, f"data[{i}] gave photo number {other[:1]}: do you use the index?")
        raise Mistake(f"A photo of {wanted[1]} x {wanted[0]} pixels became {photo.shape}: read it as it is, [H, W, 3].")
    expect(photo.max() > 1, "The photo's values end at 1: leave them as uint8, 0 to 255. Scaling comes later.")
    refuse(photo, {"Red and blue are swapped: cv2 reads BGR, the course keeps RGB.": photos[i][..., ::-1]}, photos[i])
    expect(np.array_equal(photo, photos[i]), "The photo's pixels differ from those in the file.")
    expect(mask.shape == masks[i].shape, f"The mask of photo {i} has the size of another photo: is it number {i}?")
    expect(mask.max() <= 1, f"The mask holds {mask.max()}: the file spells person as 255, a class counts 0, 1, ...")
    expect(mask.any(), "The mask is all 0: did dividing by 255, or comparing, lose the person?")
    expect(np.array_equal(mask, masks[i]), "Person and background are swapped, or the mask belongs to another photo.")
    expect(mask.dtype.kind in "biu", f"The mask holds {mask.dtype}: a class is a whole number, take uint8.")


# --- Counting ----------------------------------------------------------------------------------------------


@exercise("class_shares")
def check_class_shares(learner):
    mask = np.array([[0, 1, 1, 255], [2, 1, 0, 255]], np.uint8)
    shares = as_array(learner(mask, 4))
    expect(shares.shape != (3,), "There are four classes but three shares: a class that is absent has share 0.")
    expect(shares.shape == (4,), f"Four classes should give four shares, yours have shape {shares.shape}.")
    expect(shares.max() <= 1, "A share passes 1: divide the counts by the number of pixels that count.")
    expect(not np.allclose(shares, np.array([2, 3, 1, 0]) / 8),
           "The shares add up to 0.75: pixels of value 255 count neither above nor below the line.")  # fmt: skip
    expect(abs(shares.sum() - 1) < 1e-6, f"The shares add up to {shares.sum():.3f}, not to 1.")
    example = "For two 0, three 1, one 2 and two 255 the shares are 1/3, 1/2, 1/6, 0"
    expect(np.allclose(shares, np.array([2, 3, 1, 0]) / 6), f"{example}, yours are {shares.round(3)}.")
    return "An absent class has share 0, and 255 does not count."


# --- The mean mask -----------------------------------------------------------------------------------------


def _dice(a, b) -> np.ndarray:
    a, b = np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float))
    return 2 * (a * b).sum((-2, -1)) / (a.sum((-2, -1)) + b.sum((-2, -1)))


def _blobs(count: int, seed: int) -> np.ndarray:
    """Discs that wander and grow, uint8 [count, 24, 18]."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:24, :18]
    middle = rng.normal([13, 9], 2.5, (count, 2))
    radius = rng.uniform(3, 9, count)[:, None, None]
    distance = np.hypot(rows - middle[:, :1, None], columns - middle[:, 1:, None])
    return (distance < radius).astype(np.uint8)


@exercise("mean_mask_dice")
def check_mean_mask_dice(learner):
    train, val = _blobs(300, 0), _blobs(12, 1)  # 300: a sum in uint8 runs over
    guess = train.mean(0) > 0.5
    score = as_number(learner(train.copy(), val.copy()))
    wrong = {
        "This is the Dice of the mean itself, not of a mask: a pixel is person or not, so compare the mean with 0.5.":
            _dice(train.mean(0), val).mean(),
        "This is one Dice over all pixels of all photos: score each photo, then take the mean over photos.":
            2 * (guess & (val > 0)).sum() / (guess.sum() * len(val) + val.sum()),
        "This guess comes from the validation masks: a baseline, too, may learn from the training masks only.":
            _dice(val.mean(0) > 0.5, val).mean(),
        "The guess is person wherever any training mask is: take the majority, a mean above 0.5.":
            _dice(train.any(0), val).mean(),
        "This scores the guess on the training masks: the second argument holds the masks to score on.":
            _dice(guess, train).mean(),
        "The sum of the masks ran over: uint8 ends at 255 and starts again at 0. `masks.mean(0)` counts in float.":
            _dice(train.sum(0, dtype=np.uint8) > len(train) / 2, val).mean(),
        "This is IoU: Dice has both areas in the denominator, and a 2 above.":
            (_dice(guess, val) / (2 - _dice(guess, val))).mean(),
    }  # fmt: skip
    right = _dice(guess, val).mean()
    refuse(score, wrong, right)
    expect(score <= 1, f"A Dice of {score:.3f} is over 1: is the sum in the denominator over both masks?")
    expect(abs(score - right) < 1e-6, f"On this check's masks the mean mask scores {right:.4f}, yours {score:.4f}.")
    return f"On the masks of this check it scores {right:.3f}."


# --- A perceptual hash -------------------------------------------------------------------------------------


def _hash(photo: np.ndarray, size: int, how=Image.Resampling.BOX) -> np.ndarray:
    small = Image.fromarray(photo).convert("L").resize((size, size), how)
    return np.asarray(small, float)


@exercise("average_hash")
def check_average_hash(learner):
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (24, 16, 3), dtype=np.uint8)
    photo[:12] = photo[:12] // 3  # the upper half is darker
    bits = as_array(learner(photo.copy(), 8))
    expect(bits.ndim != 3, "There are three answers per place, one for each colour: make the photo grey first.")
    expect(bits.size != 56, "There are 8 x 7 answers: that is a difference hash. Here each place meets the mean.")
    expect(bits.shape == (8, 8), f"For size 8 the hash is [8, 8], yours has shape {bits.shape}.")
    expect(set(np.unique(bits)) <= {0, 1}, "The hash holds grey values: return the answers, brighter or not, as bool.")
    grey = _hash(photo, 8)
    wrong = {
        "The answers are the wrong way round: true means brighter than the mean.": grey < grey.mean(),
        "Each row is compared with its own mean: take one mean over the whole thumbnail.":
            grey > grey.mean(1, keepdims=True),
        "Each place is compared with 127: a darker copy would get another hash. Compare with the photo's own mean.":
            grey > 127,
        "Only some pixels have a say (nearest): shrink with Image.Resampling.BOX, which averages.":
            (near := _hash(photo, 8, Image.Resampling.NEAREST)) > near.mean(),
    }  # fmt: skip
    right = grey > grey.mean()
    refuse(bits, wrong, right)
    off = int((bits.astype(bool) != right).sum())
    expect(off <= 1, f"{off} of the 64 answers differ: grey by .convert('L'), BOX to 8 x 8, then `> mean`.")
    other = as_array(learner(photo.copy(), 4))
    expect(other.shape == (4, 4), f"For size 4 the hash is [4, 4], yours has shape {other.shape}: do you use `size`?")
    darker = as_array(learner((photo * 0.5).astype(np.uint8), 8))
    apart = int((darker.astype(bool) != bits.astype(bool)).sum())
    return f"A copy at half the brightness is {apart} of 64 bits away."


# --- A split -----------------------------------------------------------------------------------------------


@exercise("split_by_group")
def check_split_by_group(learner):
    groups = np.repeat([f"session {k:02d}" for k in range(30)], [1, 2, 3] * 10)
    groups = groups[np.random.default_rng(0).permutation(len(groups))]
    chosen = as_array(learner(list(groups), 0.2, 0))
    wanted = f"There are {len(groups)} photos, so the answer is bool [{len(groups)}]"
    expect(chosen.shape == groups.shape, f"{wanted}, yours has shape {chosen.shape}.")
    expect(set(np.unique(chosen)) <= {0, 1}, "Return true or false for each photo, not indices.")
    chosen = chosen.astype(bool)
    torn = sorted(set(groups[chosen]) & set(groups[~chosen]))
    expect(not torn, f"{len(torn)} groups lie on both sides, such as '{torn[0] if torn else ''}': draw among groups.")
    names = len(set(groups[chosen]))
    expect(names < 30, "Every photo is in validation: nothing is left to learn from.")
    expect(names > 0, "No photo is in validation.")
    expect(names != 24, "80 % of the groups are in validation: true means validation, `share` of them.")
    expect(4 <= names <= 8, f"{names} of 30 groups are in validation, 0.2 of them would be 6.")
    again = as_array(learner(list(groups), 0.2, 0)).astype(bool)
    expect(np.array_equal(chosen, again), "The same seed gave another split: make a generator from `seed`.")
    others = [as_array(learner(list(groups), 0.2, seed)).astype(bool) for seed in (1, 2, 3)]
    if all(np.array_equal(chosen, other) for other in others):
        raise Mistake("Every seed gives the same groups: take them at random, or their names decide who is tested.")
    half = as_array(learner(list(groups), 0.5, 0)).astype(bool)
    expect(12 <= len(set(groups[half])) <= 18, f"For a share of 0.5, {len(set(groups[half]))} of 30 groups are chosen.")
    return f"{names} of 30 groups, {int(chosen.sum())} of {len(groups)} photos, none on both sides."


# --- Padding -----------------------------------------------------------------------------------------------


@exercise("pad_and_unpad")
def check_pad_and_unpad(learner):
    pad, unpad = learner
    rng = np.random.default_rng(0)
    for height, width in ((70, 50), (64, 50), (33, 31), (64, 32)):
        photo = rng.integers(1, 255, (height, width, 3), dtype=np.uint8)
        mask = rng.integers(0, 2, (height, width), dtype=np.uint8)
        for what, array, fill in (("photo", photo, 0), ("mask", mask, 255)):
            padded = as_array(pad(array.copy(), fill, 32), "pad")
            _check_padded(what, array, padded, fill)
            back = as_array(unpad(padded.copy(), height, width), "unpad")
            expect(back.size, f"unpad gave an empty array for {height} x {width}: `array[:-0]` holds nothing.")
            expect(back.shape == array.shape,
                   f"unpad gave {back.shape}, the {what} was {array.shape}: cut both sides of both axes.")  # fmt: skip
            expect(np.array_equal(back, array),
                   f"unpad gave the size of the {what} but other pixels: does it cut where pad added?")  # fmt: skip
    expect(as_array(pad(mask[:10, :10], 255, 8)).shape == (16, 16), "With multiple=8, 10 becomes 16: use `multiple`.")
    return "Photo and mask come back pixel for pixel, also where nothing had to be added."


def _check_padded(what, array, padded, fill):
    height, width = array.shape[:2]
    wanted = -(-height // 32) * 32, -(-width // 32) * 32
    size = f"{what} of {height} x {width}"
    expect(padded.ndim == array.ndim, f"A {what} with {array.ndim} axes became one with {padded.ndim}.")
    expect(padded.shape[2:] == array.shape[2:], f"A {size} became {padded.shape}: pad height and width only.")
    if padded.shape[:2] != wanted:
        became = f"A {size} became {padded.shape[0]} x {padded.shape[1]}"
        once_more = (height // 32 + 1) * 32, (width // 32 + 1) * 32
        expect(padded.shape[:2] != once_more, f"{became}: what is divisible already needs no more rows.")
        raise Mistake(f"{became}, expected {wanted[0]} x {wanted[1]}.")
    added = padded.size - array.size
    if added and fill and padded.sum(dtype=np.int64) == array.sum(dtype=np.int64):
        raise Mistake("The padding of the mask is 0: it would count as background. Fill with `fill`.")
    expect((padded == fill).sum() >= added, f"The padding of the {what} is not {fill} everywhere: fill with `fill`.")
