"""The files of a split: which photos belong to it, and which mask belongs to which photo."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from faceseg_utils.data import images
from faceseg_utils.data.catalog import IGNORE, DatasetInfo, View
from faceseg_utils.paths import one_line


def every_tenth(stems: Iterable[str], step: int = 10) -> set[str]:
    """The validation stems of the report: sorted as strings, every tenth (so "10" comes before "2"), or `step`-th."""
    return set(sorted(stems)[::step])


@dataclass(frozen=True, eq=False)
class Item:
    """One photo on disk and all that is needed to read it; `mask` is None where there is no label."""

    stem: str
    image: Path
    mask: Path | None
    info: DatasetInfo
    view: View

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Photo uint8 [H, W, 3] and mask uint8 [H, W] with the classes of the view; all 255 where there is no label.

        Raises ImageError, MaskError or SizeError, each naming the file.
        """
        photo = images.read_image(self.image, largest=None)
        if self.mask is None:
            return photo, np.full(photo.shape[:2], IGNORE, np.uint8)
        lookup = np.full(256, IGNORE, np.uint8)
        lookup[: len(self.view.lookup)] = self.view.lookup
        mask = lookup[images.read_mask(self.mask, self.info)]
        if mask.shape != photo.shape[:2]:
            remedy = "export both at the same size, or let `python -m faceseg_utils data FOLDER --fix-sizes` resize it"
            if lies_across(mask.shape, photo.shape):
                remedy = "one of them lies on its side: turn it"
            raise images.SizeError(
                f"{self.mask}: mask is {mask.shape[0]} x {mask.shape[1]} but its photo {self.image.name} is "
                f"{photo.shape[0]} x {photo.shape[1]} (height x width); {remedy}"
            )
        return photo, mask


def lies_across(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Is one of two (height, width) upright and the other not? Then no resizing makes a mask fit its photo."""
    return (one[0] - one[1]) * (other[0] - other[1]) < 0


def list_items(info: DatasetInfo, root: Path, split: str, view: View) -> list[Item]:
    """The photos of a split, sorted by stem as strings; "all" joins every split that has masks but the exam.

    Raises ValueError for a split that is not there, a photo without mask or a mask without photo.
    """
    known = (*info.splits, "all") if "train" in info.splits else tuple(info.splits)
    if split not in known:
        raise ValueError(f"dataset '{info.name}' has no split '{split}': it has {', '.join(known)}")
    photo_folder, mask_folder = info.splits["train" if split == "all" else split]
    photos = _files(root / photo_folder)
    if not photos:
        raise ValueError(f"{root / photo_folder}: no images here; expected files like NAME.jpg")
    if mask_folder is None:
        return [Item(stem, photos[stem], None, info, view) for stem in sorted(photos)]
    masks = _files(root / mask_folder)
    for stem in sorted(photos.keys() ^ masks.keys()):
        have, what, there = (photos, "mask", mask_folder) if stem in photos else (masks, "photo", photo_folder)
        raise ValueError(f"{have[stem]}: no {what} of this name in {root / there}; add {stem}.* there or remove it")
    chosen = _stems_of_split(info, root, split, set(photos))
    if not chosen:
        few = f"none of the {len(photos)} photos is in the split '{split}'"
        raise ValueError(f"{root / photo_folder}: {few}; add photos, or take the split 'all'")
    return [Item(stem, photos[stem], masks[stem], info, view) for stem in sorted(chosen)]


def _files(folder: Path) -> dict[str, Path]:
    """Photos or masks by stem. Hidden files (such as the ._NAME.jpg that macOS leaves) and notes do not count.

    Raises ValueError for what looks like a photo but cannot be read: it would be left out without a word.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; see data/README.md for the layout of each dataset")
    found = {}
    for path in sorted(folder.iterdir()):
        name, kind = images.shown(path), path.suffix.lower()
        if path.name.startswith(".") or kind not in images.SUFFIXES | images.OTHER_SUFFIXES:
            continue
        if kind not in images.SUFFIXES:
            raise ValueError(f"{name}: {kind} files are not read; convert it to JPEG or PNG, or move it away")
        if fault := images.not_a_file(path):
            raise ValueError(f"{name}: {fault}; remove it or fetch it again")
        if any("\ud800" <= letter <= "\udfff" for letter in path.name):  # bytes that are no UTF-8: no table can hold it
            raise ValueError(f"{name}: its name is not valid text (UTF-8); rename the file")
        if path.stem in found:
            raise ValueError(f"{name}: {found[path.stem].name} has the same name without suffix; rename or remove one")
        found[path.stem] = path
    return found


def _stems_of_split(info: DatasetInfo, root: Path, split: str, stems: set[str]) -> set[str]:
    if split != "all" and info.splits[split] != info.splits.get("train"):  # it has folders of its own
        return stems
    validation = every_tenth(stems, info.val_every)
    exam = (stems & info.exam) - validation  # of a few photos only, one may be in both
    parts = {"val": validation, "exam": exam, "train": stems - validation - exam, "train+exam": stems - validation}
    if split not in parts:
        return stems - exam
    table = metadata(root)
    if "split" in table:  # the sample has its own split, and so may a reader's folder
        if stray := sorted(set(table.index) ^ stems):
            raise ValueError(f"{root}/portraits.csv: '{stray[0]}' is not both here and in images/; fetch both again")
        return set(table.index[table["split"] == split])
    return parts[split]


def metadata(root: Path) -> pd.DataFrame:
    """`portraits.csv` or `dials.csv` beside the images, one row per photo, indexed by stem; empty where there is none.

    Raises ValueError naming the file when it is no such table.
    """
    file = next((root / name for name in ("portraits.csv", "dials.csv") if (root / name).is_file()), None)
    if file is None:
        return pd.DataFrame()
    try:
        table = pd.read_csv(file, dtype={"id": str, "pair": str}, keep_default_na=False)
    except (ValueError, OSError) as error:  # pandas raises subclasses of ValueError, also for bytes that are no UTF-8
        raise ValueError(f"{file}: cannot be read as a table ({one_line(error, 80)}); mend it or remove it") from None
    if "id" not in table or not table["id"].is_unique:
        raise ValueError(f"{file}: needs a column 'id' that names each photo once, by its file name without suffix")
    return table.set_index("id")
