"""A reader's own photo: every kind of file is read upright as RGB or refused in one line, and the widget lives on."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from faceseg_utils.catalog import FACE
from faceseg_utils.widgets import TryYourPhoto, read_upload
from faceseg_utils.widgets import upload as upload_module

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (40, 30, 3), dtype=np.uint8)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def test_plain_photo_comes_back_as_it_is():
    assert (read_upload("a.png", encoded(PHOTO)) == PHOTO).all()


def test_camera_orientation_is_respected():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert (read_upload("a.png", encoded(PHOTO, exif=exif)) == np.rot90(PHOTO, k=-1)).all()


def test_transparent_parts_become_white():
    alpha = np.zeros((40, 30, 1), np.uint8)
    alpha[:20] = 255
    read = read_upload("a.png", encoded(np.concatenate([PHOTO, alpha], axis=2)))
    assert (read[:20] == PHOTO[:20]).all() and (read[20:] == 255).all()


def test_sixteen_bits_are_cut_to_eight():
    grey = PHOTO[..., 0].astype(np.uint16) * 256 + 7
    assert (read_upload("a.png", encoded(grey)) == PHOTO[..., :1]).all()


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK", "YCbCr"])
def test_other_modes_become_rgb(mode):
    grey = Image.fromarray(np.full((40, 30, 3), 255, np.uint8)).convert(mode)
    read = read_upload("a", encoded(grey, "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"))
    assert read.dtype == np.uint8 and read.shape == (40, 30, 3) and read.min() > 250


@pytest.mark.parametrize("kind, mode", [("JPEG", "RGB"), ("PNG", "L"), ("PNG", "I;16")])
def test_fifty_megapixels_are_scaled_down(kind, mode):
    size = (7072, 7072)
    photo = Image.new(mode, size, 0 if mode == "RGB" else 128 if mode == "L" else 128 * 256)
    read = read_upload("a", encoded(photo, kind))
    assert 0.95 * upload_module.WORK < read.shape[0] * read.shape[1] <= upload_module.WORK
    assert abs(int(read[9, 9, 0]) - (0 if mode == "RGB" else 128)) <= 1


def bomb():
    """A PNG whose head promises 20,000 x 20,000 pixels and holds none."""
    content = bytearray(encoded(PHOTO))
    content[16:24] = (20_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


BAD = {
    "empty.jpg": (b"", "the file is empty"),
    "notes.txt": (b"Dear diary, this is no photo.", "no image that can be read; choose a JPEG"),
    "cut.png": (encoded(PHOTO)[:600], "cut off or damaged"),
    "cut.jpg": (encoded(np.tile(PHOTO, (9, 9, 1)), "JPEG")[:900], "cut off or damaged"),
    "phone.heic": (b"\x00\x00\x00\x18ftypheic" + bytes(64), "HEIC photo.*export it as JPEG"),
    "poster.png": (encoded(Image.new("1", (10_001, 10_000))), "10001 x 10000 is 100 megapixels; scale"),
    "bomb.png": (bomb(), "megapixels"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_get_one_line_with_the_remedy(name):
    content, message = BAD[name]
    with pytest.raises(ValueError, match=f"{name}: .*{message}") as caught:
        read_upload(name, content)
    assert "\n" not in str(caught.value)


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


def send(widget, name, content, part=1000):
    """The messages that the page sends for a file."""
    pieces = [content[k : k + part] for k in range(0, max(1, len(content)), part)]
    for k, piece in enumerate(pieces):
        message = {"name": name, "part": k, "last": len(pieces) - 1}
        widget.input._handle_custom_msg(message, [memoryview(piece)])


def test_a_photo_in_parts_gives_prediction_and_cut_out():
    widget = TryYourPhoto(Threshold())
    send(widget, "me.png", encoded(PHOTO))
    assert not widget.input.failed and "me.png, shown at 30 x 40 pixels" in widget.input.message
    overlay, download = widget.place.children
    assert overlay.layers == ["photo", "prediction"] and (overlay.pixels("photo") == PHOTO).all()
    saved = np.asarray(Image.open(io.BytesIO(download.png)))
    assert download.name == "me_cutout.png"
    assert (saved[..., :3] == PHOTO).all() and (saved[..., 3] == PHOTO[..., 0]).all()


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_named_and_the_next_one_works(name):
    widget = TryYourPhoto(Threshold())
    send(widget, name, BAD[name][0])
    assert widget.input.failed and widget.input.message.startswith(name) and not widget.place.children
    send(widget, "me.png", encoded(PHOTO))
    assert not widget.input.failed and len(widget.place.children) == 2


def test_a_network_that_fails_is_reported_too():
    class Full(Threshold):
        def predict(self, photo):
            raise RuntimeError("out of GPU memory\nand a long trace")

    widget = TryYourPhoto(Full())
    send(widget, "me.png", encoded(PHOTO))
    assert widget.input.failed and widget.input.message == "out of GPU memory"


def test_an_upload_that_was_broken_off_leaves_nothing_behind():
    widget = TryYourPhoto(Threshold())
    widget.input._handle_custom_msg({"name": "a.png", "part": 0, "last": 5}, [memoryview(b"half of a file")])
    send(widget, "me.png", encoded(PHOTO))
    assert not widget.input.failed


def test_static_figure_shows_photo_prediction_and_cut_out():
    figure = TryYourPhoto(Threshold()).figure(PHOTO)
    assert [axis.get_title() for axis in figure.axes] == ["photo", "prediction", "cut-out"]


def test_many_classes():
    class Six(Threshold):
        classes = FACE

        def predict(self, photo):
            return np.moveaxis(RNG.dirichlet(np.ones(6), photo.shape[:2]), 2, 0)

    widget = TryYourPhoto(Six())
    send(widget, "me.png", encoded(PHOTO))
    assert np.allclose(np.asarray(widget.picture)[..., 3] / 255, 1 - widget.probabilities[0], atol=0.01)
