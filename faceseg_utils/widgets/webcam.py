"""The webcam in a notebook: the page sends its newest frame, the kernel answers with a mask, then comes the next."""

import io
import time

import anywidget
import numpy as np
import traitlets
from IPython.display import display
from matplotlib.figure import Figure
from PIL import Image

from faceseg_utils.analysis.errors import person_probability
from faceseg_utils.data.images import read_image
from faceseg_utils.deploy.files import cut_out
from faceseg_utils.figures import plots
from faceseg_utils.widgets.overlay import STATIC

MOST = 640 * 640  # pixels of a frame; the page sends fewer


class Webcam(anywidget.AnyWidget):
    """The person in front of the camera, as the network sees them.

    Parameters
    ----------
    segmenter : a `Segmenter`.
    side : the longer side of the frames that the page sends, in pixels.

    There is never more than one frame on its way: the page sends its newest one when the last answer has come, and
    leaves out all that came meanwhile (back-pressure). So a slow network shows fewer frames, but none that is old.
    A camera that is denied or missing, and a frame that the network cannot answer, become one line below the button.
    """

    _esm = STATIC / "webcam.js"
    _css = STATIC / "webcam.css"
    side = traitlets.Int(320).tag(sync=True)

    def __init__(self, segmenter, side: int = 320):
        super().__init__(side=side)
        self.segmenter = segmenter
        self.on_msg(self._take)

    def _take(self, _, content, buffers) -> None:
        """One frame, a JPEG file. Always answers, with the mask or with one line: the page waits for it."""
        answer = {name: content[name] for name in ("view", "frame")}  # whose frame, and which
        try:
            started = time.perf_counter()
            mask = self.mask(read_image("frame.jpg", MOST, b"".join(buffers)))
            self.send(answer | {"milliseconds": 1000 * (time.perf_counter() - started)}, [mask])
        except (ValueError, RuntimeError, ArithmeticError, MemoryError) as error:
            self.send(answer | {"error": (str(error).splitlines() or [type(error).__name__])[0]})

    def opacity(self, photo: np.ndarray) -> Image.Image:
        """How much of each pixel of a photo uint8 [H, W, 3] is the person: a grey picture."""
        return cut_out(photo, person_probability(self.segmenter.predict(photo))).getchannel("A")

    def mask(self, photo: np.ndarray) -> bytes:
        """The same as a small PNG: Jupyter limits what a kernel sends."""
        opacity = self.opacity(photo)
        picture, buffer = Image.merge("LA", (Image.new("L", opacity.size), opacity)), io.BytesIO()
        picture.save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def figure(self, photo: np.ndarray) -> Figure:
        """A photo and what the page would show of it, for readers without a camera."""
        opacity = np.asarray(self.opacity(photo))[..., None] / 255                    # [H, W, 1]
        shown = photo * opacity + 0.3 * photo.mean(-1, keepdims=True) * (1 - opacity)
        return plots.pictures([[photo, shown.astype(np.uint8)]], ("frame", "what the page shows"), height=2.6)

    def show(self, photo: np.ndarray, alt: str, caption: str = "") -> None:
        """The static figure of a photo with `alt` and `caption`, then the camera's button."""
        plots.show(self.figure(photo), alt=alt, caption=caption)
        display(self)
