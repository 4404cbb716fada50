"""A training as it goes: curves of loss and Dice, and a few masks as they sharpen."""

import base64
import html
import io

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython import get_ipython
from IPython.display import display
from matplotlib.figure import Figure

from faceseg_utils.data.catalog import PERSON
from faceseg_utils.figures import plots
from faceseg_utils.widgets.overlay import colours, decide, quantise

COLUMNS = 5  # epochs that are shown side by side


def soft_colours(probabilities: np.ndarray, palette) -> np.ndarray:
    """Probabilities [H, W] or [K, H, W] as colours, uint8 [H, W, 3]: each class's colour by its share, doubt as fog."""
    p = np.asarray(probabilities, np.float32)
    if p.ndim == 2:
        p = np.stack([1 - p, p])  # [2, H, W]
    colours = np.asarray(palette, np.float32)[: len(p)]  # [K, 3]
    return np.einsum("khw,kc->hwc", p, colours).round().clip(0, 255).astype(np.uint8)


def spread(epochs: list[int], count: int = COLUMNS) -> list[int]:
    """At most `count` of the epochs, evenly spread, the first and the last among them."""
    chosen = np.linspace(0, len(epochs) - 1, min(count, len(epochs))).round().astype(int)
    return [epochs[i] for i in chosen]


def learning_curves(figure, metrics) -> None:
    """Draw loss and Dice by epoch into a figure or subfigure: while learning, and on photos not trained on."""
    epochs = metrics["epoch"] + 1
    for axis, name, label in zip(figure.subplots(1, 2), ("loss", "dice"), ("loss", "Dice"), strict=True):
        axis.plot(epochs, metrics[f"train_{name}"], "o-", color=plots.GREY, ms=4, label="train (while learning)")
        axis.plot(epochs, metrics[f"val_{name}"], "o-", color=plots.BLUE, ms=4, label="not trained on")
        axis.set(xlabel="epoch", ylabel=label, xlim=(0.5, epochs.max() + 0.5))
        axis.xaxis.get_major_locator().set_params(integer=True)
    figure.axes[0].legend()


def progress_figure(history: pd.DataFrame, photos, masks, snapshots: dict[int, list], palette) -> Figure:
    """Curves of `history` above; below, per photo, a row of photo, true mask, and the answers after some epochs.

    Parameters
    ----------
    history : one row per epoch with epoch (from 0), train_loss, val_loss, train_dice, val_dice.
    photos, masks : uint8 [H, W, 3] and uint8 [H, W], a few.
    snapshots : epoch -> probabilities of each photo, float [H, W] or [K, H, W].
    palette : one colour per class.
    """
    rows, height = len(photos), 1.25
    figure = plt.figure(figsize=(plots.WIDTH, 2.5 + rows * height))
    above, below = figure.subfigures(2, 1, height_ratios=[2.5, rows * height])
    learning_curves(above, history)
    shown = spread(sorted(snapshots))
    grid = below.subplots(rows, 2 + len(shown), squeeze=False)
    for axes, photo, mask, k in zip(grid, photos, masks, range(rows), strict=True):
        answers = [soft_colours(snapshots[epoch][k], palette) for epoch in shown]
        for axis, picture in zip(axes, [photo, plots.colour_mask(mask, palette), *answers], strict=True):
            axis.imshow(picture)
    for axis, title in zip(grid[0], ["photo", "true mask", *(f"epoch {e + 1}" for e in shown)], strict=True):
        axis.set_title(title)
    for axis in grid.flat:
        axis.axis("off")
    return figure


def _png(figure: Figure, dpi: int = 80) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    plt.close(figure)
    return buffer.getvalue()


def _img(figure: Figure, alt: str) -> str:
    """The figure as an element of a page."""
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{base64.b64encode(_png(figure)).decode()}">'


class TrainingView:
    """Watch a training: call `view(history, segmenter)` after each epoch, `view.show(alt, caption)` at the end.

    In a notebook each call redraws one picture in place; elsewhere (a script, a terminal) nothing is displayed and
    the progress bar of `train` stays alone. `show` takes the live picture away and leaves the static figure; `slider()`
    lets a reader go through the epochs.

    Parameters
    ----------
    photos, masks : a few photos that are not trained on, uint8 [H, W, 3], and their masks, uint8 [H, W].
    classes, palette : names and colours [K]; person/background if not given.
    """

    def __init__(self, photos, masks, classes=PERSON, palette=None):
        if len(photos) != len(masks) or not len(photos):
            raise ValueError(f"{len(photos)} photos and {len(masks)} masks: expected as many, and at least one")
        for photo, mask in zip(photos, masks, strict=True):
            if photo.shape[:2] != mask.shape:
                raise ValueError(f"true mask is {mask.shape} but photo is {photo.shape[:2]}: give both at one size")
        self.photos, self.masks = list(photos), list(masks)
        self.palette = colours(classes, palette)
        self.history, self.snapshots = pd.DataFrame(), {}
        self._live = None

    def __call__(self, history: pd.DataFrame, segmenter) -> None:
        """Take in an epoch: `history` has a row for each so far, `segmenter` is the network after the last."""
        self.history = pd.DataFrame(history)
        epoch = int(self.history["epoch"].iloc[-1])
        self.snapshots[epoch] = [segmenter.predict(photo) for photo in self.photos]
        if in_notebook():
            self._redraw(epoch)

    def figure(self) -> Figure:
        """The static figure of all epochs so far. Raises ValueError before the first."""
        if not self.snapshots:
            raise ValueError("no epoch seen yet: hand this view to train(...), or call view(history, segmenter)")
        return progress_figure(self.history, self.photos, self.masks, self.snapshots, self.palette)

    def show(self, alt: str, caption: str = "") -> None:
        """The static figure with `alt` and `caption`, in place of the live one."""
        if self._live is not None:
            self._live.close()
            self._live = None
        plots.show(self.figure(), alt=alt, caption=caption)

    def masks_after(self, epoch: int) -> Figure:
        """The photos under their masks after an epoch (from 0), the true border dashed."""
        masks = [decide(quantise(p), 0.5) for p in self.snapshots[epoch]]
        return plots.pictures([list(zip(self.photos, masks, self.masks))], height=2.6)

    def slider(self) -> ipywidgets.Widget:
        """`masks_after` the epoch that is chosen on a slider, of those that were seen."""
        epochs = sorted(self.snapshots)
        chosen = ipywidgets.SelectionSlider(
            options=[(str(epoch + 1), epoch) for epoch in epochs], value=epochs[0], description="epoch"
        )
        picture = ipywidgets.HTML()

        def redraw(_=None):
            picture.value = _img(self.masks_after(chosen.value), f"Masks after epoch {chosen.value + 1}.")

        chosen.observe(redraw, "value")
        redraw()
        return ipywidgets.VBox([chosen, picture])

    def _redraw(self, epoch: int) -> None:
        last = self.history.iloc[-1]
        alt = f"Curves and masks after epoch {epoch + 1}: loss {last['val_loss']:.3f}, Dice {last['val_dice']:.3f}."
        content = _img(self.figure(), alt)
        if self._live is None:
            self._live = ipywidgets.HTML(content)
            display(self._live)
        else:
            self._live.value = content


def in_notebook() -> bool:
    """Is there a kernel, and so most likely a page that shows widgets?"""
    return hasattr(get_ipython(), "kernel")
