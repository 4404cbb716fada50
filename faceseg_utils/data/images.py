"""The one reader of photos and masks: one layout of pixels, and for every fault one line that names the file."""

import contextlib
import io
import os
import stat
import unicodedata
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from faceseg_utils.data.catalog import DatasetInfo

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
OTHER_SUFFIXES = {".tif", ".tiff", ".gif", ".heic", ".heif", ".avif", ".jfif", ".jp2", ".jxl", ".dng"}  # not read
FORMATS = ("JPEG", "PNG", "BMP", "WEBP")  # Pillow reads more, and hands EPS to Ghostscript
LARGEST = 25_000_000  # pixels of a photo to segment or score, which takes some 40 bytes for each of them
MOST, LONGEST = 100_000_000, 65_535  # pixels of a file that is decoded to be scaled down: in all, and along a side

ORIENTATION = 0x0112  # EXIF tag: phones store photos as the sensor lies and note here how to turn them
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip


class ImageError(ValueError):
    """A file that cannot be read as a photo or mask."""


class MaskError(ValueError):
    """A mask that holds other values than its dataset's masks may hold."""


class SizeError(ValueError):
    """A mask and its photo have different sizes."""


def read_image(path: str | Path, largest: int | None = LARGEST, content: bytes | None = None) -> np.ndarray:
    """A photo as uint8 [H, W, 3], RGB, upright by its EXIF.

    A photo of more than `largest` pixels is scaled down to that. None never scales, so that photos keep the size of
    their masks, and refuses those of more than `LARGEST` pixels. 16 bits are cut to 8, other modes become RGB,
    transparent pixels white. With `content`, the bytes of a file that is in memory, `path` is only its name. Raises
    ImageError in one line that names the file, whatever is wrong with it.
    """
    with _opened(path, MOST if largest else LARGEST, content) as file:
        turn, image = _turn(file), _opaque(file)
        if image is not file:
            file.close()  # and frees the pixels, a few hundred megabytes of a large photo
        if largest and (shrink := (largest / (image.width * image.height)) ** 0.5) < 1:
            image.thumbnail([max(1, int(side * shrink)) for side in image.size])
        image = image if turn is None else image.transpose(turn)
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _opaque(file: Image.Image) -> Image.Image:
    """The image in 8 bits, on white where it is transparent."""
    if file.mode.startswith("I"):  # 16 bits of grey: `convert` would turn everything above 255 white
        values = np.asarray(file)
        grey = (values >> 8).astype(np.uint8)
        grey[values == file.info.get("transparency", -1)] = 255
        return Image.fromarray(grey)
    if not _may_be_transparent(file):
        return file
    layer = file if file.mode == "RGBA" else file.convert("RGBA")
    image = Image.new("RGB", file.size, "white")
    image.paste(layer, mask=layer)
    return image


def _may_be_transparent(file: Image.Image) -> bool:
    return "A" in file.getbands() or "transparency" in file.info


def _turn(file: Image.Image) -> Image.Transpose | None:
    """What turns the image upright, as its EXIF says; damaged EXIF is as good as none."""
    if file.format == "PNG":
        file.load()  # its EXIF may follow the pixels
    with contextlib.suppress(Exception):
        return TURNS.get(file.getexif().get(ORIENTATION))
    return None


def read_mask(path: str | Path, info: DatasetInfo) -> np.ndarray:
    """A mask file as stored classes, uint8 [H, W], values 0..K-1, turned by its EXIF as a photo is.

    A palette of greys is read as the greys that it shows, a palette of colours as class numbers. Raises MaskError
    naming the file for values that its dataset's masks may not hold, for colours where grey is expected, and for
    transparency that contradicts the values; ImageError where the file cannot be read.
    """
    if info.encoding == "colour":
        return nearest_colour(read_image(path, None), info.colours)
    with _opened(path, LARGEST) as file:
        try:
            classes = _classes(_values(file, info), info)
            if _may_be_transparent(file):
                alpha = np.asarray(file.convert("RGBA"))[..., 3]
                if alpha.min() < 255 and ((alpha > 127) != (classes > 0)).any():
                    raise MaskError("mask is partly transparent; save it as plain grey, without an alpha channel")
        except MaskError as error:
            raise MaskError(f"{shown(path)}: {error}") from None
        turn = _turn(file)
        return classes if turn is None else np.asarray(Image.fromarray(classes).transpose(turn))


def _values(file: Image.Image, info: DatasetInfo) -> np.ndarray:
    """The greys of a mask file, or the class numbers of its palette: [H, W], 8 or 16 bits."""
    if file.mode == "P":
        indices, palette = np.asarray(file), np.array(file.getpalette("RGB")).reshape(-1, 3)
        used = palette[np.unique(indices)]
        return palette[:, 0][indices] if info.encoding == "binary" and (used == used[:, :1]).all() else indices
    if file.mode in ("1", "L", "LA"):
        return np.asarray(file.convert("L"))
    if file.mode.startswith("I"):
        return np.asarray(file)
    colours = np.asarray(file.convert("RGB"))
    if (colours != colours[..., :1]).any():
        raise MaskError("mask is coloured; save it as grey, or with a palette")
    return colours[..., 0]


def _classes(values: np.ndarray, info: DatasetInfo) -> np.ndarray:
    present = set(np.unique(values).tolist())
    if info.encoding == "binary":
        for person in (1, 255, 65535):  # 65535: 16 bits
            if present <= {0, person}:
                return (values == person).astype(np.uint8)
        stray, wanted = present - {0, 255}, "only 0 (background) and 255 (person)"
    else:
        known = len(next(iter(info.views.values())).lookup)
        stray, wanted = present - set(range(known)), f"class indices 0 to {known - 1}"
    if stray:
        few = ", ".join(map(str, sorted(stray)[:5])) + (", ..." if len(stray) > 5 else "")
        raise MaskError(f"mask holds the values {few} but may hold {wanted}; was it saved as JPEG or scaled?")
    return values.astype(np.uint8)


def nearest_colour(rgb: np.ndarray, colours: tuple) -> np.ndarray:
    """Class of the nearest palette colour for every pixel: resampled label pictures hold thousands of strays."""
    distance = [((rgb.astype(np.int32) - colour) ** 2).sum(-1) for colour in np.array(colours)]
    return np.argmin(distance, axis=0).astype(np.uint8)


def shown(name: str | Path) -> str:
    """A file's name fit to be printed on one line: line breaks, control characters and broken UTF-8 are spelt out."""
    plain = (c.isprintable() or unicodedata.category(c) == "Zs" for c in str(name))  # Zs: spaces
    return "".join(c if fine else repr(c)[1:-1] for c, fine in zip(str(name), plain))


def not_a_file(path: str | Path) -> str:
    """Why `path` cannot be a photo, "" if it can: only plain files are opened (a pipe would block for ever)."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return "a link to nowhere" if os.path.islink(path) else "no such file"
    except (OSError, ValueError) as error:
        return f"cannot be opened ({getattr(error, 'strerror', error)})"
    if stat.S_ISREG(found.st_mode):
        return "" if found.st_size else "the file is empty; fetch or export it again"
    return f"{'a folder' if stat.S_ISDIR(found.st_mode) else 'a pipe or device'}, not a file"


@contextlib.contextmanager
def _opened(path: str | Path, most: int, content: bytes | None = None):
    """The opened file of at most `most` pixels. Decoders raise all kinds of errors; here they become ImageError."""
    name, head = shown(path), b""
    if reason := not_a_file(path) if content is None else "" if content else "the file is empty; choose it again":
        raise ImageError(f"{name}: {reason}")
    try:
        with warnings.catch_warnings(), open(path, "rb") if content is None else io.BytesIO(content) as source:
            warnings.simplefilter("ignore")  # of odd EXIF, and of more pixels than Pillow likes: MOST looks after them
            head = source.read(12)
            with Image.open(source, formats=FORMATS) as file:
                if most == MOST < file.width * file.height:  # to be scaled down: a JPEG can be decoded at half its size
                    file.draft(None, (file.width // 2, file.height // 2))
                if file.width * file.height > most or max(file.size) > LONGEST:
                    raise Image.DecompressionBombError
                yield file
    except (ImageError, MaskError):
        raise
    except UnidentifiedImageError:
        heic = head[4:8] == b"ftyp"  # the container of HEIC, AVIF and films
        remedy = "is it HEIC or AVIF? Export it as JPEG" if heic else "choose a JPEG, PNG, WebP or BMP"
        raise ImageError(f"{name}: no image that can be read; {remedy}") from None
    except Image.DecompressionBombError:
        limit = f"{most // 10**6} megapixels, no side above {LONGEST} pixels"
        raise ImageError(f"{name}: too many pixels; scale it down (at most {limit})") from None
    except MemoryError:
        raise ImageError(f"{name}: too little memory is free to read it; scale it down") from None
    except Exception as error:
        if getattr(error, "errno", None):
            raise ImageError(f"{name}: cannot be opened ({error.strerror})") from None
        reason = shown(" ".join(str(error).split())[:80]) or type(error).__name__
        fault = f"cannot be read as an image, it is cut off or damaged ({reason})"
        raise ImageError(f"{name}: {fault}; fetch the file again or remove it") from None
