"""Click a pixel: which pixels of the photo does the network's answer there depend on?

By gradient (what would a small change of each pixel do?) and by occlusion (what does covering a square do?). Covering
does not depend on the pixel that is asked about, so all covered photos go through the network once, at the start.
"""

import anywidget
import matplotlib.pyplot as plt
import numpy as np
import torch
import traitlets
from IPython.display import display
from matplotlib.figure import Figure
from torch import nn

from faceseg_utils.figures import plots
from faceseg_utils.widgets.overlay import STATIC, check_photo

TITLES = ("photo", "gradient", "occlusion")


def gradient_map(network: nn.Module, x: torch.Tensor, row: int, column: int) -> np.ndarray:
    """How strongly the logit at a pixel reacts to each pixel of x [3, h, w]: |gradient| summed over colours, [h, w]."""
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        logit = network(x[None])[0, 0, row, column]
        (gradient,) = torch.autograd.grad(logit, x)
    return gradient.abs().sum(0).cpu().numpy()


@torch.inference_mode()
def covered_logits(network: nn.Module, x: torch.Tensor, side: int) -> np.ndarray:
    """The logits [h / side, w / side, h, w] with one square of x [3, h, w] after the other in the photo's mean colour.

    Raises ValueError when the squares do not fill the photo.
    """
    _, height, width = x.shape
    if height % side or width % side:
        raise ValueError(f"squares of {side} pixels do not fill {height} x {width}: take a side that divides both")
    mean, rows = x.mean((1, 2), keepdim=True), []
    for top in range(0, height, side):
        covered = x.repeat(width // side, 1, 1, 1)
        for k, photo in enumerate(covered):
            photo[:, top : top + side, k * side : (k + 1) * side] = mean
        rows.append(network(covered)[:, 0].cpu().numpy())
    return np.stack(rows)


def reach(gradient: np.ndarray, row: int, column: int, share: float = 0.5) -> float:
    """How far from a pixel one must go to find `share` of the gradient [h, w]: a radius in pixels."""
    rows, columns = np.indices(gradient.shape)
    distance = np.hypot(rows - row, columns - column).ravel()
    order = distance.argsort()
    found = gradient.ravel()[order].cumsum()
    return float(distance[order][np.searchsorted(found, share * found[-1])])


class ReceptiveField(anywidget.AnyWidget):
    """A photo beside what the answer at one of its pixels depends on. A click or the arrow keys choose the `pixel`.

    Parameters
    ----------
    network : float32 [B, 3, h, w] to logits [B, 1, h, w]; it is put into eval mode.
    x : float32 [3, h, w], one photo as the network takes it.
    photo : uint8 [h, w, 3], the same as it is shown.
    side : of the covered squares, in pixels; it divides h and w.
    """

    _esm = STATIC / "receptive_field.js"
    _css = STATIC / "receptive_field.css"
    titles = traitlets.List(list(TITLES)).tag(sync=True)
    size = traitlets.List([1, 1]).tag(sync=True)  # height, width
    pixel = traitlets.List([0, 0]).tag(sync=True)  # row, column
    panels = traitlets.Bytes(b"").tag(sync=True)  # [3, h, w, 3], one picture per title
    text = traitlets.Unicode("").tag(sync=True)

    def __init__(self, network: nn.Module, x: torch.Tensor, photo: np.ndarray, side: int = 4):
        self.network, self.x, self.photo, self.side = network.eval(), x, check_photo(photo), side
        if tuple(x.shape) != (3, *photo.shape[:2]):
            raise ValueError(f"x is {tuple(x.shape)} but photo is {photo.shape}: give both at one size")
        with torch.inference_mode():
            self.logits = network(x[None])[0, 0].cpu().numpy()  # [h, w]
        self.covered = covered_logits(network, x, side)
        super().__init__(size=list(photo.shape[:2]), pixel=[photo.shape[0] // 2, photo.shape[1] // 2])
        self._answer()
        self.observe(self._answer, "pixel")

    def maps(self, row: int, column: int) -> tuple[np.ndarray, np.ndarray]:
        """Gradient [h, w], and by how much covering each square lowers the logit at the pixel, [h, w]."""
        drop = self.logits[row, column] - self.covered[..., row, column]
        return gradient_map(self.network, self.x, row, column), np.kron(drop, np.ones((self.side, self.side)))

    def describe(self, row: int, column: int) -> str:
        """The answer at a pixel in one sentence."""
        gradient, drop = self.maps(row, column)
        person = 1 / (1 + np.exp(-float(self.logits[row, column])))
        top, left = np.unravel_index(np.abs(drop).argmax(), drop.shape)
        most, last = drop[top, left], self.side - 1
        return (f"Row {row}, column {column}: {person:.0%} person. Half of the gradient lies within "
                f"{reach(gradient, row, column):.0f} pixels. Covering rows {top} to {top + last}, columns {left} to "
                f"{left + last} {'lowers' if most > 0 else 'raises'} the logit most, by {abs(most):.1f}.")  # fmt: skip

    def pictures(self, row: int, column: int) -> list[np.ndarray]:
        """Photo, gradient and occlusion as they are shown, three times uint8 [h, w, 3]."""
        gradient, drop = self.maps(row, column)
        strong = plt.get_cmap("viridis")(
            np.sqrt(gradient / max(gradient.max(), 1e-12))
        )  # root: or all but few are dark
        turned = plt.get_cmap("PuOr")(0.5 + drop / max(2 * np.abs(drop).max(), 1e-12))
        return [self.photo, *((255 * colours[..., :3]).round().astype(np.uint8) for colours in (strong, turned))]

    def figure(self, pixels) -> Figure:
        """One row of pictures per pixel (row, column) of `pixels`: for readers without a kernel."""
        figure = plots.pictures([self.pictures(*pixel) for pixel in pixels], TITLES, height=2.6)
        for axis, (row, column) in zip(figure.axes, np.repeat(pixels, len(TITLES), axis=0), strict=True):
            for colour, width in (("black", 3), ("white", 1.5)):  # wide enough to leave the pixel itself to be seen
                axis.plot(column, row, "o", mfc="none", mec=colour, ms=15, mew=width)
            axis.set(xticks=range(0, self.size[1], 16), yticks=range(0, self.size[0], 16))
            axis.tick_params(labelsize=8)
            axis.grid(False)
        return figure

    def show(self, pixels, alt: str, caption: str = "") -> None:
        """The static figure of `pixels` with `alt` and `caption`, then the widget itself."""
        plots.show(self.figure(pixels), alt=alt, caption=caption)
        display(self)

    def _answer(self, _=None) -> None:
        with self.hold_sync():
            self.panels = np.stack(self.pictures(*self.pixel)).tobytes()
            self.text = self.describe(*self.pixel)
