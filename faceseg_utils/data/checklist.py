"""The check-list to run before any training: every file is looked at, and every fault becomes one line."""

import filecmp
import shutil
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from PIL.Image import Resampling

from faceseg_utils import paths
from faceseg_utils.data import catalog
from faceseg_utils.data.images import ImageError, MaskError, SizeError, read_image, read_mask, stray_pixels
from faceseg_utils.data.layout import lies_across, list_items

FAULTS = {
    ImageError: "every file can be read",
    SizeError: "photo and mask have the same size",
    MaskError: "masks hold only the values they may",
}
SPLITS = "no photo is in two splits"
SHOWN = "every class is shown in every split"


class Check(NamedTuple):
    """One line of the check-list: what was asked, whether it holds, and the first fault found."""

    question: str
    passed: bool
    detail: str

    def __str__(self) -> str:
        return f"{'pass' if self.passed else 'FAIL'}  {self.question}: {self.detail}"


def check_list(name: str | Path = "sample") -> list[Check]:
    """Look at every file of a dataset before training on it. Faults become failed lines, never exceptions."""
    info, root = catalog.find(name)
    if torn := _torn(root / "portraits.csv"):
        return [Check(SPLITS, False, f"{root}/portraits.csv: '{torn}' is in more than one split; keep one of its rows")]
    splits, paired = {}, "every photo has its mask, every mask its photo"
    for split in (name for name, (_, masks) in info.splits.items() if masks and "+" not in name):  # no train+exam
        try:
            splits[split] = list_items(info, root, split, info.views[info.default_view])
        except (ValueError, OSError) as error:
            return [Check(paired, False, str(error))]
    items = [item for part in splits.values() for item in part]
    faults: dict[str, list[str]] = {question: [] for question in (*FAULTS.values(), "no mask is empty")}
    strays, shown = 0, {split: np.zeros(256, int) for split in splits}
    for split, item in ((split, item) for split, part in splits.items() for item in part):
        try:
            mask = item.read()[1]
            shown[split] += np.bincount(mask.ravel(), minlength=256)
            strays += stray_pixels(item.mask, info) if info.encoding == "colour" else 0
            if not (mask > 0).any():
                faults["no mask is empty"].append(item.mask.name)
        except tuple(FAULTS) as error:
            faults[FAULTS[type(error)]].append(str(error))
    checks = [Check(paired, True, "yes")]
    for question, found in faults.items():
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        good = f"{len(items)} looked at"
        if question == FAULTS[MaskError] and strays:
            good += f"; {strays:,} pixels of other colours took the nearest"
        checks.append(Check(question, not found, found[0] + more if found else good))
    names = info.views[info.default_view].classes
    if len(names) > 2:
        absent = [f"{name} is in no photo of {s}" for s in splits for c, name in enumerate(names) if not shown[s][c]]
        checks.append(Check(SHOWN, not absent, "; ".join(absent) or "yes"))
    shared = sorted(path.name for path, count in Counter(item.image for item in items).items() if count > 1)
    sizes = " + ".join(f"{len(part)} {split}" for split, part in splits.items())
    detail = f"in both: {', '.join(shared[:3])}" if shared else sizes
    return [*checks, Check(SPLITS, not shared, detail)]


def _torn(file: Path) -> str:
    """The first photo that a table puts into more than one split; "" where there is none, or no such table."""
    try:
        table = pd.read_csv(file, usecols=["id", "split"], dtype=str)
    except (ValueError, OSError):  # whoever lists the photos says what is wrong with it
        return ""
    splits = table.groupby("id")["split"].nunique()
    return next(iter(splits.index[splits > 1]), "")


def fix_sizes(folder: str | Path) -> list[Path]:
    """Resize the masks of a folder of one's own to the size of their photos; returns the files that changed.

    Each pixel takes the class of the nearest one. The original is first copied to masks_original/ beside masks/. What
    has another fault, or lies on its side against its photo, stays as it is: the check-list names it. Raises ValueError
    for a dataset of the catalog, FileExistsError where masks_original/ holds a different file of that name already.
    """
    info, root = catalog.find(folder)
    if root.resolve() in {catalog.location(name).resolve() for name in catalog.DATASETS}:
        raise ValueError(f"{root}: a published dataset stays as it is; sizes are fixed in folders of your own only")
    fixed = []
    for item in list_items(info, root, "all", info.views[info.default_view]):
        try:
            item.read()
        except SizeError:
            size, mask = read_image(item.image, largest=None).shape[:2], read_mask(item.mask, info)
            if not lies_across(mask.shape, size):
                fixed.append(_fix_size(item.mask, Image.fromarray(mask * 255).resize(size[::-1], Resampling.NEAREST)))
        except (ImageError, MaskError):
            continue
    return fixed


def _fix_size(mask: Path, fitting: Image.Image) -> Path:
    original = mask.parent.with_name(f"{mask.parent.name}_original") / mask.name
    if not original.exists():
        original.parent.mkdir(exist_ok=True)
        with paths.written_whole(original) as fresh:
            shutil.copy2(mask, fresh)
    elif not filecmp.cmp(mask, original, shallow=False):
        raise FileExistsError(f"{original} is there already and differs from {mask}; move it away")
    target = mask if mask.suffix.lower() == ".png" else mask.with_suffix(".png")
    with paths.written_whole(target) as fresh:
        fitting.save(fresh, "PNG")
    if target != mask:
        mask.unlink()
    return target
