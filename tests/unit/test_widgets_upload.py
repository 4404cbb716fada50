"""A reader's own photo: whatever is sent, it is segmented or refused in one line, and the next one can be tried."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from faceseg_utils.data.catalog import FACE
from faceseg_utils.deploy.files import cut_out
from faceseg_utils.widgets import TryYourPhoto
from faceseg_utils.widgets import upload as upload_module

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (40, 30, 3), dtype=np.uint8)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def pixels_promised(width, height):
    """A PNG whose head promises so many pixels and which has 1,200."""
    content = bytearray(encoded(PHOTO))
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


# Every kind of file, good and bad: test_images.py, since the reader is the same.
BAD = {
    "empty.jpg": (b"", "the file is empty"),
    "notes.txt": (b"Dear diary, this is no photo.", "no image that can be read; choose a JPEG"),
    "cut.png": (encoded(PHOTO)[:600], "cut off or damaged"),
    "phone.heic": (b"\x00\x00\x00\x18ftypheic" + bytes(64), "is it HEIC or AVIF"),
    "eps.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "no image that can be read"),
    "scan.jpg": (encoded(PHOTO, "TIFF"), "no image that can be read"),
    "poster.png": (encoded(Image.new("1", (10_001, 10_000))), "too many pixels; scale it down"),
    "thread.png": (pixels_promised(1, 100_000_000), "too many pixels; scale it down"),
    "bomb.png": (pixels_promised(20_000, 20_000), "too many pixels; scale it down"),
    "two\nlines.jpg": (b"x", "no image that can be read"),
}


def test_checkers_show_where_the_picture_is_transparent():
    rgba = np.dstack([PHOTO, np.full((40, 30), 255, np.uint8)])
    rgba[20:, :, 3] = 0
    shown = upload_module.on_checkers(Image.fromarray(rgba))
    assert (shown[:20] == PHOTO[:20]).all() and set(np.unique(shown[20:])) == {205, 235}


class Threshold:
    """A network that finds whatever is bright."""

    classes = ("background", "person")

    def predict(self, photo):
        return photo[..., 0] / np.float32(255)


def parts_of(name, content, part=1000):
    """The messages that the page sends for a file."""
    pieces = [content[k : k + part] for k in range(0, max(1, len(content)), part)]
    return [({"name": name, "part": k, "last": len(pieces) - 1}, [memoryview(p)]) for k, p in enumerate(pieces)]


def send(widget, *parts):
    for message, buffers in parts:
        widget.input._handle_custom_msg(message, buffers)


def test_a_photo_in_parts_gives_prediction_and_cut_out():
    widget = TryYourPhoto(Threshold())
    send(widget, *parts_of("me.png", encoded(PHOTO)))
    assert not widget.input.failed and "me.png, shown at 30 x 40 pixels" in widget.input.message
    overlay, download = widget.place.children
    assert overlay.layers == ["photo", "prediction"] and (overlay.pixels("photo") == PHOTO).all()
    saved = np.asarray(Image.open(io.BytesIO(download.png)))
    assert download.name == "me_cutout.png"
    assert (saved == np.asarray(cut_out(PHOTO, PHOTO[..., 0] / np.float32(255)))).all()


def test_a_large_photo_is_scaled_down():
    widget = TryYourPhoto(Threshold())
    widget.take("large.jpg", encoded(Image.new("RGB", (7072, 7072)), "JPEG"))
    height, width, _ = widget.photo.shape
    assert not widget.input.failed and 0.95 * upload_module.WORK < height * width <= upload_module.WORK


def test_a_photo_is_read_as_one_sees_it():
    widget = TryYourPhoto(Threshold())
    exif = Image.Exif()
    exif[0x0112] = 6
    widget.take("turned.png", encoded(PHOTO, exif=exif))
    assert (widget.photo == np.rot90(PHOTO, -1)).all()


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_and_the_next_one_works(name):
    widget = TryYourPhoto(Threshold())
    content, part = BAD[name]
    send(widget, *parts_of(name, content, 2**22))
    assert widget.input.failed and not widget.place.children
    assert widget.input.message.startswith(repr(name)[1:-1] + ": ") and part in widget.input.message
    assert widget.input.message.isprintable() and len(widget.input.message) < 200
    send(widget, *parts_of("me.png", encoded(PHOTO)))
    assert not widget.input.failed and len(widget.place.children) == 2


def test_the_last_good_photo_stays():
    widget = TryYourPhoto(Threshold())
    send(widget, *parts_of("me.png", encoded(PHOTO)))
    send(widget, *parts_of("notes.txt", b"no photo"))
    assert widget.input.failed and (widget.photo == PHOTO).all() and widget.picture.size == (30, 40)


FAILURES = [(RuntimeError("out of GPU memory\nand a long trace"), "out of GPU memory"), (MemoryError(), "MemoryError")]


@pytest.mark.parametrize("error, message", FAILURES)
def test_a_network_that_fails_is_reported_too(error, message):
    class Full(Threshold):
        def predict(self, photo):
            raise error

    widget = TryYourPhoto(Full())
    send(widget, *parts_of("me.png", encoded(PHOTO)))
    assert widget.input.failed and widget.input.message == message and widget.photo is None


def test_an_upload_that_was_broken_off_leaves_nothing_behind():
    widget = TryYourPhoto(Threshold())
    send(widget, ({"name": "a.png", "part": 0, "last": 5}, [memoryview(b"half of a file")]))
    send(widget, *parts_of("me.png", encoded(PHOTO)))
    assert not widget.input.failed


# Five parts of one file and five of another, and orders in which no whole file arrives.
A, B = parts_of("a.png", encoded(PHOTO), 800), parts_of("b.png", encoded(PHOTO[::-1]), 800)
LARGER = parts_of("a.png", encoded(np.vstack([PHOTO, PHOTO // 2])), 800)
LOST = {
    "the first part is lost": A[1:],
    "a part in the middle is lost": [*A[:2], *A[3:]],
    "a part comes twice": [*A[:2], *A[1:]],
    "two parts change places": [A[0], A[2], A[1], *A[3:]],
    "parts of two files interleave": [part for pair in zip(A, B) for part in pair],
    "a file goes on as another one": [*A[:2], *B[2:]],
    "a larger file of the same name goes on": [*A[:2], *LARGER[2:]],
}


@pytest.mark.parametrize("fault", LOST)
def test_parts_that_are_lost_or_mixed_up_never_become_a_photo(fault):
    widget = TryYourPhoto(Threshold())
    send(widget, *LOST[fault])
    assert widget.input.failed and widget.photo is None
    assert widget.input.message.endswith("png: a part of the file was lost on the way; send the file again")
    send(widget, *A)
    assert not widget.input.failed and (widget.photo == PHOTO).all()


def test_static_figure_shows_photo_prediction_and_cut_out():
    figure = TryYourPhoto(Threshold()).figure(PHOTO)
    assert [axis.get_title() for axis in figure.axes] == ["photo", "prediction", "cut-out"]


def test_many_classes():
    class Six(Threshold):
        classes = FACE

        def predict(self, photo):
            return np.moveaxis(RNG.dirichlet(np.ones(6), photo.shape[:2]), 2, 0)

    widget = TryYourPhoto(Six())
    send(widget, *parts_of("me.png", encoded(PHOTO)))
    assert (np.asarray(widget.picture) == np.asarray(cut_out(PHOTO, 1 - widget.probabilities[0]))).all()
