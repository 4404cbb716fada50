"""Photos and masks from disk: `PortraitDataset`, the split, and the check-list to run before any training."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError

from faceseg_utils import catalog

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


def read_image(path: str | Path) -> np.ndarray:
    """A photo as uint8 [H, W, 3], RGB, upright. Raises ValueError naming the file when it is damaged or no image."""
    try:
        with Image.open(path) as file:
            return np.asarray(ImageOps.exif_transpose(file).convert("RGB"))  # phones note the turn, store it unturned
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{path}: cannot be read as an image ({error}); fetch the file again or remove it") from None


def read_mask(path: str | Path, info: catalog.DatasetInfo) -> np.ndarray:
    """A mask file as stored classes, uint8 [H, W], values 0..K-1.

    Raises ValueError naming the file and the stray values when it holds what the dataset's encoding does not know.
    """
    if info.encoding == "colour":
        return _nearest_colour(read_image(path), info.colours)
    try:
        with Image.open(path) as file:
            values = np.asarray(file if file.mode in ("L", "P") else file.convert("L"))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{path}: cannot be read as a mask ({error}); fetch the file again or remove it") from None
    present = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    if info.encoding == "binary":
        stray = [int(v) for v in present if v not in (0, 255)]
        if stray and set(present) <= {0, 1}:  # 0 and 1 instead of 0 and 255: plain to read
            return values.astype(np.uint8)
        wanted = "only 0 (background) and 255 (person)"
    else:
        known = len(next(iter(info.views.values())).lookup)
        stray = [int(v) for v in present if v >= known]
        wanted = f"class indices 0 to {known - 1}"
    if stray:
        shown = ", ".join(map(str, stray[:5])) + (", ..." if len(stray) > 5 else "")
        found = f"mask holds the values {shown} but may hold {wanted}"
        raise ValueError(f"{path}: {found}; was it saved as JPEG or scaled?")
    return (values == 255).astype(np.uint8) if info.encoding == "binary" else values.astype(np.uint8)


def _nearest_colour(rgb: np.ndarray, colours: tuple) -> np.ndarray:
    """Class of the nearest palette colour for every pixel: resampled label pictures hold thousands of strays."""
    distance = [((rgb.astype(np.int32) - colour) ** 2).sum(-1) for colour in np.array(colours)]
    return np.argmin(distance, axis=0).astype(np.uint8)


def every_tenth(stems: list[str]) -> set[str]:
    """The validation stems of the report: sorted as strings, every tenth (so "10" comes before "2")."""
    return set(sorted(stems)[::10])


@dataclass(frozen=True)
class Item:
    """One photo on disk; `mask` is None where there is no label."""

    stem: str
    image: Path
    mask: Path | None


def _files(folder: Path) -> dict[str, Path]:
    """Image files by stem. Hidden ones (such as the ._NAME.jpg that macOS leaves) are none."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; see data/README.md for the layout of each dataset")
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in found:
            raise ValueError(f"{path}: {found[path.stem].name} has the same name without suffix; rename or remove one")
        found[path.stem] = path
    return found


def list_items(info: catalog.DatasetInfo, root: Path, split: str) -> list[Item]:
    """The photos of a split, sorted by stem as strings. Raises ValueError for a photo without mask or the reverse."""
    if split not in info.splits:
        raise ValueError(f"dataset '{info.name}' has no split '{split}': it has {', '.join(info.splits)}")
    images, masks = info.splits[split]
    photos = _files(root / images)
    if not photos:
        raise ValueError(f"{root / images}: no images here; expected files like NAME.jpg")
    if masks is None:
        return [Item(stem, photos[stem], None) for stem in sorted(photos)]
    labels = _files(root / masks)
    for stem in sorted(photos.keys() ^ labels.keys()):
        here, there = (photos, masks) if stem in photos else (labels, images)
        what = "mask" if stem in photos else "photo"
        raise ValueError(f"{here[stem]}: no {what} of this name in {root / there}; add {stem}.* there or remove it")
    chosen = _split_stems(info, root, split, list(photos))
    if not chosen:
        raise ValueError(f"{root / images}: {len(photos)} photos are too few: none falls into the split '{split}'")
    return [Item(stem, photos[stem], labels[stem]) for stem in sorted(chosen)]


def _split_stems(info: catalog.DatasetInfo, root: Path, split: str, stems: list[str]) -> set[str]:
    if info.splits.get("train") != info.splits.get("val"):  # each split has folders of its own
        return set(stems)
    table = metadata(root)
    if "split" in table:  # the sample has its own split, and so may a reader's folder
        if set(table.index) != set(stems):
            stray = sorted(set(table.index) ^ set(stems))[0]
            raise ValueError(f"{root / 'portraits.csv'}: '{stray}' is not both here and in images/; fetch both again")
        return set(table.index[table["split"] == split])
    validation = every_tenth(stems)
    return validation if split == "val" else set(stems) - validation


def metadata(root: Path) -> pd.DataFrame:
    """`portraits.csv` beside the images, a row a photo, indexed by stem; empty where a dataset has none."""
    file = root / "portraits.csv"
    if not file.is_file():
        return pd.DataFrame()
    return pd.read_csv(file, dtype={"id": str, "pair": str}, keep_default_na=False).set_index("id")


class PortraitDataset:
    """Photos with masks: `photo, mask = dataset[i]`, uint8 [H, W, 3] and uint8 [H, W] with classes 0..K-1.

    Parameters
    ----------
    name : a dataset of the catalog ("sample", "picsart", "fasseg") or the path of a folder of one's own.
    split : "train", "val" or, where there is one, "test" (no masks: they come as all 255, "not labelled").
    view : which classes to see, such as "person" or "parts"; None takes the dataset's first.
    transform : called as transform(image, mask, seed); None leaves arrays.
    seed : base of the seeds that `transform` gets; with `epoch` and the index it fixes every random choice.

    Photos are decoded once and kept in memory as uint8 (the 1,491 PicsArt photos take 0.46 GB).
    """

    def __init__(self, name="sample", split="train", view=None, transform=None, seed=0):
        self.info, self.root = catalog.find(name)
        view = view or self.info.default_view
        if view not in self.info.views:
            raise ValueError(f"dataset '{self.info.name}' has no view '{view}': it has {', '.join(self.info.views)}")
        self.view, self.split = self.info.views[view], split
        self.items = list_items(self.info, self.root, split)
        self.transform, self.seed, self.epoch = transform, seed, 0
        self._lookup = np.full(256, catalog.IGNORE, np.uint8)
        self._lookup[: len(self.view.lookup)] = self.view.lookup
        self._decoded: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._guests: dict[str, PortraitDataset] = {}  # photos of other datasets among ours, see `joined`

    def __len__(self) -> int:
        return len(self.items)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.view.classes

    @property
    def stems(self) -> list[str]:
        return [item.stem for item in self.items]

    @cached_property
    def table(self) -> pd.DataFrame:
        """What is known about each photo beside its pixels, in the order of the dataset (may have no columns)."""
        table = metadata(self.root)
        if not len(table):
            return pd.DataFrame(index=pd.Index(self.stems, name="id"))
        return table.reindex(self.stems) if self._guests else table.loc[self.stems]

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Photo and mask number `index` before any transform, decoded at most once."""
        if index not in self._decoded:
            item = self.items[index]
            self._decoded[index] = self._guests.get(item.stem, self)._decode(item)
        return self._decoded[index]

    def _decode(self, item: Item) -> tuple[np.ndarray, np.ndarray]:
        image = read_image(item.image)
        if item.mask is None:
            mask = np.full(image.shape[:2], catalog.IGNORE, np.uint8)
        else:
            mask = self._lookup[read_mask(item.mask, self.info)]
        if mask.shape != image.shape[:2]:
            raise ValueError(
                f"{item.mask}: mask is {mask.shape[1]} x {mask.shape[0]} but its photo {item.image.name} is "
                f"{image.shape[1]} x {image.shape[0]}; export both at the same size"
            )
        return image, mask

    def __getitem__(self, index: int):
        if not -len(self) <= index < len(self):
            raise IndexError(f"photo {index} of {len(self)}")
        index %= len(self)
        image, mask = self.read(index)
        if self.transform is None:
            return image, mask
        # The seed names the photo and the epoch, not the order of calls: workers and resumed runs agree.
        seed = int(np.random.SeedSequence((self.seed, self.epoch, index)).generate_state(1)[0])
        return self.transform(image, mask, seed)

    def subset(self, indices) -> "PortraitDataset":
        """The same dataset with only these photos, in this order; decoded photos are shared."""
        part = object.__new__(PortraitDataset)
        part.__dict__ = {k: v for k, v in self.__dict__.items() if k != "table"}
        part.items = [self.items[i] for i in indices]
        part._decoded = {new: self._decoded[old] for new, old in enumerate(indices) if old in self._decoded}
        return part

    def joined(self, other: "PortraitDataset") -> "PortraitDataset":
        """These photos and after them those of `other`, each read as its own dataset says; the transform is ours.

        Raises ValueError when the two have other classes or a photo of the same name.
        """
        if other.classes != self.classes:
            raise ValueError(f"classes differ: {', '.join(self.classes)} here, {', '.join(other.classes)} there")
        if both := sorted(set(self.stems) & set(other.stems)):
            raise ValueError(f"'{both[0]}' is a photo of both datasets: give those of {other.root} other names")
        part = self.subset(range(len(self)))
        part.items = [*self.items, *other.items]
        part._guests = {**self._guests, **{item.stem: other._guests.get(item.stem, other) for item in other.items}}
        return part


def every_photo(name="sample", view=None) -> PortraitDataset:
    """All labelled photos of a dataset or folder, whatever their split: more photos to learn from."""
    return PortraitDataset(name, "train", view).joined(PortraitDataset(name, "val", view))


@dataclass(frozen=True)
class Check:
    """One line of the check-list: what was asked, whether it holds, and the first fault found."""

    question: str
    passed: bool
    detail: str

    def __str__(self) -> str:
        return f"{'pass' if self.passed else 'FAIL'}  {self.question}: {self.detail}"


def check_list(name="sample") -> list[Check]:
    """Look at every file of a dataset before training on it. Faults become failed lines, never exceptions.

    Asks: does every photo have its mask and the reverse, can every file be read, do sizes agree, do masks hold
    only the values they may, is any mask empty, do the splits share a photo.
    """
    info, root = catalog.find(name)
    labelled = [s for s, (_, masks) in info.splits.items() if masks]
    pairs = [_unpaired(info, root, split) for split in labelled]
    faults = [fault for fault in pairs if fault]
    checks = [Check("every photo has its mask, every mask its photo", not faults, faults[0] if faults else "yes")]
    if faults:
        return checks
    data = {split: PortraitDataset(name, split) for split in labelled}
    unreadable, sizes, values, empty = [], [], [], []
    for part in data.values():
        for i in range(len(part)):
            try:
                _, mask = part.read(i)
                if not (mask > 0).any():
                    empty.append(part.items[i].mask.name)
            except ValueError as error:
                kind = values if "mask holds" in str(error) else sizes if "mask is" in str(error) else unreadable
                kind.append(str(error))
    count = sum(map(len, data.values()))
    for question, found in (
        ("every file can be read", unreadable),
        ("photo and mask have the same size", sizes),
        ("masks hold only the values they may", values),
        ("no mask is empty", empty),
    ):
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        checks.append(Check(question, not found, found[0] + more if found else f"{count} looked at"))
    shared = set.intersection(*(set(part.stems) for part in data.values())) if _one_folder(info) else set()
    sizes = " + ".join(f"{len(part)} {split}" for split, part in data.items())
    detail = f"in both: {', '.join(sorted(shared)[:3])}" if shared else sizes
    return [*checks, Check("no photo is in two splits", not shared, detail)]


def _one_folder(info: catalog.DatasetInfo) -> bool:
    return info.splits.get("train") == info.splits.get("val")


def _unpaired(info: catalog.DatasetInfo, root: Path, split: str) -> str:
    try:
        list_items(info, root, split)
    except (ValueError, FileNotFoundError) as error:
        return str(error)
    return ""
