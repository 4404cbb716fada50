"""Checks of the exercises in notebook 01: reading, a threshold, a split, a shift, an augmentation."""

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
        data, last = learner(photo_files, mask_files), learner(photo_files[2:], mask_files[2:])
        for portraits, count in ((data, 3), (last, 1)):
            got = as_number(len(portraits), "len(data)")
            expect(got == count, f"There are {count} photos, but len(data) is {got:g}.")
        for i in (1, 0, 2, 1):
            _compare_portrait(i, data[i], photos, masks)
        _compare_portrait(2, last[0], photos, masks)
    return "Colour and grey photos read as RGB, masks as 0 and 1."


def _compare_portrait(i, item, photos, masks):
    expect(isinstance(item, (tuple, list)) and len(item) == 2, "`data[i]` should give two things: photo, mask.")
    photo, mask = item
    expect(isinstance(photo, np.ndarray) and isinstance(mask, np.ndarray),
           "Photo and mask should be numpy arrays: wrap what PIL opened in np.asarray(...).")  # fmt: skip
    expect((photo.ndim, mask.ndim) != (2, 3), "Mask and photo come in the wrong order: photo first, then mask.")
    expect(photo.ndim == 3, f"A photo has shape {photo.shape}: some files are grey, `.convert('RGB')` gives all of "
                            "them three channels.")  # fmt: skip
    expect(mask.ndim == 2, f"A mask has shape {mask.shape}, but one class per pixel needs no channel axis: [H, W].")
    wanted = photos[i].shape
    if photo.shape != wanted:
        other = [k for k, p in enumerate(photos) if p.shape == photo.shape]
        expect(not other, f"data[{i}] gave photo number {other[:1]}: do you use the index?")
        raise Mistake(f"A photo {wanted[0]} high and {wanted[1]} wide became {photo.shape}: it should be [H, W, 3].")
    expect(photo.dtype == np.uint8, f"The photo holds {photo.dtype}: leave it as uint8, 0 to 255. Scaling comes later.")
    refuse(photo, {"Red and blue are swapped: cv2 reads BGR, the course keeps RGB.": photos[i][..., ::-1]}, photos[i])
    expect(np.array_equal(photo, photos[i]), "The photo's pixels differ from those in the file.")
    expect(mask.shape == masks[i].shape, f"The mask of photo {i} has the size of another photo: is it number {i}?")
    expect(mask.max() <= 1, f"The mask holds {mask.max()}: the file spells person as 255, a class counts 0, 1, ...")
    expect(mask.any(), "The mask is all 0: did dividing by 255, or comparing, lose the person?")
    refuse(mask, {"Person and background are swapped: 255 in the file is person, class 1.": 1 - masks[i]}, masks[i])
    expect(np.array_equal(mask, masks[i]), f"The mask's pixels differ from those in the file of photo {i}.")
    expect(mask.dtype == np.uint8, f"The mask holds {mask.dtype}: a class is a whole number, take uint8.")


# --- From which probability on? ------------------------------------------------------------------------------


@exercise("break_even")
def check_break_even(learner):
    value = as_number(learner, "break_even")
    refuse(value, {
        "0.5 is where one more pixel is as often right as wrong: that is accuracy. What does Dice divide by?": 0.5,
        "0.8 is the Dice itself. Write down 2 B / S, then the same with one more pixel in S, and compare.": 0.8,
        "That is the share of the overlap that is left out. Compare 2 (B + p) / (S + 1) with 2 B / S.": 0.6,
    }, 0.4)  # fmt: skip
    expect(0 <= value <= 1, f"{value:g} is not a probability.")
    expect(abs(value - 0.4) < 0.005, f"With p = {value:g} the Dice does not stay at 0.8. Put in numbers: B = 4,000 and "
                                     "S = 10,000, one pixel more in S, p more in B.")  # fmt: skip
    return "Half of the Dice that you have: below 0.5, unless the mask is perfect."


# --- A split -----------------------------------------------------------------------------------------------


@exercise("split_by_group")
def check_split_by_group(learner):
    sizes = [1, 2, 3] * 10
    groups = np.repeat([f"session {k:02d}" for k in range(30)], sizes)
    groups = groups[np.random.default_rng(0).permutation(len(groups))]
    chosen = _validation(learner, groups, 0.2, 0)
    others = [_validation(learner, groups, 0.2, seed) for seed in (1, 2, 3)]
    if all(np.array_equal(chosen, other) for other in others):
        raise Mistake("Every seed gives the same groups: take them at random, or their names decide who is tested.")
    again = _validation(learner, groups, 0.2, 0)
    expect(np.array_equal(chosen, again), "The same seed gave another split: make a generator from `seed`.")
    drawn = np.sum([_validation(learner, groups, 0.5, seed, 15) for seed in range(20)], 0)
    expect(drawn.min() > 0 and drawn.max() < 20, "Over 20 seeds some group is always, or never, in validation.")
    for share, names, wanted in ((0.5, groups, 15), (0.25, np.repeat([7, 3, 9], [1, 4, 2]), 1), (0.01, groups, 1)):
        _validation(learner, names, share, 5, wanted)
    return f"6 of 30 groups, {int(chosen.sum())} of {len(groups)} photos, none on both sides."


def _validation(learner, groups: np.ndarray, share: float, seed: int, wanted: int = 6) -> np.ndarray:
    """The learner's split, bool [N], once it is one; `wanted` groups should be in validation."""
    state = np.random.get_state()[1].copy()
    chosen = as_array(learner(groups, share, seed))
    expect((state == np.random.get_state()[1]).all(),
           "np.random.seed changes everybody's random numbers: take np.random.default_rng(seed).")  # fmt: skip
    wanted_shape = f"There are {len(groups)} photos, so the answer is bool [{len(groups)}]"
    expect(chosen.shape == groups.shape, f"{wanted_shape}, yours has shape {chosen.shape}.")
    expect(chosen.dtype == bool, f"The answer holds {chosen.dtype}: return true or false for each photo.")
    torn = sorted(set(groups[chosen]) & set(groups[~chosen]))
    expect(not torn, f"{len(torn)} groups lie on both sides, such as '{torn[0] if torn else ''}': draw among groups.")
    names, count = len(set(groups[chosen])), len(set(groups))
    expect(names < count, "Every photo is in validation: nothing is left to learn from.")
    expect(names > 0, f"No photo is in validation: of {count} groups and a share of {share}, at least one is.")
    if names == count - wanted != wanted:
        raise Mistake(f"{names} of {count} groups are in validation for a share of {share}: is true validation?")
    expect(names == wanted, f"{names} of {count} groups are in validation; a share of {share} makes {wanted}.")
    return chosen


# --- A shift -----------------------------------------------------------------------------------------------


def _scene(height: int, width: int, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """A change map [H, W] with a ridge, and the mask inside of the ridge, which `rows`, `columns` bring back to it."""
    row, column = np.mgrid[:height, :width]
    down, right = row - 0.45 * height, column - 0.55 * width
    ridge = np.hypot(down, 1.3 * right + 0.2 * down) < 0.27 * min(height, width)

    def border(mask):
        inside = np.pad(mask, 1, "edge")
        return mask & ~(inside[2:, 1:-1] & inside[:-2, 1:-1] & inside[1:-1, 2:] & inside[1:-1, :-2])

    change = np.random.default_rng(height).uniform(0, 0.5, (height, width)) + 3 * border(ridge)
    return change, np.roll(ridge, (-rows, -columns), (0, 1)).astype(np.uint8)


@exercise("find_shift")
def check_find_shift(learner):
    scenes = [(30, 24, 0, 1, 1), (30, 24, 2, -1, 2), (30, 24, 0, 0, 2), (26, 40, -3, 2, 3), (32, 30, 4, 4, 4)]
    scenes += [(30, 32, -4, -1, 4)]
    answers = []
    for height, width, rows, columns, reach in [*scenes, (30, 24, 3, -3, 2)]:  # the last one lies out of reach
        answer = learner(*_scene(height, width, rows, columns), reach)
        expect(isinstance(answer, (tuple, list, np.ndarray)) and len(answer) == 2,
               f"Your function should give two numbers, (rows, columns), but gave {_short(answer)}.")  # fmt: skip
        answers.append([as_number(number) for number in answer])
    outside = answers.pop()
    wanted = np.array(scenes)[:, 2:4]
    refuse(answers, {
        "This is the way back: the mask lies wrong by your answer, and has to move the other way.": -wanted,
        "Rows and columns are exchanged: rows, down, come first.": wanted[:, ::-1],
    }, wanted)  # fmt: skip
    for (height, width, rows, columns, reach), got in zip(scenes, answers):
        expect(got == [rows, columns],
               f"With reach={reach}, a mask of ({height}, {width}) had to move by ({rows}, {columns}), you found "
               f"({got[0]:g}, {got[1]:g}). Try every pair from -{reach} to {reach}, both ends included.")  # fmt: skip
    expect(np.abs(outside).max() <= 2, f"With reach=2 you found ({outside[0]:g}, {outside[1]:g}): stay within -2 to 2.")
    return "It finds moves up, down, left and right, up to `reach` and by nothing at all."


def _short(answer) -> str:
    return type(answer).__name__ if np.size(answer) > 4 else repr(answer)


# --- An augmentation ---------------------------------------------------------------------------------------


def _labelled(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A photo whose red says the class of each pixel, brighter in blue to the right, and its mask."""
    mask = np.zeros((height, width), np.uint8)
    mask[10:, 5:20], mask[20:40, 20:30], mask[-15:, 30:] = 1, 12, 255
    photo = np.repeat(np.where(mask == 255, 200, 10 * mask)[..., None], 3, -1).astype(np.uint8)
    photo[..., 2] = np.linspace(0, 200, width)
    return photo, mask


@exercise("augment")
def check_augment(learner):
    for seed in range(24):
        photo, mask = _labelled(*((60, 40), (52, 64))[seed % 2])
        answer = learner(photo, mask, np.random.default_rng(seed))
        expect(isinstance(answer, (tuple, list)) and len(answer) == 2, "`augment` should give two things: photo, mask.")
        new_photo, new_mask = (as_array(a) for a in answer)
        expect(new_photo.ndim == 3 and new_photo.shape[2] == 3, f"The photo became {new_photo.shape}: keep [h, w, 3].")
        expect(new_mask.shape == new_photo.shape[:2],
               f"Photo and mask differ in size: {new_photo.shape[:2]} and {new_mask.shape}.")  # fmt: skip
        expect(new_photo.dtype == new_mask.dtype == np.uint8,
               f"Photo and mask should stay uint8, yours are {new_photo.dtype} and {new_mask.dtype}.")  # fmt: skip
        strange = np.setdiff1d(new_mask, mask)
        expect(not len(strange), f"The new mask has classes that the old one lacks, such as {strange[:1]}: blending "
                                 "two classes makes a third.")  # fmt: skip
        height, width = np.array(new_mask.shape) / mask.shape
        expect(abs(height - width) < 0.05, f"The height grows by {height:.2f}, the width by {width:.2f}, so faces "
                                           "change shape: one factor for both.")  # fmt: skip
        fits, fits_turned = (_agrees(new_photo, m) for m in (new_mask, new_mask[:, ::-1]))
        expect(fits > 0.9 or fits_turned <= 0.9, "One of photo and mask was mirrored alone: toss one coin for both.")
        expect(fits > 0.9, f"Only {fits:.0%} of the mask's pixels have the class of what the photo shows there.")
        rng = np.random.default_rng(seed)
        coin, factor = rng.random(), rng.uniform(1, 1.3)
        turned = bool(new_photo[:, :4, 2].mean() > new_photo[:, -4:, 2].mean())
        expect(turned == (coin < 0.5), f"The first random number was {coin:.2f}, so the pair should "
                                       f"{'be' if coin < 0.5 else 'not be'} mirrored.")  # fmt: skip
        expect(abs(height - factor) < 0.03, f"The second one makes a factor of {factor:.2f}, yours is {height:.2f}.")
    return "Photo and mask move together, and no class is invented."


def _agrees(photo, mask) -> float:
    """Of the mask's pixels, the share whose class is what the red of the photo says; borders are blended a little."""
    wanted = np.where(mask == 255, 200, 10 * mask.astype(int))
    return float((np.abs(photo[..., 0].astype(int) - wanted) <= 5).mean())
