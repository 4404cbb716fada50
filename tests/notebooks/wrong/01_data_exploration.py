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
}  # fmt: skip
