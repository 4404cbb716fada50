"""The one reader of photos and masks: one layout of pixels, and for every fault one line that names the file."""

import contextlib
import io
import os
import stat
import unicodedata
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from scipy import ndimage

from faceseg_utils.data.catalog import DatasetInfo
from faceseg_utils.paths import one_line

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
OTHER_SUFFIXES = {".tif", ".tiff", ".gif", ".heic", ".heif", ".avif", ".jfif", ".jp2", ".jxl", ".dng"}  # not read
FORMATS = ("JPEG", "PNG", "BMP", "WEBP")  # Pillow reads more, and hands EPS to Ghostscript
LARGEST = 25_000_000  # pixels of a photo to segment or score, which takes some 40 bytes for each of them
MOST, LONGEST = 100_000_000, 65_535  # pixels of a file that is decoded to be scaled down: in all, and along a side

STRAY = 32  # how far a colour may lie from that of its class (distance in RGB) and still be taken for it
FAR = 96  # only along an outline, where two classes mix, do colours lie farther away than this
UNKNOWN = 220  # farther than any mixture of two classes lies from the nearest
ORIENTATION = ExifTags.Base.Orientation  # phones store photos as the sensor lies and note here how to turn them


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
    with opened(path, MOST if largest else LARGEST, content) as file:
        image = _opaque(file)
        if image is not file:
            file.close()  # and frees the pixels, a few hundred megabytes of a large photo
        if largest and (shrink := (largest / (image.width * image.height)) ** 0.5) < 1:
            image.thumbnail([max(1, int(side * shrink)) for side in image.size])
        image = _upright(image, file.info)
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _opaque(file: Image.Image) -> Image.Image:
    """The image in 8 bits, on white where it is transparent."""
    if file.mode.startswith("I"):  # 16 bits of grey: `convert` would turn everything above 255 white
        values = np.asarray(file)
        grey = (values >> 8).astype(np.uint8)
        grey[values == file.info.get("transparency", -1)] = 255
        return Image.fromarray(grey)
    if "A" not in file.getbands() and "transparency" not in file.info:
        return file
    layer = file if file.mode == "RGBA" else file.convert("RGBA")
    image = Image.new("RGB", file.size, "white")
    image.paste(layer, mask=layer)
    return image


def _upright(image: Image.Image, info: dict) -> Image.Image:
    """The image, turned as the EXIF in its file's `info` says; damaged EXIF is as good as none."""
    image.load()  # the EXIF of a PNG may follow the pixels
    image.info = info
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception as error:  # of any kind: EXIF cannot be read, or not be written anew once the image is turned
        if isinstance(error, MemoryError):
            raise
    return image


def read_mask(path: str | Path, info: DatasetInfo) -> np.ndarray:
    """A mask file as stored classes, uint8 [H, W], values 0..K-1, turned by its EXIF as a photo is.

    A palette of greys is read as the greys that it shows, a palette of colours as class numbers. Raises MaskError
    naming the file for values that its dataset's masks may not hold, for colours where grey is expected, and for
    transparency that contradicts the values; ImageError where the file cannot be read.
    """
    if info.encoding == "colour":
        classes, _ = _nearest(path, read_image(path, None), info)
        return classes
    with opened(path, LARGEST) as file:
        classes = _classes(_values(file, info), info)
        if "A" in file.getbands() or "transparency" in file.info:
            alpha = np.asarray(file.convert("RGBA"))[..., 3]
            if alpha.min() < 255 and ((alpha > 127) != (classes > 0)).any():
                raise MaskError("mask is partly transparent; save it as plain grey, without an alpha channel")
        return np.asarray(_upright(Image.fromarray(classes), file.info))


def stray_pixels(path: str | Path, info: DatasetInfo) -> int:
    """How many pixels of a colour-coded mask have none of its classes' colours. Raises as `read_mask` does."""
    return int((_nearest(path, read_image(path, None), info)[1] > 0).sum())


def _nearest(path: str | Path, rgb: np.ndarray, info: DatasetInfo) -> tuple[np.ndarray, np.ndarray]:
    """The class of the nearest colour, uint8 [H, W], and how far that is, [H, W]: resampled labels have stray colours.

    The mixture of two classes along an outline may look like a third (yellow skin and blue eyes mix to brown hair). So
    a stray takes the nearest of the classes that lie around it, in 5 x 5 pixels, in their own colours.
    """
    rgb, colours = rgb.astype(np.int32), np.array(info.colours, np.int32)
    squares = np.stack([((rgb - colour) ** 2).sum(-1, dtype=np.int32) for colour in colours])           # [K, H, W]
    nearest, distance = squares.argmin(0), np.sqrt(squares.min(0))
    for what, wrong, most in (
        ("colours of no class", distance > UNKNOWN, 0),
        ("colours between classes", distance > FAR, 0.05),
    ):
        if wrong.mean() > most:
            at, pixels = tuple(np.argwhere(wrong)[0].tolist()), f"{wrong.sum()} pixels ({wrong.mean():.1%})"
            first = f"the first is {tuple(rgb[at].tolist())} in row {at[0]}, column {at[1]}"
            raise MaskError(f"{shown(path)}: mask has {pixels} in {what}, {first}; is it the mask of another dataset?")
    own = distance <= STRAY
    around = np.stack([ndimage.binary_dilation(own & (nearest == c), np.ones((5, 5))) for c in range(len(squares))])
    squares[~around & around.any(0)] = np.iinfo(np.int32).max
    return squares.argmin(0).astype(np.uint8), distance


def _values(file: Image.Image, info: DatasetInfo) -> np.ndarray:
    """The greys of a mask file, or the class numbers of its palette: [H, W], 8 or 16 bits."""
    if file.mode == "P":
        indices, palette = np.asarray(file), np.array(file.getpalette("RGB")).reshape(-1, 3)
        used = palette[np.unique(indices)]
        if info.encoding == "index" and (used != used[:, :1]).any():
            _check_palette(np.unique(indices), used, info)
        return palette[:, 0][indices] if info.encoding == "binary" and (used == used[:, :1]).all() else indices
    if file.mode == "L" or file.mode.startswith("I"):
        return np.asarray(file)
    colours = np.asarray(file.convert("RGB"))
    if (colours != colours[..., :1]).any():
        raise MaskError("mask is coloured; save it as grey, or with a palette")
    return colours[..., 0]


def _check_palette(numbers: np.ndarray, used: np.ndarray, info: DatasetInfo) -> None:
    """Raises MaskError where class numbers come in the colours of some other numbering."""
    stored = next((view for view in info.views.values() if view.lookup == tuple(range(len(view.classes)))), None)
    for number, colour in zip(numbers.tolist(), map(tuple, used.tolist())):
        if stored and number < len(stored.classes) and colour != stored.palette[number]:
            name, ours = stored.classes[number], stored.palette[number]
            fault = f"mask shows class {number} in {colour}, but {name} is {ours} here"
            raise MaskError(f"{fault}; if its numbers are these classes, save it as plain grey")


def _classes(values: np.ndarray, info: DatasetInfo) -> np.ndarray:
    present = set(np.unique(values).tolist())
    if info.encoding == "binary":
        for person in (1, 255, 65535):  # 65535: 16 bits
            if present <= {0, person}:
                return (values == person).astype(np.uint8)
        known, wanted = {0, 255}, "only 0 (background) and 255 (person)"
    else:
        known = set(range(len(info.views[info.default_view].lookup)))
        wanted = f"class indices 0 to {max(known)}"
    if stray := sorted(present - known):
        few = ", ".join(map(str, stray[:5])) + (", ..." if len(stray) > 5 else "")
        raise MaskError(f"mask holds the values {few} but may hold {wanted}; was it saved as JPEG or scaled?")
    return values.astype(np.uint8)


def shown(name: str | Path) -> str:
    """A file's name fit to be printed on one line: line breaks, control characters and broken UTF-8 are spelt out."""
    return "".join(c if c.isprintable() or unicodedata.category(c) == "Zs" else repr(c)[1:-1] for c in str(name))


def not_a_file(path: str | Path) -> str:
    """Why `path` cannot be a photo, "" if it can: only plain files are opened (a pipe would block for ever)."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return "a link to nowhere" if os.path.islink(path) else "no such file"
    except (OSError, ValueError) as error:
        return f"cannot be opened ({getattr(error, 'strerror', error)})"
    if stat.S_ISREG(mode):
        return ""
    return f"{'a folder' if stat.S_ISDIR(mode) else 'a pipe or device'}, not a file"


@contextlib.contextmanager
def opened(path: str | Path, most: int, content: bytes | None = None):
    """The opened file of at most `most` pixels. Whatever goes wrong while it is read becomes Image- or MaskError."""
    head = b""
    try:
        if content is None and (reason := not_a_file(path)):
            raise ImageError(reason)
        with warnings.catch_warnings(), open(path, "rb") if content is None else io.BytesIO(content) as source:
            warnings.simplefilter("ignore")  # of odd EXIF, and of more pixels than Pillow likes: MOST looks after them
            head = source.read(12)
            with Image.open(source, formats=FORMATS) as file:
                if most == MOST < file.width * file.height:  # to be scaled down: a JPEG can be decoded at half its size
                    file.draft(None, (file.width // 2, file.height // 2))
                if file.width * file.height > most or max(file.size) > LONGEST:
                    raise Image.DecompressionBombError
                yield file
    except Exception as error:
        kind = MaskError if isinstance(error, MaskError) else ImageError
        raise kind(f"{shown(path)}: {_fault(error, head, most)}") from None


def _fault(error: Exception, head: bytes, most: int) -> str:
    """What is wrong with a file that begins with `head`, and what to do. Decoders raise all kinds of errors."""
    if isinstance(error, (ImageError, MaskError)):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        if not head:
            return "the file is empty; fetch, export or choose it again"
        heic = head[4:8] == b"ftyp"  # the container of HEIC, AVIF and films
        remedy = "is it HEIC or AVIF? Export it as JPEG" if heic else "choose a JPEG, PNG, WebP or BMP"
        return f"no image that can be read; {remedy}"
    if isinstance(error, Image.DecompressionBombError):
        return f"too many pixels; scale it down (at most {most // 10**6} megapixels, no side above {LONGEST} pixels)"
    if isinstance(error, MemoryError):
        return "too little memory is free to read it; scale it down"
    if getattr(error, "errno", None):
        return f"cannot be opened ({error.strerror})"
    reason = shown(one_line(error, 80)) or type(error).__name__
    return f"cannot be read as an image, it is cut off or damaged ({reason}); fetch the file again or remove it"
