"""Typical wrong answers to the exercises of notebook 01, each with a part of the message meant for it."""


def _portraits(photo='np.asarray(Image.open(self.photo_files[i]).convert("RGB"))',
               mask='(np.asarray(Image.open(self.mask_files[i])) > 127).astype(np.uint8)',
               length="len(self.photo_files)", give="photo, mask"):  # fmt: skip
    return f'''\
class Portraits:
    def __init__(self, photo_files, mask_files):
        self.photo_files, self.mask_files = photo_files, mask_files

    def __len__(self):
        return {length}

    def __getitem__(self, i):
        photo = {photo}
        mask = {mask}
        return {give}
'''


_SMALL = 'np.asarray(Image.fromarray(photo).convert("L").resize((size, size), Image.Resampling.BOX), float)'


def _average_hash(grey=_SMALL, answer="grey > grey.mean()"):
    return f"def average_hash(photo, size=8):\n    grey = {grey}\n    return {answer}"


_PAD = """\
def pad(array, fill, multiple=32):
    rows, columns = -array.shape[0] % multiple, -array.shape[1] % multiple
    around = [(rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)]
    return np.pad(array, around + [(0, 0)] * (array.ndim - 2), constant_values=fill)

"""
_UNPAD = """\
def unpad(array, height, width):
    top, left = (array.shape[0] - height) // 2, (array.shape[1] - width) // 2
    return array[top : top + height, left : left + width]
"""

WRONG = {
    "portraits": [
        (_portraits(mask="np.asarray(Image.open(self.mask_files[i]))"), "person as 255"),
        (_portraits(photo="np.asarray(Image.open(self.photo_files[i]))"), "some files are grey"),
        (_portraits(photo="cv2.imread(str(self.photo_files[i]))"), "cv2 reads BGR"),
        (_portraits(photo='Image.open(self.photo_files[i]).convert("RGB")'), "np.asarray"),
        (_portraits(photo='np.asarray(Image.open(self.photo_files[i]).convert("RGB")) / 255'), "leave them as uint8"),
        (_portraits(mask='np.asarray(Image.open(self.mask_files[i]).convert("RGB")) // 255'), "no channel axis"),
        (_portraits(mask="np.asarray(Image.open(self.mask_files[0])) // 255"), "size of another photo"),
        (_portraits(mask="1 - np.asarray(Image.open(self.mask_files[i])) // 255"), "swapped"),
        (_portraits(give="photo"), "two things"),
        (_portraits(length="len(self.photo_files) - 1"), "three photos"),
    ],
    "class_shares": [
        ("def class_shares(mask, classes):\n    return np.unique(mask[mask != 255], return_counts=True)[1] / 6",
         "absent has share 0"),
        ("def class_shares(mask, classes):\n    return np.bincount(mask[mask != 255], minlength=classes)",
         "divide the counts"),
        ("def class_shares(mask, classes):\n    return np.array([(mask == c).mean() for c in range(classes)])",
         "pixels of value 255 count neither"),
        ("def class_shares(mask, classes):\n    counts = np.bincount(mask.ravel())\n    return counts / counts.sum()",
         "Four classes should give four shares"),
        ("def class_shares(mask, classes):\n    counts = np.bincount(mask.ravel(), minlength=classes)", "return"),
    ],
    "mean_mask_dice": [
        ("def mean_mask_dice(train_masks, masks):\n    guess = train_masks.mean(0)\n"
         "    return (2 * (guess * masks).sum((1, 2)) / (guess.sum() + masks.sum((1, 2)))).mean()",
         "Dice of the mean itself"),
        ("def mean_mask_dice(train_masks, masks):\n    guess = train_masks.mean(0) > 0.5\n"
         "    return 2 * (guess & (masks == 1)).sum() / (guess.sum() * len(masks) + masks.sum())",
         "over all pixels of all photos"),
        ("def mean_mask_dice(train_masks, masks):\n    guess = masks.mean(0) > 0.5\n"
         "    return (2 * (guess * masks).sum((1, 2)) / (guess.sum() + masks.sum((1, 2)))).mean()",
         "comes from the validation masks"),
        ("def mean_mask_dice(train_masks, masks):\n    guess = train_masks.any(0)\n"
         "    return (2 * (guess * masks).sum((1, 2)) / (guess.sum() + masks.sum((1, 2)))).mean()",
         "take the majority"),
        ("def mean_mask_dice(train_masks, masks):\n"
         "    guess = train_masks.sum(0, dtype=np.uint8) > len(train_masks) / 2\n"
         "    return (2 * (guess * masks).sum((1, 2)) / (guess.sum() + masks.sum((1, 2)))).mean()",
         "ran over"),
        ("def mean_mask_dice(train_masks, masks):\n    guess = train_masks.mean(0) > 0.5\n"
         "    both = (guess * masks).sum((1, 2))\n    return (both / (guess | (masks == 1)).sum((1, 2))).mean()",
         "This is IoU"),
        ("def mean_mask_dice(train_masks, masks):\n    guess = train_masks.mean(0) > 0.5\n"
         "    return 2 * (guess * masks).sum((1, 2)) / (guess.sum() + masks.sum((1, 2)))",
         "one number"),
    ],
    "average_hash": [
        (_average_hash(grey="np.asarray(Image.fromarray(photo).resize((size, size), Image.Resampling.BOX))"),
         "make the photo grey"),
        (_average_hash(answer="grey[:, 1:] > grey[:, :-1]"), "that is a difference hash"),
        (_average_hash(answer="grey > grey.mean(1, keepdims=True)"), "with its own mean"),
        (_average_hash(answer="grey < grey.mean()"), "wrong way round"),
        (_average_hash(answer="grey > 127"), "compared with 127"),
        (_average_hash(answer="grey"), "holds grey values"),
        (_average_hash(grey=_SMALL.replace("BOX", "NEAREST")), "Only some pixels have a say"),
        (_average_hash(grey=_SMALL.replace("size, size", "8, 8")), "do you use `size`"),
        (_average_hash(answer="(grey > grey.mean()).ravel()"), "the hash is [8, 8]"),
    ],
    "split_by_group": [
        ("def split_by_group(groups, share=0.2, seed=0):\n    return np.arange(len(groups)) % round(1 / share) == 0",
         "lie on both sides"),
        ("def split_by_group(groups, share=0.2, seed=0):\n"
         "    return np.random.default_rng(seed).random(len(groups)) < share", "lie on both sides"),
        ("def split_by_group(groups, share=0.2, seed=0):\n    names = np.unique(groups)\n"
         "    return np.isin(groups, names[: round(share * len(names))])", "Every seed gives the same groups"),
        ("def split_by_group(groups, share=0.2, seed=0):\n    names = np.unique(groups)\n"
         "    chosen = np.random.default_rng().choice(names, round(share * len(names)), replace=False)\n"
         "    return np.isin(groups, chosen)", "The same seed gave another split"),
        ("def split_by_group(groups, share=0.2, seed=0):\n    names = np.unique(groups)\n"
         "    chosen = np.random.default_rng(seed).choice(names, round(share * len(names)), replace=False)\n"
         "    return ~np.isin(groups, chosen)", "true means validation"),
        ("def split_by_group(groups, share=0.2, seed=0):\n    names = np.unique(groups)\n"
         "    return np.random.default_rng(seed).choice(names, round(share * len(names)), replace=False).size",
         "bool ["),
    ],
    "pad_and_unpad": [
        (_PAD.replace("fill)\n", "0)\n") + _UNPAD, "would count as background"),
        (_PAD.replace("-array.shape[0] % multiple, -array.shape[1] % multiple",
                      "multiple - array.shape[0] % multiple, multiple - array.shape[1] % multiple") + _UNPAD,
         "needs no more rows"),
        (_PAD.replace("around + [(0, 0)] * (array.ndim - 2)", "rows // 2") + _UNPAD,
         "pad height and width only"),
        (_PAD + "def unpad(array, height, width):\n"
         "    top, left = (array.shape[0] - height) // 2, (array.shape[1] - width) // 2\n"
         "    return array[top:-top, left:-left]", "holds nothing"),
        (_PAD + "def unpad(array, height, width):\n    return array[:height, :width]", "cut where pad added"),
        (_PAD + "def unpad(array, height, width):\n    return array[:height]", "both sides of both axes"),
        (_PAD.replace("% multiple", "% 32") + _UNPAD, "use `multiple`"),
    ],
}  # fmt: skip
