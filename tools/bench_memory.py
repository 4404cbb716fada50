"""Resident memory against the number of photos read: `python -m tools.bench_memory`.

Made-up JPEGs of 12 megapixels with masks are read one after the other, once as they are and once through the transform
of a network of 256 x 192 pixels. Up to `--limit` decoded photos are kept; beyond it memory stays flat. Needs Linux.
"""

import argparse
import shutil
import tempfile
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from faceseg_utils.data.cache import Kept
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.transforms import Pipeline


def write_photos(folder: Path, count: int, height: int, width: int) -> None:
    """`count` photos of a light ellipse on a dark ground, and their masks, in the layout of a folder of one's own."""
    rows, columns = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    person = rows**2 + columns**2 < 0.5
    photo = np.where(person[..., None], (220, 170, 140), (40, 60, 90)).astype(np.uint8)
    for name, suffix, picture in (("images", ".jpg", photo), ("masks", ".png", person.astype(np.uint8) * 255)):
        (folder / name).mkdir(parents=True)
        Image.fromarray(picture).save(folder / name / f"0000{suffix}")
        for number in range(1, count):
            shutil.copy(folder / name / f"0000{suffix}", folder / name / f"{number:04d}{suffix}")


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def measure(folder: Path, limit: int, transform, steps: list[int]) -> list[tuple[int, int]]:
    """(bytes kept, bytes resident beyond those at the start) after so many photos have been read."""
    photos, start, rows = PortraitDataset(folder, "all", transform=transform), resident(), []
    photos._kept = Kept(limit)
    for number in range(steps[-1]):
        photos[number]
        if number + 1 in steps:
            rows.append((photos._kept.bytes, resident() - start))
    return rows


def main(arguments: list[str] | None = None) -> list[list[int]]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=48)
    parser.add_argument("--size", type=int, nargs=2, default=(4000, 3000), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--limit", type=float, default=600, help="megabytes of decoded photos to keep")
    given = parser.parse_args(arguments)
    steps = sorted({max(1, round(given.photos * share / 8)) for share in range(1, 9)})
    with tempfile.TemporaryDirectory() as folder:
        write_photos(Path(folder), given.photos, *given.size)
        found = []
        for transform in (None, Pipeline((256, 192))):
            with get_context("spawn").Pool(1) as fresh:  # memory that another measurement freed would blur this one
                found.append(fresh.apply(measure, (Path(folder), int(given.limit * 1e6), transform, steps)))
    rows = [[step, *plain, *fitted] for step, plain, fitted in zip(steps, *found)]
    print(f"MB beyond the start; photos of {given.size[0]} x {given.size[1]} pixels, limit {given.limit:g} MB")
    print("photos   as they are: kept  resident   with a transform: kept  resident")
    for step, kept, memory, small, little in rows:
        print(f"{step:6d} {kept / 1e6:19.0f} {memory / 1e6:9.0f} {small / 1e6:24.1f} {little / 1e6:9.0f}")
    return rows


if __name__ == "__main__":
    main()
