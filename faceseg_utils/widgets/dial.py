"""A slider that moves one thing about a picture, while mask, errors and Dice follow: all settings lie in the page."""

import anywidget
import numpy as np
import traitlets
from IPython.display import display
from matplotlib.figure import Figure

from faceseg_utils import dice
from faceseg_utils.analysis.errors import error_kinds
from faceseg_utils.data.catalog import PERSON
from faceseg_utils.figures import plots
from faceseg_utils.figures.plots import ERROR_PALETTE
from faceseg_utils.widgets.overlay import STATIC, check_layers

SURE = 242  # of 255: above it, or below what is left of 255, the network is over 95 % sure


def paint_setting(photo: np.ndarray, truth: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The person on a darker background, and the errors on grey: twice uint8 [H, W, 3], from levels uint8 [H, W].

    Whole numbers only, so that the page comes to the same bytes.
    """
    prediction = levels > 127
    cut = np.where(prediction[..., None], photo, photo * 2.0 // 5)
    grey = np.repeat(photo.sum(-1, dtype=int, keepdims=True) // 3, 3, -1)
    kinds = error_kinds(prediction.astype(np.uint8), truth)
    errors = np.where(kinds[..., None] > 0, (3 * np.array(ERROR_PALETTE)[kinds] + grey) // 4, grey)
    return cut.astype(np.uint8), errors.astype(np.uint8)


def describe(label: str, truth: np.ndarray, levels: np.ndarray) -> str:
    """One line about a setting: its Dice, its wrong pixels, and at how many of them the network was over 95 % sure."""
    prediction = (levels > 127).astype(np.uint8)
    wrong = error_kinds(prediction, truth) > 0
    sure = wrong & ((levels > SURE) | (levels < 255 - SURE))
    return (f"{label}: Dice {dice.dice_score(prediction, truth)[0]:.3f}, {wrong.sum()} wrong pixels, "
            f"over 95 % sure at {sure.sum()} of them")  # fmt: skip


class DialView(anywidget.AnyWidget):
    """The same portrait at the settings of one dial, in order. A slider moves it, the page answers by itself.

    Parameters
    ----------
    photos, truths : uint8 [H, W, 3] and uint8 [H, W] (0 or 1, 255 = not labelled), one of each per setting.
    probabilities : float [H, W] of "person", one per setting.
    labels : what the dial says at each setting, such as "90 degrees".
    setting : where it begins.

    Raises ValueError in one line for fewer than two settings, for lists or pictures that do not fit each other, and for
    what `MaskOverlay` would refuse.
    """

    _esm = STATIC / "dial.js"
    _css = STATIC / "dial.css"
    photos = traitlets.Bytes(b"").tag(sync=True)  # [S, H, W, 3]
    truths = traitlets.Bytes(b"").tag(sync=True)  # [S, H, W]
    levels = traitlets.Bytes(b"").tag(sync=True)  # [S, H, W]
    size = traitlets.List([1, 1]).tag(sync=True)  # width, height
    labels = traitlets.List([]).tag(sync=True)
    palette = traitlets.List([list(colour) for colour in ERROR_PALETTE]).tag(sync=True)
    setting = traitlets.Int(0).tag(sync=True)

    def __init__(self, photos, truths, probabilities, labels, setting: int = 0):
        counts = [len(photos), len(truths), len(probabilities), len(labels)]
        if len(set(counts)) > 1 or counts[0] < 2:
            raise ValueError("{} photos, {} masks, {} predictions, {} labels: expected one of each per setting, "
                             "for two settings or more".format(*counts))  # fmt: skip
        if not 0 <= setting < counts[0]:
            raise ValueError(f"setting {setting}: this dial has 0 to {counts[0] - 1}")
        self._settings = []
        for k, layers in enumerate(zip(photos, truths, probabilities)):
            try:
                photo, truth, levels = check_layers(*layers, PERSON)
            except ValueError as error:
                raise ValueError(f"setting {k}: {error}") from None
            self._settings.append((photo, truth, levels[0]))
            first = self._settings[0][0].shape
            if photo.shape != first:
                raise ValueError(f"setting {k}: photo is {photo.shape[:2]}, that of setting 0 {first[:2]}")
        height, width = first[:2]
        joined = (b"".join(part.tobytes() for part in parts) for parts in zip(*self._settings))
        super().__init__(**dict(zip(("photos", "truths", "levels"), joined)), size=[width, height],
                         labels=list(map(str, labels)), setting=setting)  # fmt: skip

    def pixels(self, setting: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """What the two canvases show, computed here: for the static figure and for tests."""
        return paint_setting(*self._settings[self.setting if setting is None else setting])

    def text(self, setting: int | None = None) -> str:
        """What stands below them."""
        setting = self.setting if setting is None else setting
        return describe(self.labels[setting], *self._settings[setting][1:])

    def figure(self) -> Figure:
        """All settings side by side: what readers without a kernel get."""
        rows = zip(*(self.pixels(k) for k in range(len(self.labels))))
        scores = (dice.dice_score((levels > 127).astype(np.uint8), truth)[0] for _, truth, levels in self._settings)
        titles = [f"{label}\nDice {score:.3f}" for label, score in zip(self.labels, scores)]
        return plots.pictures([list(row) for row in rows], titles, height=plots.WIDTH / len(titles) * 4 / 3)

    def show(self, alt: str, caption: str = "") -> None:
        """The static figure with `alt` and `caption`, then the widget itself."""
        plots.show(self.figure(), alt=alt, caption=caption)
        display(self)
