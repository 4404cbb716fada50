"""A photo of one's own: read whatever a reader drops in, segment it, and hand the cut-out back."""

import io
from pathlib import PurePath

import anywidget
import ipywidgets
import numpy as np
import traitlets
from IPython.display import display
from matplotlib.figure import Figure
from PIL import Image

from faceseg_utils.analysis.errors import person_probability
from faceseg_utils.data.images import read_image, shown
from faceseg_utils.deploy.files import cut_out
from faceseg_utils.figures import plots
from faceseg_utils.widgets.overlay import STATIC, MaskOverlay, colours

WORK = 2_000_000  # pixels: a larger photo is scaled down to this, so that the page stays quick


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
        self._on_file, self._parts, self._file = on_file, [], None
        self.on_msg(self._take)

    def _take(self, _, content, buffers) -> None:
        """One part of a file. Only parts of one file, in their order and without a gap, become a photo."""
        name, part, last = content["name"], content["part"], content["last"]
        if part == 0:
            self._parts, self._file = [], (name, last)
        if self._file != (name, last) or part != len(self._parts):
            self._parts, self._file = [], None
            self.fail(f"{name}: a part of the file was lost on the way; send the file again")
            return
        self._parts.append(b"".join(buffers))
        if part == last:
            whole, self._parts, self._file = b"".join(self._parts), [], None
            self._on_file(name, whole)

    def fail(self, reason: str) -> None:
        """Show why a file cannot be used, beside the button and in one line."""
        self.failed, self.message = True, shown(reason)


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
    palette : one colour per class; None takes that of the classes in the catalog.

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
        """Segment a file and show what comes of it. Never raises: a fault becomes the line beside the button."""
        try:
            photo = read_image(name, WORK, content)
            probabilities = self.segmenter.predict(photo)  # [H, W] or [K, H, W]
        except (ValueError, RuntimeError, MemoryError) as error:
            return self.input.fail((str(error).splitlines() or [type(error).__name__])[0])
        self.photo, self.probabilities = photo, probabilities
        person = person_probability(self.probabilities)
        self.picture = cut_out(self.photo, person)
        height, width = person.shape
        share = f"{(person > 0.5).mean():.0%} of the pixels are person"
        old, self.place.children = self.place.children, self._answer(name, share)
        for widget in old:
            widget.close()
        self.input.failed, self.input.message = False, f"{shown(name)}, shown at {width} x {height} pixels: {share}."

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
