"""The reader of photos and masks: as one sees them, or one line that names the file, whatever the file is."""

import io
import os
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from faceseg_utils.data import catalog, images
from faceseg_utils.data.catalog import DATASETS, FACE
from faceseg_utils.data.images import ImageError, MaskError, read_image, read_mask, shown

PHOTO = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
BINARY, INDEX = DATASETS["picsart"], DATASETS["sample"]


def encoded(image, kind="PNG", **options) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, colour_type, *chunks) -> bytes:
    """A PNG of 8 bits that promises so many pixels and has hardly any."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + pixels + png_chunk(b"IEND", b"")


def exif(*entries) -> bytes:
    """EXIF of (tag, type, count, value or offset) and, behind the entries, the number 1.5 as a double."""
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + table + bytes(4) + struct.pack("<d", 1.5)


def read(content, largest=images.LARGEST):
    return read_image("photo", largest, content)


# --- Photos as one sees them -----------------------------------------------------------------------------------------


def test_a_plain_photo_comes_back_as_it_is(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(PHOTO))
    assert (read_image(tmp_path / "a.png") == PHOTO).all() and (read_image(str(tmp_path / "a.png")) == PHOTO).all()
    assert (read(encoded(PHOTO)) == PHOTO).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
def test_every_promised_format_is_read(kind):
    assert abs(read(encoded(np.full((40, 30, 3), 90, np.uint8), kind)).astype(int) - 90).max() <= 2


def test_a_photo_of_two_cameras_is_read_as_its_first():
    """Phones write MPO: several JPEGs in one file."""
    assert read(encoded(PHOTO, "MPO", save_all=True, append_images=[Image.fromarray(PHOTO)])).shape == (40, 30, 3)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_photos_are_turned_as_their_exif_says(turn, kind):
    flat = PHOTO // 64 * 64
    flat[:20, :15] = 255
    turned = {
        1: flat, 2: flat[:, ::-1], 3: flat[::-1, ::-1], 4: flat[::-1], 5: flat.swapaxes(0, 1),
        6: np.rot90(flat, -1), 7: flat[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(flat),
    }[turn]  # fmt: skip
    note = Image.Exif()
    note[images.ORIENTATION] = turn
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}, "PNG": {}}[kind]
    difference = read(encoded(flat, kind, exif=note, **options)).astype(int) - turned
    assert difference.shape == turned.shape and abs(difference).mean() < 2


def test_exif_with_a_number_where_text_belongs_does_no_harm():
    content = encoded(PHOTO, "JPEG", exif=exif((0x010E, 12, 1, 38), (images.ORIENTATION, 3, 1, 6)))
    assert read(content).shape == (30, 40, 3), "turned all the same"


def test_damaged_exif_is_as_good_as_none():
    content = encoded(PHOTO, "JPEG", exif=exif((images.ORIENTATION, 3, 1, 6))[:20])
    assert read(content).shape == (40, 30, 3)
    assert read(encoded(PHOTO, "JPEG", exif=exif((images.ORIENTATION, 2, 99, 10**9)))).shape == (40, 30, 3)


def test_sixteen_bits_are_cut_to_eight_and_do_not_turn_white():
    grey = PHOTO[..., 0].astype(np.uint16) * 256 + 7
    assert (read(encoded(grey)) == PHOTO[..., :1]).all()


def test_the_transparent_grey_of_sixteen_bits_becomes_white():
    content = encoded(np.full((4, 4), 5000, np.uint16), transparency=5000)
    assert (read(content) == 255).all()


def test_transparent_parts_become_white():
    alpha = np.zeros((40, 30, 1), np.uint8)
    alpha[:20] = 255
    photo = read(encoded(np.concatenate([PHOTO, alpha], axis=2)))
    assert (photo[:20] == PHOTO[:20]).all() and (photo[20:] == 255).all()


@pytest.mark.parametrize("mode, kind", [("L", "PNG"), ("LA", "PNG"), ("P", "PNG"), ("1", "PNG"), ("CMYK", "JPEG"),
                                        ("L", "JPEG"), ("P", "BMP"), ("RGBA", "WEBP")])  # fmt: skip
def test_other_modes_become_rgb(mode, kind):
    photo = read(encoded(Image.fromarray(np.full((40, 30, 3), 255, np.uint8)).convert(mode), kind))
    assert photo.dtype == np.uint8 and photo.shape == (40, 30, 3) and photo.min() > 250


def test_a_palette_with_a_transparent_colour_is_laid_on_white():
    picture = Image.new("P", (4, 4))
    picture.putpalette([9, 9, 9])
    assert (read(encoded(picture, transparency=0)) == 255).all()


@pytest.mark.parametrize("kind, mode", [("JPEG", "RGB"), ("PNG", "L"), ("PNG", "I;16"), ("PNG", "RGBA")])
def test_large_photos_are_scaled_down(kind, mode):
    grey = {"RGB": (90, 90, 90), "L": 90, "I;16": 90 * 256, "RGBA": (90, 90, 90, 255)}[mode]
    photo = read(encoded(Image.new(mode, (1500, 1000), grey), kind), largest=20_000)
    assert 0.95 * 20_000 < photo.shape[0] * photo.shape[1] <= 20_000 and photo.shape[1] > photo.shape[0]
    assert abs(photo.astype(int) - 90).max() <= 1


def test_a_phone_with_108_megapixels_takes_photos_too():
    photo = read(encoded(Image.new("L", (12_000, 9_000), 90), "JPEG"))
    assert photo.shape == (4330, 5773, 3) and (photo[::500, ::500] == 90).all()


def test_a_photo_of_a_dataset_keeps_its_size_or_is_refused():
    content = encoded(Image.new("L", (5_040, 5_000)), "JPEG")  # 25.2 megapixels
    assert read(content).shape[0] < 5_000
    with pytest.raises(ImageError, match=r"^photo: too many pixels; scale it down \(at most 25 megapixels"):
        read(content, largest=None)


@pytest.mark.slow
def test_memory_stays_bounded(tmp_path):
    """The largest photo that is decoded at all, in the mode that takes most."""
    Image.new("RGBA", (9_990, 9_990)).save(tmp_path / "large.png")
    code = (
        "import resource, sys; from faceseg_utils.data.images import read_image;"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "before = peak(); read_image(sys.argv[1]); print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "large.png"], capture_output=True, check=True)
    assert int(done.stdout) < 1_000_000  # kilobytes


# --- Files that are no photos ----------------------------------------------------------------------------------------

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
NOTE = PngImagePlugin.PngInfo()
NOTE.add_text("Comment", "x" * 2_000_000, zip=True)
NO_IMAGE = "no image that can be read; choose a JPEG, PNG, WebP or BMP"
DAMAGED = "cannot be read as an image, it is cut off or damaged"
TOO_LARGE = "too many pixels; scale it down"
BAD = {
    "nothing in it": (b"", "the file is empty"),
    "text": (b"Dear diary, this is no photo.", NO_IMAGE),
    "html": (b"<html>404</html>", NO_IMAGE),
    "EPS": (EPS, NO_IMAGE),
    **{kind: (encoded(PHOTO, kind), NO_IMAGE) for kind in ("TIFF", "GIF", "PPM", "SGI", "ICO", "DDS", "TGA")},
    "HEIC": (b"\x00\x00\x00\x18ftypheic" + bytes(64), "is it HEIC or AVIF? Export it as JPEG"),
    "damaged AVIF": (b"\x00\x00\x00\x18ftypavif" + bytes(64), "is it HEIC or AVIF? Export it as JPEG"),
    "cut PNG": (encoded(PHOTO)[:600], DAMAGED),
    "cut JPEG": (encoded(np.tile(PHOTO, (9, 9, 1)), "JPEG")[:900], DAMAGED),
    "cut BMP": (encoded(PHOTO, "BMP")[:600], DAMAGED),
    "cut WebP": (encoded(PHOTO, "WEBP")[:200], "read"),
    "PNG without pixels": (png(30, 40, 2), DAMAGED),
    "PNG with a wrong checksum": (encoded(PHOTO)[:50] + b"\0" + encoded(PHOTO)[51:], DAMAGED),
    "PNG with a text that unpacks to 2 MB": (encoded(PHOTO, pnginfo=NOTE), "Decompressed data too large"),
    "PNG with a short tRNS": (png(30, 40, 2, png_chunk(b"tRNS", b"\0")), "be read"),  # by Pillow 12, 13
    "PNG of 400 megapixels": (png(20_000, 20_000, 2), TOO_LARGE),
    "PNG of 169 megapixels with alpha": (png(13_000, 13_000, 6), TOO_LARGE),
    "PNG 1 wide and 100 million high": (png(1, 100_000_000, 0), TOO_LARGE),
    "PNG 100 million wide": (png(100_000_000, 1, 0), TOO_LARGE),
    "PNG of 100 megapixels": (encoded(Image.new("1", (10_001, 10_000))), TOO_LARGE),
}


def assert_one_line(message, name, part):
    assert message.startswith(f"{name}: ") and part in message and len(message) - len(name) < 200, message
    assert message.isprintable()


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_file_gets_one_line_with_the_remedy(fault, tmp_path):
    content, part = BAD[fault]
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    for reading in (
        lambda: read_image(path), lambda: read_image(path, None), lambda: read_image(path, content=content),
        lambda: read_mask(path, BINARY), lambda: read_mask(path, DATASETS["fasseg"]),
    ):  # fmt: skip
        with pytest.raises(ImageError) as error:
            reading()
        assert_one_line(str(error.value), str(path), part)


def test_postscript_never_reaches_an_interpreter(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    (tmp_path / "x.jpg").write_bytes(EPS)
    with pytest.raises(ImageError, match="no image"):
        read_image(tmp_path / "x.jpg")
    with pytest.raises(ImageError, match="no image"):
        read_image("x.jpg", content=EPS)
    assert not (tmp_path / "ran").exists()


def folder(path):
    path.mkdir()


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def link_to_nowhere(path):
    path.symlink_to("nowhere.jpg")


def link_to_itself(path):
    path.symlink_to(path)


def nothing(path):
    pass


ODD = [
    (folder, "a folder, not a file"), (pipe, "a pipe or device, not a file"), (device, "a pipe or device"),
    (link_to_nowhere, "a link to nowhere"), (link_to_itself, "cannot be opened"), (nothing, "no such file"),
]  # fmt: skip


@pytest.mark.parametrize("make, part", ODD)
def test_only_plain_files_are_opened(make, part, tmp_path):
    make(tmp_path / "x.jpg")
    started = time.monotonic()
    for reading in (lambda: read_image(tmp_path / "x.jpg"), lambda: read_mask(tmp_path / "x.jpg", BINARY)):
        with pytest.raises(ImageError) as error:
            reading()
        assert_one_line(str(error.value), str(tmp_path / "x.jpg"), part)
    assert time.monotonic() - started < 5, "a pipe that is opened blocks for ever"


@pytest.mark.parametrize("path", ["a\0b.jpg", "a" * 300 + ".jpg"])
def test_a_name_that_no_file_can_have(path):
    with pytest.raises(ImageError, match="cannot be opened"):
        read_image(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    (tmp_path / "x.jpg").write_bytes(encoded(PHOTO))
    (tmp_path / "x.jpg").chmod(0)
    with pytest.raises(ImageError, match=r"x.jpg: cannot be opened \(Permission denied\)$"):
        read_image(tmp_path / "x.jpg")


def test_too_little_memory_is_one_line_too(tmp_path):
    Image.new("L", (9_900, 9_900)).save(tmp_path / "large.png")
    code = (
        "import resource, sys; from pathlib import Path; from faceseg_utils.data.images import read_image;"
        "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize();"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**26,) * 2);"
        "read_image(sys.argv[1])"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "large.png"], capture_output=True, text=True)
    assert done.stderr.strip().endswith("large.png: too little memory is free to read it; scale it down")


def test_names_are_printed_on_one_line(tmp_path):
    assert shown("é ü\u202f1.jpg") == "é ü\u202f1.jpg"
    assert shown("a\nb\x1b[31m\udcff.jpg") == r"a\nb\x1b[31m\udcff.jpg"
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")
    with open(path, "wb") as file:
        file.write(b"no photo")
    with pytest.raises(ImageError) as error:
        read_image(path)
    assert r"caf\udce9.jpg: no image" in str(error.value)
    str(error.value).encode("utf-8")  # what a terminal does


# --- Masks -----------------------------------------------------------------------------------------------------------

MASK = np.zeros((6, 4), np.uint8)
MASK[1:3, 2:] = 1


@pytest.fixture
def mask_of(tmp_path):
    """`mask_of(image, info)`: what `read_mask` makes of an image that is saved as a PNG."""

    def read(image, info=BINARY, **options):
        (tmp_path / "m.png").write_bytes(encoded(image, **options))
        return read_mask(tmp_path / "m.png", info)

    return read


def palette(indices, *colours):
    picture = Image.fromarray(indices)
    picture.putpalette([value for colour in colours for value in colour])
    return picture


BLACK, WHITE, GREY = (0, 0, 0), (255, 255, 255), (128, 128, 128)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "LA", "RGBA"])
def test_masks_are_read_in_any_mode(mask_of, mode):
    picture = palette(MASK, BLACK, WHITE) if mode == "P" else Image.fromarray(MASK * 255).convert(mode)
    assert picture.mode == mode
    mask = mask_of(picture)
    assert mask.dtype == np.uint8 and (mask == MASK).all()


@pytest.mark.parametrize("person", [1, 255])
def test_zero_and_one_will_do_for_zero_and_255(mask_of, person):
    assert (mask_of(MASK * np.uint8(person)) == MASK).all()
    assert (mask_of(MASK * np.uint16(person)) == MASK).all()
    assert (mask_of(np.full((2, 2), person, np.uint8)) == 1).all() and (mask_of(np.zeros((2, 2), np.uint8)) == 0).all()


def test_a_palette_of_black_and_white_is_read_by_what_it_shows(mask_of):
    assert (mask_of(palette(1 - MASK, WHITE, BLACK)) == MASK).all(), "index 0 is white: the person"
    assert (mask_of(palette(np.ones_like(MASK), WHITE, BLACK)) == 0).all(), "all black: nobody"


def test_a_palette_of_colours_is_read_by_its_numbers(mask_of):
    assert (mask_of(palette(MASK, BLACK, (128, 0, 0))) == MASK).all()
    assert (mask_of(palette(MASK, WHITE, (128, 0, 0))) == MASK).all()
    assert (mask_of(palette(MASK * 5, *catalog.PALETTES[catalog.PARTS]), INDEX) == MASK * 5).all()
    assert (mask_of(palette(1 - MASK, WHITE, BLACK), INDEX) == 1 - MASK).all(), "numbers are classes here"


def test_sixteen_bits_are_read_if_they_are_black_and_white(mask_of):
    assert (mask_of(MASK * np.uint16(65535)) == MASK).all()
    assert (mask_of(MASK * np.uint16(12), INDEX) == MASK * 12).all()


STRAY = {
    "300 of 65535": (MASK * np.uint16(300), "holds the values 300 but may hold only 0 (background) and 255 (person)"),
    "a grey palette": (palette(MASK, BLACK, GREY), "holds the values 128"),
    "greys": (MASK * 7 + np.arange(4, dtype=np.uint8), "holds the values 1, 2, 3, 9, 10 but"),
    "many greys": (np.arange(100, dtype=np.uint8)[None], "holds the values 1, 2, 3, 4, 5, ... but"),
    "colours": (np.dstack([MASK * 255, MASK, MASK]), "mask is coloured"),
    "a person in the alpha channel": (np.dstack([MASK * 0, MASK * 255]), "partly transparent"),
    "white with a transparent ground": (np.dstack([MASK * 0 + 255] * 3 + [MASK * 255]), "partly transparent"),
}


@pytest.mark.parametrize("what", STRAY)
def test_a_mask_that_can_be_misread_is_refused(mask_of, what, tmp_path):
    picture, part = STRAY[what]
    with pytest.raises(MaskError) as error:
        mask_of(picture)
    assert_one_line(str(error.value), str(tmp_path / "m.png"), part)


def test_transparency_that_agrees_with_the_mask_does_no_harm(mask_of):
    assert (mask_of(np.dstack([MASK * 255, MASK * 255])) == MASK).all()
    assert (mask_of(palette(MASK, BLACK, WHITE), transparency=0) == MASK).all()


def test_unknown_class_numbers_are_named(mask_of):
    with pytest.raises(MaskError, match=r"m.png: mask holds the values 13 but may hold class indices 0 to 12"):
        mask_of(MASK * 13, INDEX)


def test_a_mask_is_turned_like_its_photo(mask_of):
    note = Image.Exif()
    note[images.ORIENTATION] = 6
    assert (mask_of(MASK * 255, exif=note) == np.rot90(MASK, -1)).all()


@pytest.mark.parametrize("colour, name", list(zip(DATASETS["fasseg"].colours, FACE)))
def test_each_colour_of_fasseg_is_its_class(mask_of, colour, name):
    assert (mask_of(Image.new("RGB", (2, 2), colour), DATASETS["fasseg"]) == FACE.index(name)).all()


FASSEG = DATASETS["fasseg"]
BACKGROUND, SKIN, HAIR, EYES = (FASSEG.colours[FACE.index(name)] for name in ("background", "skin", "hair", "eyes"))


def label(*columns) -> np.ndarray:
    """A label picture [8, W, 3] whose columns have these colours."""
    return np.tile(np.array(columns, np.uint8), (8, 1, 1))


def test_a_mixture_of_two_classes_is_not_taken_for_a_third(mask_of):
    between = tuple((np.array(SKIN) + EYES) // 2)  # (127, 127, 127), nearest to the brown of hair
    mask = mask_of(Image.fromarray(label(*[SKIN] * 4, between, *[EYES] * 4, *[HAIR] * 20)), FASSEG)
    assert FACE[mask[0, 4]] in ("skin", "eyes")
    alone = mask_of(Image.fromarray(label(*[BACKGROUND] * 30, *[between] * 1, *[HAIR] * 4)), FASSEG)
    assert FACE[alone[0, 30]] == "hair", "where hair is near, it may be hair"


def test_a_stray_without_a_pure_colour_around_it_takes_the_nearest(mask_of):
    stray = (200, 0, 0)  # darker than background, 55 away; 73 from hair
    mask = mask_of(Image.fromarray(label(*[SKIN] * 96, stray, stray, stray, stray, stray)), FASSEG)
    assert (mask[:, 99:] == FACE.index("background")).all()


@pytest.mark.parametrize("columns, part", [
    ([SKIN] * 99 + [(255, 0, 255)], "8 pixels (1.0%) in colours of no class, the first is (255, 0, 255) in row 0"),
    ([SKIN] * 9 + [(127, 127, 127)], "8 pixels (10.0%) in colours between classes, the first is (127, 127, 127) in"),
    (PHOTO[0] // 2 + 40, "in colours between classes"),
], ids=["another class", "grey", "a photo"])  # fmt: skip
def test_colours_of_another_dataset_are_refused(mask_of, columns, part, tmp_path):
    with pytest.raises(MaskError) as error:
        mask_of(Image.fromarray(label(*columns)), FASSEG)
    message = str(error.value)
    assert message.startswith(f"{tmp_path / 'm.png'}: mask has ") and part in message
    assert message.isprintable() and message.endswith("is it the mask of another dataset?")


def test_stray_pixels_are_counted(tmp_path):
    picture = label(*[SKIN] * 20, (250, 250, 3), *[EYES] * 20)
    (tmp_path / "m.bmp").write_bytes(encoded(picture, "BMP"))
    assert images.stray_pixels(tmp_path / "m.bmp", FASSEG) == 8


def test_a_palette_of_colours_is_read_as_the_colours_that_it_shows(mask_of):
    assert (mask_of(palette(MASK, EYES, HAIR), FASSEG) == np.where(MASK, FACE.index("hair"), FACE.index("eyes"))).all()


def test_class_numbers_in_the_colours_of_another_numbering_are_refused(mask_of, tmp_path):
    ours = list(catalog.PALETTES[catalog.PARTS])
    swapped = [*ours[:3], ours[8], *ours[4:8], ours[3], *ours[9:]]  # eyes and hair
    assert (mask_of(palette(MASK, *swapped), INDEX) == MASK).all(), "no pixel has one of the two numbers"
    with pytest.raises(MaskError) as error:
        mask_of(palette(MASK * 3, *swapped), INDEX)
    part = f"mask shows class 3 in {ours[8]}, but eyes is {ours[3]} here; if its numbers are these classes, save it as"
    assert_one_line(str(error.value), str(tmp_path / "m.png"), part)
