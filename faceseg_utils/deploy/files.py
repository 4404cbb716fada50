"""Masks and cut-outs of photo files: no photo is lost, overwritten, or passed over without a word."""

import contextlib
import itertools
import os
import sys
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageFilter, ImageOps
from tqdm import tqdm

from faceseg_utils import paths
from faceseg_utils.data.catalog import PALETTES
from faceseg_utils.data.images import FORMATS, LARGEST, ORIENTATION, SUFFIXES, ImageError, read_image, shown
from faceseg_utils.model import Segmenter


@dataclass(frozen=True)
class Done:
    """What `predict_files` did: the files of each photo, why photos were skipped, and what in a folder is no photo."""

    written: dict[Path, list[Path]] = field(default_factory=dict)
    skipped: dict[Path, str] = field(default_factory=dict)
    left_out: list[Path] = field(default_factory=list)


def predict_files(
    segmenter: Segmenter,
    inputs: list[str | Path],
    out: str | Path,
    mask_only: bool = False,
    hard: bool = False,
    background: str = "transparent",
    overwrite: bool = False,
) -> Done:
    """Write NAME_mask.png, and for person or background NAME_cutout.png, of every photo into the folder `out`.

    Parameters
    ----------
    inputs : photos and folders. A folder is searched with its subfolders, and `out` gets the same subfolders (of
        several folders each keeps its name, too). Hidden files do not count; other files are named in one line.
    mask_only : no cut-outs.
    hard : cut-outs without half-transparent pixels.
    background : of the cut-outs: "transparent", "blur" (the photo's own, out of focus), a colour such as "white" or
        "#00ff00", or a picture file.
    overwrite : replace files that are in `out` already. The photos themselves are never replaced.

    Masks have the size of their photo: 0 and 255, or for K classes a palette PNG, which holds class numbers and shows
    colours. Photos that share a name keep their suffix (me.jpg_mask.png), and get a number if they share this, too.

    A photo that cannot be read is reported in one line and the others go on. Before anything is written it raises
    FileNotFoundError for an input that is not there, FileExistsError where a file would be overwritten, ValueError for
    options that do not go together. OSError names the file that a full disk has no room for; an older one stays whole.
    """
    out, person = Path(out), segmenter.config.channels == 1
    if (mask_only or not person) and (hard or background != "transparent"):
        why = "mask_only writes none" if mask_only else f"a model of {len(segmenter.classes)} classes makes none"
        raise ValueError(f"hard and background are for cut-outs, and {why}")
    ground, done = new_background(background), Done()
    places = places_apart(find_photos([Path(given) for given in inputs], out, done))
    endings = ("_mask.png", "_cutout.png") if person and not mask_only else ("_mask.png",)
    files = {photo: [out / f"{place}{ending}" for ending in endings] for photo, place in places.items()}
    refuse_overwriting([file for results in files.values() for file in results], [*files, background], out, overwrite)
    for photo, results in tqdm(files.items(), unit="photo", disable=None if len(files) > 1 else True):
        if len(os.fsencode(results[-1].name)) > 250:  # bytes; file systems take 255
            _skip(done, photo, "its name is too long to be followed by _cutout.png")
            continue
        try:
            for picture, file in zip(segmented(segmenter, photo, hard, ground), results):  # the mask comes first
                file.parent.mkdir(parents=True, exist_ok=True)
                with paths.written_whole(file) as fresh:
                    picture.save(fresh, "PNG")
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


# --- Which photos, and where their files go ---------------------------------------------------------------------------


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
        if path.is_dir() and not path.is_symlink() and not (out.exists() and path.samefile(out)):
            yield from _photos_below(path, out, done)
        elif path.suffix.lower() in SUFFIXES and not path.is_dir():
            yield path
        else:
            done.left_out.append(path)


def places_apart(photos: dict[Path, Path]) -> dict[Path, Path]:
    """{photo: where its files go, without ending}, from {photo: its path}: no two alike."""

    def key(path):  # equal for names that some file systems take for one
        return unicodedata.normalize("NFC", str(path)).casefold()

    names, taken, places = Counter(key(path.with_suffix("")) for path in photos.values()), set(), {}
    for photo, path in photos.items():
        alone = names[key(path.with_suffix(""))] == 1
        numbered = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
        choices = itertools.chain([path.with_suffix("") if alone else path], numbered)
        places[photo] = next(place for place in choices if key(place) not in taken)
        taken.add(key(places[photo]))
        if not alone:
            say(f"{photo} shares its name with another photo: its mask is {places[photo]}_mask.png")
    return places


def refuse_overwriting(files: list[Path], photos: list[str | Path], out: Path, overwrite: bool) -> None:
    """Raises FileExistsError where one of `files` is there already, or, with `overwrite`, where it is a photo.

    Raises ValueError where `out` is no folder, or where a link inside of it leads elsewhere.
    """
    if os.path.lexists(out) and not out.is_dir():
        raise ValueError(f"{out} is a file: choose a folder for the results")
    for folder in {file.parent for file in files}:
        if not folder.resolve().is_relative_to(out.resolve()):
            raise ValueError(f"{folder} leads out of {out}: choose another folder for the results")
    there = [file for file in files if os.path.lexists(file)]
    read = {(found.st_dev, found.st_ino) for found in map(os.stat, filter(os.path.exists, photos))}
    for file in there:
        if os.path.exists(file) and (os.stat(file).st_dev, os.stat(file).st_ino) in read:
            raise FileExistsError(f"{file} is itself a photo to be read: choose another folder for the results")
    if there and not overwrite:
        more = f" (and {len(there) - 1} more)" if len(there) > 1 else ""
        raise FileExistsError(
            f"{there[0]} is there already{more}: choose another folder for the results, or overwrite=True "
            "(on the command line: --overwrite)"
        )


# --- One photo --------------------------------------------------------------------------------------------------------


def segmented(segmenter: Segmenter, path: Path, hard: bool = False, ground=None) -> Iterator[Image.Image]:
    """The mask of a photo file, then, for person or background, its cut-out."""
    channels = segmenter.config.channels
    photo = read_image(path, LARGEST // channels)                           # [H, W, 3]
    size, native = photo.shape[:2], size_of(path, photo)
    if size != native:
        large = f"{native[0]} x {native[1]} (height x width) pixels were scaled down to {size[0]} x {size[1]}"
        say(f"{path}: {large}; the mask has the photo's size, a cut-out the smaller one")
    probabilities = segmenter.predict(photo)                                # [H, W] or [K, H, W]
    mask = probabilities.argmax(0) if channels > 1 else (probabilities > 0.5) * np.uint8(255)
    mask = Image.fromarray(mask.astype(np.uint8))
    if segmenter.classes in PALETTES and channels > 1:
        mask.putpalette(np.array(PALETTES[segmenter.classes], np.uint8).tobytes())
    yield mask.resize(native[::-1], Image.Resampling.NEAREST)
    if channels == 1 and ground is None:
        yield cut_out(photo, probabilities, hard)
    elif channels == 1:
        alpha = opacity(probabilities, hard)
        yield Image.composite(Image.fromarray(photo), ground(photo, alpha), Image.fromarray(alpha))


def size_of(path: Path, photo: np.ndarray) -> tuple[int, int]:
    """(height, width) of a file, upright as `photo`, which was read from it and perhaps scaled down."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is wrong with the file `read_image` has said
        with Image.open(path, formats=FORMATS) as file:
            size = file.size[::-1]
            if size[0] * size[1] == photo.shape[0] * photo.shape[1]:
                return photo.shape[:2]
            if file.format == "PNG":
                file.load()  # its EXIF may follow the pixels
            with contextlib.suppress(Exception):  # damaged EXIF is as good as none
                return size[::-1] if file.getexif().get(ORIENTATION) in (5, 6, 7, 8) else size
            return size


def opacity(probability: np.ndarray, hard: bool = False) -> np.ndarray:
    """How much of each pixel belongs to the person, uint8 [H, W]; `hard`: 0 or 255.

    A network is hardly ever sure: at 0.02 a wall leaves a ghost on white, at 0.97 the ground shines through a face.
    So only probabilities between 0.1 and 0.9, those of the border, are stretched over 0..255.
    """
    if hard:
        return (probability > 0.5) * np.uint8(255)
    stretched = (probability - 0.1) * np.float32(255 / 0.8)
    return stretched.clip(0, 255, out=stretched).round(out=stretched).astype(np.uint8)


def cut_out(photo: np.ndarray, probability: np.ndarray, hard: bool = False) -> Image.Image:
    """The person on a transparent ground, RGBA. Hidden pixels are black, so that the background cannot be recovered."""
    alpha = opacity(probability, hard)                                      # [H, W]
    return Image.fromarray(np.dstack([photo * (alpha > 0)[..., None], alpha]))


# --- What a cut-out is laid on: from the photo, uint8 [H, W, 3], and the opacity of the person, uint8 [H, W] ----------


def new_background(name: str):
    """The function for `background` of `predict_files`: (photo, alpha) -> picture. None for "transparent"."""
    if name == "transparent":
        return None
    if name == "blur":
        return blurred
    with contextlib.suppress(ValueError):
        return partial(plain, ImageColor.getrgb(name)[:3])
    if Path(name).is_file():
        return partial(fitted, Image.fromarray(read_image(name)))
    hint = paths.did_you_mean(name, ["transparent", "blur", *ImageColor.colormap])
    raise ValueError(f"background '{name}': neither transparent, blur, a colour nor a picture file.{hint}")


def plain(colour: tuple[int, int, int], photo: np.ndarray, alpha: np.ndarray) -> Image.Image:
    """One colour."""
    return Image.new("RGB", alpha.shape[::-1], colour)


def fitted(picture: Image.Image, photo: np.ndarray, alpha: np.ndarray) -> Image.Image:
    """A picture, scaled until it covers the photo and cropped around its centre."""
    return ImageOps.fit(picture, alpha.shape[::-1])


def blurred(photo: np.ndarray, alpha: np.ndarray) -> Image.Image:
    """The photo's own background out of focus. The person is left out of the blur and so leaves no halo in it."""
    ground = Image.fromarray(np.dstack([photo, 255 - alpha])).convert("RGBa")  # colours weighted by their alpha
    ground = ground.reduce(max(1, max(alpha.shape) // 1000))                    # a blur needs no more pixels
    ground = ground.filter(ImageFilter.GaussianBlur(max(ground.size) / 40)).convert("RGBA").convert("RGB")
    return ground.resize(alpha.shape[::-1], Image.Resampling.BILINEAR)
