"""A photo of one's own: read whatever a reader drops in, segment it, and hand the cut-out back."""

import io
import warnings
from pathlib import PurePath

import anywidget
import ipywidgets
import numpy as np
import traitlets
from IPython.display import display
from matplotlib.figure import Figure
from PIL import Image, UnidentifiedImageError

from faceseg_utils import plots
from faceseg_utils.analysis import person_probability
from faceseg_utils.predict import cut_out, to_rgb
from faceseg_utils.widgets.overlay import STATIC, MaskOverlay, colours

WORK = 2_000_000  # pixels: a larger photo is scaled down to this, so that the page stays quick
MOST = 100_000_000  # pixels: beyond it the photo alone would fill the memory of a small machine


def read_upload(name: str, content: bytes) -> np.ndarray:
    """A photo from the bytes of a file as uint8 [H, W, 3]: upright (EXIF), any mode, scaled down to `WORK` pixels.

    16 bits are cut to 8, grey and CMYK become RGB, what is transparent becomes white. Raises ValueError, in one line
    that names the file and the remedy, for anything that is no photo.
    """
    if not content:
        raise ValueError(f"{name}: the file is empty; choose it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MOST stands in for it
            with Image.open(io.BytesIO(content)) as file:
                size, megapixels = f"{file.width} x {file.height}", file.width * file.height / 1e6
                if megapixels <= MOST / 1e6:
                    return to_rgb(file, WORK)
    except UnidentifiedImageError:
        if content[4:8] == b"ftyp":  # the container of HEIC, AVIF and films
            remedy = "this looks like a HEIC photo, which cannot be read here; export it as JPEG and choose that"
        else:
            remedy = "this is no image that can be read; choose a JPEG, PNG, WebP or BMP"
        raise ValueError(f"{name}: {remedy}") from None
    except Image.DecompressionBombError:
        raise ValueError(
            f"{name}: far more pixels than a photo has; scale it below {MOST // 10**6} megapixels"
        ) from None
    except Exception as error:  # each decoder fails on damaged bytes in its own way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{name}: cut off or damaged ({reason}); copy the file once more") from None
    raise ValueError(
        f"{name}: {size} is {megapixels:.0f} megapixels; scale the photo below {MOST // 10**6} megapixels first"
    )


def on_checkers(picture: Image.Image, side: int = 12) -> np.ndarray:
    """A picture with alpha laid on a grey checkerboard, uint8 [H, W, 3]: transparency made visible."""
    rows, columns = np.mgrid[: picture.height, : picture.width] // side
    board = np.where(((rows + columns) % 2)[..., None], 235, 205).astype(np.uint8).repeat(3, axis=2)
    ground = Image.fromarray(board).convert("RGBA")
    return np.asarray(Image.alpha_composite(ground, picture).convert("RGB"))


class PhotoInput(anywidget.AnyWidget):
    """A file button and a line of text. The file comes in parts: `on_file(name, content)` gets it when it is whole.

    ipywidgets.FileUpload sends a file in one message, and JupyterLab cuts the connection at 10 MiB without a word.
    """

    _esm = STATIC / "upload.js"
    _css = STATIC / "upload.css"
    message = traitlets.Unicode("JPEG, PNG, WebP or BMP. The photo goes to this notebook's kernel only.").tag(sync=True)
    failed = traitlets.Bool(False).tag(sync=True)

    def __init__(self, on_file, **state):
        super().__init__(**state)
        parts: list[bytes] = []

        def take(_, content, buffers):
            if content["part"] == 0:
                parts.clear()
            parts.extend(bytes(buffer) for buffer in buffers)
            if content["part"] == content["last"]:
                on_file(content["name"], b"".join(parts))
                parts.clear()

        self.on_msg(take)


class Download(anywidget.AnyWidget):
    """A picture, and a link that saves it. Also on Colab and in VS Code: the link is made in the page itself."""

    _esm = STATIC / "download.js"
    _css = STATIC / "upload.css"
    png = traitlets.Bytes(b"").tag(sync=True)
    name = traitlets.Unicode("").tag(sync=True)
    alt = traitlets.Unicode("").tag(sync=True)


class TryYourPhoto(ipywidgets.VBox):
    """Choose a photo file, see what the network makes of it, save the cut-out.

    Parameters
    ----------
    segmenter : a `Segmenter`.
    palette : a colour a class; that of the classes in the catalog if not given.

    A file that cannot be used is answered by one line, and the next one can be tried. `photo`, `probabilities` and
    `picture` (the cut-out, RGBA) hold the last good one. Photos of more than 2 megapixels are scaled down to that;
    `python -m faceseg_utils predict` works at full size.
    """

    def __init__(self, segmenter, palette=None):
        self.segmenter = segmenter
        self.palette = colours(segmenter.classes, palette)
        self.photo = self.probabilities = self.picture = None
        self.input, self.place = PhotoInput(self.take), ipywidgets.VBox()
        super().__init__([self.input, self.place])

    def take(self, name: str, content: bytes) -> None:
        """What a chosen file does. Never raises: a fault becomes the line beside the button."""
        try:
            self.photo = read_upload(name, content)
            self.probabilities = self.segmenter.predict(self.photo)  # [H, W] or [K, H, W]
        except (ValueError, RuntimeError, MemoryError) as error:
            self.input.failed, self.input.message = True, str(error).splitlines()[0]
            return
        person = person_probability(self.probabilities)
        self.picture = cut_out(self.photo, person)
        height, width = person.shape
        share = f"{(person > 0.5).mean():.0%} of the pixels are person"
        old, self.place.children = self.place.children, self._answer(name, share)
        for widget in old:
            widget.close()
        self.input.failed, self.input.message = False, f"{name}, shown at {width} x {height} pixels: {share}."

    def _answer(self, name: str, share: str) -> list:
        """The overlay and the cut-out. New widgets each time: servers limit updates, but not what opens a widget."""
        buffer = io.BytesIO()
        self.picture.save(buffer, "PNG", compress_level=1)
        about = f"Your photo: {share}."
        return [
            MaskOverlay(self.photo, None, self.probabilities, self.segmenter.classes, self.palette, description=about),
            Download(png=buffer.getvalue(), name=f"{PurePath(name).stem}_cutout.png", alt=f"The cut-out. {about}"),
        ]

    def figure(self, photo: np.ndarray) -> Figure:
        """What comes of a photo uint8 [H, W, 3], side by side: for readers without a kernel."""
        probabilities = self.segmenter.predict(photo)
        overlay = MaskOverlay(photo, None, probabilities, self.segmenter.classes, self.palette)
        pictures = [overlay.pixels("photo"), overlay.pixels("prediction"),
                    on_checkers(cut_out(photo, person_probability(probabilities)))]  # fmt: skip
        overlay.close()
        return plots.pictures([pictures], titles=("photo", "prediction", "cut-out"), height=2.6)

    def show(self, photo: np.ndarray, alt: str, caption: str = "") -> None:
        """The static figure of a photo with `alt` and `caption`, then the file button."""
        plots.show(self.figure(photo), alt=alt, caption=caption)
        display(self)
