"""A photo under its true mask, a prediction, or the error map, blended in the page.

The work is done by pure functions (`quantise`, `decide`, `paint`). The page side lies in `static/overlay.js` and
computes the same bytes, so that a slider answers without asking the kernel.
"""

from pathlib import Path

import anywidget
import numpy as np
import traitlets
from IPython.display import display
from matplotlib.figure import Figure

from faceseg_utils.data.catalog import IGNORE, PALETTES, PERSON
from faceseg_utils.figures import plots
from faceseg_utils.figures.plots import ERROR_PALETTE

STATIC = Path(__file__).parent / "static"
LAYERS = ("photo", "true mask", "prediction", "error map")
ERROR_NAMES = ("right", "missed", "invented", "another class")
LARGEST = 4_000_000  # pixels: beyond it a page becomes slow


def check_photo(photo) -> np.ndarray:
    """The photo itself if it is uint8 [H, W, 3]; raises ValueError, with the fix, for anything else."""
    photo = np.asarray(photo)
    if photo.dtype in (np.uint16, np.int32, np.uint32):
        raise ValueError(f"photo has {photo.dtype.itemsize * 8} bits per channel: scale it to uint8, 0 to 255, first")
    if photo.ndim == 3 and photo.shape[2] == 4:
        raise ValueError("photo has 4 channels (alpha, or CMYK): open it with PIL and convert('RGB') first")
    if photo.ndim == 2:
        raise ValueError("photo is grey [H, W]: open it with PIL and convert('RGB') first")
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
        raise ValueError(f"photo is {photo.dtype} {photo.shape}: expected uint8 [height, width, 3]")
    if photo.shape[0] * photo.shape[1] > LARGEST:
        size = f"{photo.shape[1]} x {photo.shape[0]}"
        raise ValueError(f"photo of {size} pixels is too large to blend in a page: scale it below 4 megapixels first")
    return photo


def quantise(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities [H, W] or [K, H, W] as the page gets them: levels 0..255, uint8 [C, H, W], C = 1 or K.

    Raises ValueError for NaN, and for values outside of 0..1.
    """
    probabilities = np.asarray(probabilities, np.float64)
    if probabilities.ndim == 2:
        probabilities = probabilities[None]
    if probabilities.ndim != 3:
        raise ValueError(f"probabilities are {probabilities.shape}: expected [H, W] or [classes, H, W]")
    if not np.isfinite(probabilities).all():
        raise ValueError("probabilities hold NaN or infinity: look at the model's weights and at its input")
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise ValueError("probabilities leave 0..1: are these logits? apply sigmoid or softmax first")
    return (probabilities * 255).round().astype(np.uint8)


def _check_truth(truth, classes: int) -> np.ndarray:
    truth = np.asarray(truth)
    if truth.ndim != 2:
        raise ValueError(f"true mask is {truth.shape}: expected [height, width] with class numbers")
    stray = np.setdiff1d(truth, [*range(classes), IGNORE])
    if stray.size:
        raise ValueError(f"true mask holds {stray[0]}: expected classes 0 to {classes - 1}, or 255")
    return truth.astype(np.uint8)


def check_layers(photo, truth, probabilities, classes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Photo [H, W, 3], true mask [H, W] and levels [C, H, W], uint8, that fit each other; else ValueError."""
    photo, truth, levels = check_photo(photo), _check_truth(truth, len(classes)), quantise(probabilities)
    for name, shape in (("true mask", truth.shape), ("prediction", levels.shape[1:])):
        if shape != photo.shape[:2]:
            raise ValueError(f"{name} is {shape} but photo is {photo.shape[:2]}: bring it to the photo's size first")
    wanted = 1 if len(classes) == 2 else len(classes)
    if len(levels) != wanted:
        raise ValueError(f"{len(levels)} channels of probabilities for {len(classes)} classes: expected {wanted}")
    return tuple(np.ascontiguousarray(a) for a in (photo, truth, levels))


def colours(classes, palette=None):
    """The palette itself, or the catalog's for these classes. Raises ValueError where there is none or it is short."""
    palette = PALETTES.get(tuple(classes)) if palette is None else palette
    if palette is None or len(palette) != len(classes):
        found = "no palette" if palette is None else f"a palette of {len(palette)} colours"
        raise ValueError(f"{found} for {len(classes)} classes: give palette=((r, g, b), ...), one colour per class")
    return palette


def decide(levels: np.ndarray, threshold: float) -> np.ndarray:
    """Class of every pixel, uint8 [H, W], from levels [C, H, W].

    One channel: person where its level passes `threshold`. K channels: background unless the others together pass
    it, then the most probable of the others (the first of equals).
    """
    limit = threshold * 255
    if len(levels) == 1:
        return (levels[0] > limit).astype(np.uint8)
    return np.where(255 - levels[0] > limit, 1 + levels[1:].argmax(0), 0).astype(np.uint8)


def paint(photo, truth, levels, threshold, layer, palette, opacity, visible) -> np.ndarray:
    """What the canvas shows, uint8 [H, W, 3], for one of `LAYERS`: the page must come to the same bytes."""
    if layer == "photo":
        return photo
    if layer == "true mask":
        return plots.blend(photo, truth, palette, opacity, list(visible))
    prediction = decide(levels, threshold)
    if layer == "prediction":
        return plots.blend(photo, prediction, palette, opacity, list(visible))
    return plots.error_map(photo, prediction, truth, opacity)


class MaskOverlay(anywidget.AnyWidget):
    """A photo under its true mask, a prediction, or the error map, with sliders that the page answers by itself.

    Parameters
    ----------
    photo : uint8 [H, W, 3].
    truth : uint8 [H, W], classes 0..K-1, 255 = not labelled; None where nobody knows: then without its two layers.
    probabilities : float [H, W] of "person", or [K, H, W], as `Segmenter.predict` gives them.
    classes, palette : names and colours [K]; person/background if not given.
    description : one sentence for readers who cannot see the picture.
    reveal : scroll to the overlay when it opens.

    Raises ValueError in one line for a photo with alpha or 16 bits, another size, NaN, or logits.
    """

    _esm = STATIC / "overlay.js"
    _css = STATIC / "overlay.css"
    photo = traitlets.Bytes(b"").tag(sync=True)  # [H, W, 3]
    truth = traitlets.Bytes(b"").tag(sync=True)  # [H, W]
    levels = traitlets.Bytes(b"").tag(sync=True)  # [C, H, W]
    channels = traitlets.Int(1).tag(sync=True)
    size = traitlets.List([1, 1]).tag(sync=True)  # width, height
    names = traitlets.List([]).tag(sync=True)
    palette = traitlets.List([]).tag(sync=True)
    error_names = traitlets.List(list(ERROR_NAMES)).tag(sync=True)
    error_palette = traitlets.List([list(c) for c in ERROR_PALETTE]).tag(sync=True)
    description = traitlets.Unicode("").tag(sync=True)
    layers = traitlets.List(list(LAYERS)).tag(sync=True)  # those that can be shown
    layer = traitlets.Enum(LAYERS, "error map").tag(sync=True)
    threshold = traitlets.Float(0.5, min=0, max=1).tag(sync=True)
    opacity = traitlets.Float(0.6, min=0, max=1).tag(sync=True)
    zoom = traitlets.Int(1, min=1, max=6).tag(sync=True)
    visible = traitlets.List([]).tag(sync=True)
    reveal = traitlets.Bool(False).tag(sync=True)

    def __init__(self, photo, truth, probabilities, classes=PERSON, palette=None, description="", **state):
        if truth is None:
            truth = np.full(np.shape(photo)[:2], IGNORE, np.uint8)
            state = {"layers": ["photo", "prediction"], "layer": "prediction", **state}
        self._arrays = photo, truth, levels = check_layers(photo, truth, probabilities, classes)
        palette = colours(classes, palette)
        errors = 3 if len(classes) == 2 else 4
        super().__init__(
            photo=photo.tobytes(), truth=truth.tobytes(), levels=levels.tobytes(), channels=len(levels),
            size=[photo.shape[1], photo.shape[0]], names=list(classes), palette=[list(map(int, c)) for c in palette],
            error_names=list(ERROR_NAMES[:errors]), error_palette=[list(c) for c in ERROR_PALETTE[:errors]],
            description=description, visible=list(range(1, len(classes))), **state,
        )  # fmt: skip

    def pixels(self, layer: str | None = None) -> np.ndarray:
        """What the canvas shows now, uint8 [H, W, 3], computed here: for the static figure and for tests."""
        photo, truth, levels = self._arrays
        layer = layer or self.layer
        return paint(photo, truth, levels, self.threshold, layer, self.palette, self.opacity, self.visible)

    def figure(self) -> Figure:
        """All layers side by side: what readers without a kernel get."""
        return plots.pictures([[self.pixels(layer) for layer in self.layers]], titles=self.layers, height=2.6)

    def show(self, alt: str, caption: str = "") -> None:
        """The static figure with `alt` and `caption`, then the widget itself."""
        plots.show(self.figure(), alt=alt, caption=caption)
        display(self)
