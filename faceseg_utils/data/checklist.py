"""The check-list to run before any training: every file is looked at, and every fault becomes one line."""

import filecmp
import shutil
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from faceseg_utils import paths
from faceseg_utils.data import catalog
from faceseg_utils.data.images import ImageError, MaskError, SizeError, read_image, read_mask
from faceseg_utils.data.layout import Item, lies_across, list_items


@dataclass(frozen=True)
class Check:
    """One line of the check-list: what was asked, whether it holds, and the first fault found."""

    question: str
    passed: bool
    detail: str

    def __str__(self) -> str:
        return f"{'pass' if self.passed else 'FAIL'}  {self.question}: {self.detail}"


def check_list(name: str | Path = "sample") -> list[Check]:
    """Look at every file of a dataset before training on it. Faults become failed lines, never exceptions.

    Asks: does every photo have its mask and every mask its photo, can every file be read, do sizes agree, do masks
    hold only the values they may, is any mask empty, do the splits share a photo.
    """
    info, root = catalog.find(name)
    view = info.views[info.default_view]
    labelled = [split for split, (_, masks) in info.splits.items() if masks]
    items, unpaired = {}, []
    for split in labelled:
        try:
            items[split] = list_items(info, root, split, view)
        except (ValueError, OSError) as error:
            unpaired.append(str(error))
    checks = [Check("every photo has its mask, every mask its photo", not unpaired, (unpaired or ["yes"])[0])]
    if unpaired:
        return checks
    faults: dict[type, list[str]] = {ImageError: [], SizeError: [], MaskError: []}
    empty, count = [], 0
    for item in (item for part in items.values() for item in part):
        count += 1
        try:
            if not (item.read()[1] > 0).any():
                empty.append(item.mask.name)
        except tuple(faults) as error:
            faults[type(error)].append(str(error))
    for question, found in (
        ("every file can be read", faults[ImageError]),
        ("photo and mask have the same size", faults[SizeError]),
        ("masks hold only the values they may", faults[MaskError]),
        ("no mask is empty", empty),
    ):
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        checks.append(Check(question, not found, found[0] + more if found else f"{count} looked at"))
    shared = set.intersection(*({item.image for item in part} for part in items.values())) if len(items) > 1 else set()
    sizes = " + ".join(f"{len(part)} {split}" for split, part in items.items())
    detail = f"in both: {', '.join(sorted(path.name for path in shared)[:3])}" if shared else sizes
    return [*checks, Check("no photo is in two splits", not shared, detail)]


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
            fixed += _fix_size(item)
        except (ImageError, MaskError):
            continue
    return fixed


def _fix_size(item: Item) -> list[Path]:
    size = read_image(item.image, largest=None).shape[:2]
    mask = read_mask(item.mask, item.info)
    if lies_across(mask.shape, size):
        return []
    masks = item.mask.parent
    original = masks.with_name(f"{masks.name}_original") / item.mask.name
    if not original.exists():
        original.parent.mkdir(exist_ok=True)
        with paths.written_whole(original) as fresh:
            shutil.copy2(item.mask, fresh)
    elif not filecmp.cmp(item.mask, original, shallow=False):
        raise FileExistsError(f"{original} is there already and differs from {item.mask}; move it away")
    target = item.mask if item.mask.suffix.lower() == ".png" else item.mask.with_suffix(".png")
    with paths.written_whole(target) as fresh:
        Image.fromarray(mask * 255).resize(size[::-1], Image.Resampling.NEAREST).save(fresh, "PNG")
    if target != item.mask:
        item.mask.unlink()
    return [target]
