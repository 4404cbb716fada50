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


_KEPT = """\
class Portraits:
    files = None

    def __init__(self, photo_files, mask_files):
        Portraits.files = Portraits.files or (photo_files, mask_files)
        self.photo_files, self.mask_files = Portraits.files

    def __len__(self):
        return len(self.photo_files)

    def __getitem__(self, i):
        return (np.asarray(Image.open(self.photo_files[i]).convert("RGB")),
                np.asarray(Image.open(self.mask_files[i])) // 255)
"""


def _split(answer, names="np.unique(groups)", draw="np.random.default_rng(seed)", count="max(1, round(share * len(names)))"):
    return f"""\
def split_by_group(groups, share=0.2, seed=0):
    names = {names}
    chosen = {draw}.choice(names, {count}, replace=False)
    return {answer}
"""


def _find(first="-reach", last="reach + 1", move="rows, columns", choose="max", give="pair"):
    return f"""\
def find_shift(change, mask, reach):
    steps = range({first}, {last})
    pairs = [(rows, columns) for rows in steps for columns in steps]

    def score(pair):
        rows, columns = pair
        return contrast(change, detective.move(mask, {move}))

    pair = {choose}(pairs, key=score)
    return {give}
"""


def _augment(flip="photo, mask = photo[:, ::-1], mask[:, ::-1]", size="[round(side * factor) for side in mask.shape[::-1]]",
             photo="cv2.resize(photo, size)", mask="cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)",
             coin="rng.random() < 0.5", factor="rng.uniform(1, 1.3)"):  # fmt: skip
    return f"""\
def augment(photo, mask, rng):
    if {coin}:
        {flip}
    factor = {factor}
    size = {size}
    return {photo}, {mask}
"""


WRONG = {
    "portraits": [
        (_portraits(mask="np.asarray(Image.open(self.mask_files[i]))"), "person as 255"),
        (_portraits(photo="np.asarray(Image.open(self.photo_files[i]))"), "some files are grey"),
        (_portraits(photo="cv2.imread(str(self.photo_files[i]))"), "cv2 reads BGR"),
        (_portraits(photo='Image.open(self.photo_files[i]).convert("RGB")'), "np.asarray"),
        (_portraits(photo='np.asarray(Image.open(self.photo_files[i]).convert("RGB")) / 255'), "leave it as uint8"),
        (_portraits(mask='np.asarray(Image.open(self.mask_files[i]).convert("RGB")) // 255'), "no channel axis"),
        (_portraits(mask="np.asarray(Image.open(self.mask_files[0])) // 255"), "size of another photo"),
        (_portraits(mask="1 - np.asarray(Image.open(self.mask_files[i])) // 255"), "swapped"),
        (_portraits(mask="np.asarray(Image.open(self.mask_files[i])) > 127"), "take uint8"),
        (_portraits(mask="(np.asarray(Image.open(self.mask_files[i]))[::-1] > 127).astype(np.uint8)"), "mask's pixels differ"),
        (_portraits(photo='np.asarray(Image.open(self.photo_files[i]).convert("L").convert("RGB"))'), "photo's pixels differ"),
        (_portraits(photo='np.asarray(Image.open(self.photo_files[0]).convert("RGB"))'), "do you use the index"),
        (_portraits(photo='np.asarray(Image.open(self.photo_files[i]).convert("RGB").resize((8, 8)))'), "should be [H, W, 3]"),
        (_portraits(give="mask, photo"), "wrong order"),
        (_portraits(give="photo"), "two things"),
        (_portraits(length="len(self.photo_files) - 1"), "3 photos"),
        (_portraits(length="3"), "1 photos"),
        (_KEPT, "1 photos"),
    ],
    "break_even": [
        ("break_even = 0.5", "that is accuracy"),
        ("break_even = 0.8", "the Dice itself"),
        ("break_even = 0.6", "share of the overlap"),
        ("break_even = 0.45", "Put in numbers"),
        ("break_even = 40", "is not a probability"),
    ],
    "split_by_group": [
        ("def split_by_group(groups, share=0.2, seed=0):\n    return np.arange(len(groups)) % round(1 / share) == 0",
         "lie on both sides"),
        ("def split_by_group(groups, share=0.2, seed=0):\n"
         "    return np.random.default_rng(seed).random(len(groups)) < share", "lie on both sides"),
        ("def split_by_group(groups, share=0.2, seed=0):\n    names = np.unique(groups)\n"
         "    return np.isin(groups, names[: max(1, round(share * len(names)))])", "Every seed gives the same groups"),
        (_split("np.isin(groups, chosen)", draw="np.random.default_rng()"), "The same seed gave another split"),
        (_split("~np.isin(groups, chosen)"), "is true validation?"),
        (_split("chosen.size"), "bool ["),
        (_split("np.isin(groups, chosen).astype(int)"), "true or false"),
        (_split("np.isin(groups, chosen)", names="np.unique(groups)[1:]", count="round(share * len(names) + share)"), "some group is always, or never"),
        (_split("np.isin(groups, chosen)", count="int(share * len(names))"), "of 3 groups and a share of 0.25, at least one"),
        (_split("np.isin(groups, chosen)", count="round(share * len(names)) + 1"), "a share of 0.2 makes 6"),
        ("def split_by_group(groups, share=0.2, seed=0):\n    np.random.seed(seed)\n    names = np.unique(groups)\n"
         "    return np.isin(groups, np.random.choice(names, max(1, round(share * len(names))), replace=False))",
         "everybody's random numbers"),
        (_split("np.isin(groups, chosen)").replace("    names =", "    groups.sort()\n    names ="), "in place"),
    ],
    "find_shift": [
        (_find(move="-rows, -columns"), "the way back"),
        (_find(move="columns, rows"), "Rows and columns are exchanged"),
        (_find(last="reach"), "both ends included"),
        (_find(first="-reach + 1"), "both ends included"),
        (_find(first="0"), "both ends included"),
        (_find(choose="min"), "you found"),
        (_find(last="reach + 2"), "stay within -2 to 2"),
        (_find(give="score(pair)"), "two numbers"),
        (_find(give="detective.move(mask, *pair)"), "two numbers"),
        (_find(give="pair[0]"), "two numbers"),
        (_find().replace("    pair = max", "    mask[:] = 0\n    pair = max"), "in place"),
    ],
    "augment": [
        ("def augment(photo, mask, rng):\n"
         "    if rng.random() < 0.5:\n        photo = photo[:, ::-1]\n"
         "    if rng.random() < 0.5:\n        mask = mask[:, ::-1]\n"
         "    factor = rng.uniform(1, 1.3)\n    size = [round(side * factor) for side in mask.shape[::-1]]\n"
         "    return cv2.resize(photo, size), cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)",
         "mirrored alone"),
        (_augment(flip="photo = photo[:, ::-1]"), "mirrored alone"),
        (_augment(mask="cv2.resize(mask, size)"), "blending two classes"),
        (_augment(factor="1", size="[round(side * rng.uniform(1, 1.3)) for side in mask.shape[::-1]]"), "one factor for both"),
        (_augment(size="[round(side * factor) for side in mask.shape]"), "one factor for both"),
        (_augment(mask="mask"), "differ in size"),
        (_augment(photo="photo", mask="mask"), "yours is 1.00"),
        (_augment(coin="True"), "not be mirrored"),
        (_augment(coin="rng.random() < 0.05"), "should be mirrored"),
        (_augment(coin="rng.random() > 0.5"), "be mirrored"),
        (_augment(flip="photo, mask = photo[::-1], mask[::-1]"), "should be mirrored"),
        (_augment(factor="rng.uniform(0.7, 1.3)"), "makes a factor"),
        (_augment(photo="cv2.resize(photo, size) / 255"), "stay uint8"),
        (_augment(photo="cv2.resize(photo, size)[..., 0]"), "keep [h, w, 3]"),
        (_augment(mask="cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)[::-1]"), "have the class of what"),
        ("def augment(photo, mask, rng):\n    return cv2.resize(photo, None, fx=1.2, fy=1.2)", "two things"),
        (_augment(flip="photo[:], mask[:] = photo[:, ::-1].copy(), mask[:, ::-1].copy()"), "in place"),
    ],
}  # fmt: skip

SURVIVORS = {
    "augment": {
        "...to, mask = (photo[:, ::-1], mask[:, ::-1]) -> ...to, mask = (photo[:, ::-2], mask[:, ::-1])":
            "a photo a little less sharp, as with another interpolation",
    },
}  # fmt: skip
