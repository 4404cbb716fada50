"""Masks and cut-outs of photo files: no photo is lost, overwritten, or passed over without a word."""

import contextlib
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageColor, ImageFilter, ImageOps
from tqdm import tqdm

from faceseg_utils import paths
from faceseg_utils.data.catalog import PALETTES
from faceseg_utils.data.images import LARGEST, SUFFIXES, ImageError, opened, read_image, shown
from faceseg_utils.model import Segmenter

PERSON_FILES = ("_mask.png", "_cutout.png")
CLASSES_FILES = ("_mask.png", "_colours.png", "_areas.csv")


@dataclass(frozen=True)
class Done:
    """What `predict_files` did: the files of each photo, why photos were skipped, and what in a folder is no photo."""

    written: dict[Path, list[Path]] = field(default_factory=dict)
    skipped: dict[Path, str] = field(default_factory=dict)
    left_out: list[Path] = field(default_factory=list)


def predict_files(
    segmenter: Segmenter,
    inputs: list[str | Path],  # photos, and folders to be searched with their subfolders
    out: str | Path,
    mask_only: bool = False,  # the masks alone
    hard: bool = False,  # cut-outs without half-transparent pixels
    background: str = "transparent",  # of cut-outs; or "blur" (the photo's own), a colour, a picture file
    overwrite: bool = False,  # replace what is in `out` already, but never one of the photos
) -> Done:
    """Write NAME_mask.png and NAME_cutout.png of every photo into the folder `out`.

    A model of K classes writes, in place of the cut-out, NAME_colours.png, the photo under the colours of the classes,
    and NAME_areas.csv: how many pixels each class has, and what share that is. `out` gets the subfolders of a folder
    that is searched, and of several folders each keeps its name. Hidden files do not count; what else is no photo is
    named in one line. Masks have the size of their photo: 0 and 255, or a palette PNG with the numbers of K classes.
    Photos that share a name keep their suffix (me.jpg_mask.png).

    A photo that cannot be read is reported in one line and the others go on. Raises, before anything is written,
    FileNotFoundError for a missing input, FileExistsError where a file would be overwritten, ValueError for two photos
    with one result or options that do not go together. OSError names the file that a full disk has no room for; an
    older one stays whole.
    """
    out, person = Path(out), segmenter.config.channels == 1
    if (mask_only or not person) and (hard or background != "transparent"):
        why = "mask_only writes none" if mask_only else f"a model of {len(segmenter.classes)} classes makes none"
        raise ValueError(f"hard and background are for cut-outs, and {why}")
    ground, done = new_background(background), Done()
    places = places_of(find_photos([Path(given) for given in inputs], out, done))
    endings = (PERSON_FILES if person else CLASSES_FILES)[: 1 if mask_only else None]
    files = {photo: [out / f"{place}{ending}" for ending in endings] for photo, place in places.items()}
    refuse_overwriting([file for results in files.values() for file in results], [*files, background], out, overwrite)
    for photo, results in tqdm(files.items(), unit="photo", disable=None if len(files) > 1 else True):
        try:
            if len(os.fsencode(results[-1].name)) > 250:  # bytes; file systems take 255
                raise ImageError("its name is too long to be followed by _cutout.png")
            for file, result in zip(results, segmented(segmenter, photo, hard, ground)):  # the mask comes first
                file.parent.mkdir(parents=True, exist_ok=True)
                with paths.written_whole(file) as fresh:
                    result.save(fresh, "PNG") if file.suffix == ".png" else result.to_csv(fresh, lineterminator="\n")
            done.written[photo] = results
        except (ImageError, MemoryError) as error:
            _skip(done, photo, "needs more memory than is free" if isinstance(error, MemoryError) else str(error))
    return done


def _skip(done: Done, path: Path, reason: str) -> None:
    done.skipped[path] = reason.removeprefix(f"{shown(path)}: ")
    say(f"skipped {path}: {done.skipped[path]}")


def say(line: str) -> None:
    """Print a line beside a progress bar, whatever a file name holds and whatever letters the terminal can show."""
    encoding = sys.stdout.encoding or "utf-8"
    tqdm.write(shown(line).encode(encoding, "backslashreplace").decode(encoding))


def find_photos(inputs: list[Path], out: Path, done: Done) -> dict[Path, Path]:
    """{photo: its path below `out`}, each photo once. Raises FileNotFoundError for an input that is not there."""
    found, folders = {}, sum(path.is_dir() for path in inputs)
    for given in inputs:
        if not given.exists():
            raise FileNotFoundError(f"{given}: no such file or folder")
        # One folder of several keeps its name, as with `cp -r`.
        top = given if folders == 1 and given.is_dir() else Path(os.path.abspath(given)).parent
        for photo in _photos_below(given, out, done) if given.is_dir() else [given]:
            found.setdefault(os.path.abspath(photo), (photo, Path(os.path.relpath(photo, top))))
    if done.left_out:
        names = ", ".join(map(str, done.left_out[:5])) + (", ..." if len(done.left_out) > 5 else "")
        say(f"left out {len(done.left_out)}: {names} (neither JPEG, PNG, BMP or WebP nor a folder to search)")
    return dict(found.values())


def _photos_below(folder: Path, out: Path, done: Done) -> Iterator[Path]:
    try:
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        return _skip(done, folder, f"cannot be opened ({error.strerror})")
    for path in entries:
        if path.is_dir() and not path.is_symlink() and path.resolve() != out.resolve():
            yield from _photos_below(path, out, done)
        elif path.suffix.lower() in SUFFIXES and not path.is_dir():
            yield path
        else:
            done.left_out.append(path)


def places_of(photos: dict[Path, Path]) -> dict[Path, Path]:
    """{photo: where its files go, without ending}, from {photo: its path}. Raises ValueError for two alike."""

    def key(path):  # equal for names that some file systems take for one
        return unicodedata.normalize("NFC", str(path)).casefold()

    shared, taken = Counter(key(path.with_suffix("")) for path in photos.values()), {}
    for photo, path in photos.items():
        place = path if shared[key(path.with_suffix(""))] > 1 else path.with_suffix("")
        other, _ = taken.setdefault(key(place), (photo, place))
        if other != photo:
            raise ValueError(f"{other} and {photo} would share {place}_mask.png: rename one, or predict them apart")
    return dict(taken.values())


def refuse_overwriting(files: list[Path], photos: list[str | Path], out: Path, overwrite: bool) -> None:
    """FileExistsError where one of `files` is there already or a photo, ValueError where a link leads out of `out`."""
    if os.path.lexists(out) and not out.is_dir():
        raise ValueError(f"{out} is a file: choose a folder for the results")
    for folder in {file.parent for file in files}:
        if not folder.resolve().is_relative_to(out.resolve()):
            raise ValueError(f"{folder} leads out of {out}: choose another folder for the results")
    there = [file for file in files if os.path.lexists(file)]
    read = {os.stat(path)[1:3] for path in photos if os.path.exists(path)}  # inode and device: also of links
    for file in there:
        if os.path.exists(file) and os.stat(file)[1:3] in read:
            raise FileExistsError(f"{file} is itself a photo to be read: choose another folder for the results")
    if there and not overwrite:
        remedy = "choose another folder for the results, or overwrite=True (on the command line: --overwrite)"
        raise FileExistsError(f"{there[0]} is there already: {remedy}")


def segmented(segmenter: Segmenter, path: Path, hard: bool = False, background=None) -> Iterator:
    """The mask of a photo file, then its cut-out, or for K classes the picture in their colours and their areas."""
    channels = segmenter.config.channels
    photo = read_image(path, LARGEST // channels)                           # [H, W, 3]
    size = photo.shape[:2]
    with opened(path, most=2**40) as file:  # it may be larger than `photo`, and lie on its side
        native = min(file.size[::-1], file.size, key=lambda other: abs(other[0] * size[1] - other[1] * size[0]))
    if size != native:
        large = f"{native[0]} x {native[1]} (height x width) pixels were scaled down to {size[0]} x {size[1]}"
        say(f"{path}: {large}; the mask has the photo's size, the other picture the smaller one")
    probabilities = segmenter.predict(photo)                                # [H, W] or [K, H, W]
    mask = probabilities.argmax(0) if channels > 1 else (probabilities > 0.5) * np.uint8(255)
    mask = Image.fromarray(mask.astype(np.uint8))
    if segmenter.classes in PALETTES and channels > 1:
        mask.putpalette(np.array(PALETTES[segmenter.classes], np.uint8).tobytes())
    native_mask = mask.resize(native[::-1], Image.Resampling.NEAREST)
    yield native_mask
    if channels == 1:
        person = cut_out(photo, probabilities, hard)
        yield person if background is None else laid_on(background, photo, person)
    else:
        yield Image.blend(Image.fromarray(photo), mask.convert("RGB"), 0.5)
        areas = pd.DataFrame({"class": segmenter.classes, "pixels": native_mask.histogram()[:channels]})
        yield areas.assign(share=(areas["pixels"] / areas["pixels"].sum()).round(6)).set_index("class")


def cut_out(photo: np.ndarray, probability: np.ndarray, hard: bool = False) -> Image.Image:
    """The person on a transparent ground, RGBA. Hidden pixels are black, so that the background cannot be recovered.

    A network is hardly ever sure: at 0.02 a wall leaves a ghost on white, at 0.97 the ground shines through a face.
    So only probabilities between 0.1 and 0.9, those of the border, become half-transparent; with `hard` none.
    """
    soft = ((probability - 0.1) * np.float32(255 / 0.8)).clip(0, 255).round()
    alpha = ((probability > 0.5) * 255.0 if hard else soft).astype(np.uint8)         # [H, W]
    return Image.fromarray(np.dstack([photo * (alpha > 0)[..., None], alpha]))


def new_background(name: str) -> None | str | tuple[int, int, int] | Image.Image:
    """The `background` of `predict_files`: None if transparent, "blur", a colour or a picture."""
    if name in ("transparent", "blur"):
        return None if name == "transparent" else name
    with contextlib.suppress(ValueError):
        return ImageColor.getrgb(name)[:3]
    if Path(name).is_file():
        return Image.fromarray(read_image(name))
    hint = paths.did_you_mean(name, ["transparent", "blur", *ImageColor.colormap])
    raise ValueError(f"background '{name}': neither transparent, blur, a colour nor a picture file.{hint}")


def laid_on(background: str | tuple | Image.Image, photo: np.ndarray, person: Image.Image) -> Image.Image:
    """The cut-out `person` on a colour, on a picture that covers the photo, or on the photo out of focus: RGB."""
    if isinstance(background, tuple):
        ground = Image.new("RGB", person.size, background)
    elif isinstance(background, Image.Image):
        ground = ImageOps.fit(background, person.size)
    else:  # in RGBa colours are weighted by their alpha: the person is left out of the blur and leaves no halo in it
        ground = Image.fromarray(np.dstack([photo, 255 - np.asarray(person)[..., 3]])).convert("RGBa")
        ground = ground.reduce(max(1, max(person.size) // 1000))  # a blur needs no more pixels
        ground = ground.filter(ImageFilter.GaussianBlur(max(ground.size) / 40)).convert("RGBA").convert("RGB")
        ground = ground.resize(person.size, Image.Resampling.BILINEAR)
    ground.paste(person, mask=person)
    return ground
