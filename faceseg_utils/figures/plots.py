"""Static figures: pure functions that return a Figure, and `show`, which gives it alt text and a caption.

The colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart.
"""

import html
import inspect
import io

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from PIL import Image

from faceseg_utils.analysis.errors import error_kinds
from faceseg_utils.data.catalog import IGNORE

BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#767676",
)  # fmt: skip
CYCLE = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY)

STYLE = {
    "axes.prop_cycle": plt.cycler(color=CYCLE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "image.interpolation": "nearest",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "white",
}
WIDTH = 8.0  # inches: the width of a notebook's text column on GitHub
BARE = {"xticks": [], "yticks": [], "frame_on": False}  # the axes of a picture


def show(figure: Figure, alt: str, caption: str = "", dpi: int = 96, vector: bool = False) -> None:
    """Display a figure with `alt` for those who cannot see it, and a `caption` that states the finding.

    With `dpi` dots per inch as PNG of 256 colours, as JPEG if it shows photos; or with `vector` as SVG: for drawings
    with small text.
    """
    buffer, kind = io.BytesIO(), "image/svg+xml" if vector else "image/png"
    with plt.rc_context({"svg.hashsalt": "figure"}):  # the same figure gives the same file
        figure.savefig(buffer, format="svg" if vector else "png", dpi=dpi, metadata={"Date": None} if vector else None)
    if not vector:  # notebooks are committed with their outputs, so pictures are made small
        picture, buffer = Image.open(buffer).convert("RGB"), io.BytesIO()
        if any(image.get_array().ndim == 3 for axis in figure.axes for image in axis.images):
            picture.save(buffer, "JPEG", quality=80, optimize=True)
            kind = "image/jpeg"
        else:
            picture.quantize(256).save(buffer, "PNG", optimize=True)
    plt.close(figure)
    content = buffer.getvalue()
    if vector:
        content = content.decode().replace("<metadata>", f"<title>{html.escape(alt)}</title>\n <metadata>", 1)
    display({kind: content, "text/plain": alt}, raw=True, metadata={kind: {"alt": alt}})
    if caption:
        display(Markdown(f"*{caption}*"))


def show_source(thing) -> None:
    """Show the source of a function or class of the package, so that nothing in it stays hidden."""
    display(Markdown(f"```python\n{inspect.getsource(thing).rstrip()}\n```"))


def blend(photo: np.ndarray, mask: np.ndarray, palette, opacity: float = 0.5, shown=None) -> np.ndarray:
    """Lay a mask over its photo: uint8 [H, W, 3]. Class 0, classes not in `shown`, and 255 stay clear."""
    colours = np.zeros((256, 3), np.float32)
    colours[: len(palette)] = palette
    weight = np.zeros(256, np.float32)
    weight[list(range(1, len(palette)) if shown is None else shown)] = opacity
    weight = weight[mask][..., None]
    return (photo * (1 - weight) + colours[mask] * weight).round().astype(np.uint8)


def contour(ax: Axes, photo: np.ndarray, mask: np.ndarray, truth: np.ndarray | None = None, dim: float = 0.6) -> None:
    """Draw a photo [H, W, 3] with the border of its `mask` [H, W] as a yellow line, what lies outside darker by `dim`.

    Every class above 0 lies inside, 255 (ignore) outside. The border of `truth` [H, W], if given, is dashed and blue.
    """
    inside, true = ((m > 0) & (m != IGNORE) if m is not None else None for m in (mask, truth))
    ax.imshow(np.where(inside[..., None], photo, photo * (1 - dim)).astype(np.uint8))
    height, width = inside.shape
    for region, colour, style in ((true, SKY, (0, (3, 2))), (inside, YELLOW, "-")):
        if region is not None and region.any() and not region.all():
            beyond = np.pad(region, 1, "edge")  # so that the line reaches the frame
            at = {"linestyles": [style], "linewidths": 1.4, "colors": colour}
            line = ax.contour(np.arange(-1, width + 1), np.arange(-1, height + 1), beyond, [0.5], **at)
            line.set_path_effects([withStroke(linewidth=2.8, foreground="black")])  # seen on any ground
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def colour_mask(mask: np.ndarray, palette) -> np.ndarray:
    """A mask in its palette's colours, uint8 [H, W, 3]; 255 (ignore) in mid grey."""
    colours = np.full((256, 3), 128, np.uint8)
    colours[: len(palette)] = palette
    return colours[mask]


def pictures(rows: list[list], titles=(), labels=(), height: float = 2.0, **imshow) -> Figure:
    """A grid of pictures that are compared: same size, one scale, `titles` above columns, `labels` left of rows.

    A picture is an array, or a tuple (photo, mask) or (photo, mask, truth) to be drawn by `contour`.
    """
    columns = max(map(len, rows))
    first = rows[0][0][0] if isinstance(rows[0][0], tuple) else rows[0][0]
    ratio = first.shape[1] / first.shape[0]
    size = (min(WIDTH, columns * height * ratio + 0.3), len(rows) * height + 0.3)
    figure, axes = plt.subplots(len(rows), columns, figsize=size, squeeze=False, subplot_kw=BARE)
    for across, row in zip(axes, rows, strict=True):
        for axis, picture in zip(across, row, strict=False):
            if isinstance(picture, tuple):
                contour(axis, *picture)
            else:
                axis.imshow(picture, **imshow)
    for axis, title in zip(axes[0], titles, strict=False):
        axis.set_title(title)
    for axis, label in zip(axes[:, 0], labels, strict=False):
        axis.set_ylabel(label)
    return figure


def gallery(dataset, indices, columns: int = 6) -> Figure:
    """Photos with the borders of their masks, `columns` per row."""
    pairs = [dataset[i] for i in indices]
    return pictures([pairs[k : k + columns] for k in range(0, len(pairs), columns)])


# Right (not drawn), missed (blue), invented (orange), another class (violet): distinct for every kind of sight.
ERROR_PALETTE = ((0, 0, 0), (0, 114, 178), (230, 159, 0), (204, 121, 167))


def error_map(photo: np.ndarray, prediction: np.ndarray, target: np.ndarray, opacity: float = 0.75) -> np.ndarray:
    """A greyed photo with its `errors.error_kinds` in colour, uint8 [H, W, 3]; ValueError when the sizes differ."""
    grey = np.repeat(photo.mean(-1, keepdims=True), 3, -1).astype(np.uint8)
    return blend(grey, error_kinds(prediction, target), ERROR_PALETTE, opacity)


def number_grids(grids, titles, cmap="Blues", limits=None, fmt="{:g}", cell: float = 0.36) -> Figure:
    """Small arrays [h, w] side by side, each number written into its cell: for examples worked out by hand.

    `limits` is the (lowest, highest) value of the colour scale, shared by all grids; `cell` in inches.
    """
    grids = [np.asarray(grid, float) for grid in grids]
    low, high = limits or (min(map(np.min, grids)), max(map(np.max, grids)))
    count, across, down = len(grids), sum(grid.shape[1] for grid in grids), max(grid.shape[0] for grid in grids)
    gap, rim, head = 0.35, 0.08, 0.32  # inches: between grids, around them, for the titles
    cell = min(cell, (WIDTH - 2 * rim - gap * (count - 1)) / across)
    wide, tall = across * cell + gap * (count - 1) + 2 * rim, down * cell + head + rim
    room = {"left": rim / wide, "right": 1 - rim / wide, "bottom": rim / tall, "top": 1 - head / tall}
    room |= {"width_ratios": [grid.shape[1] for grid in grids], "wspace": gap * count / (across * cell)}
    figure, axes = plt.subplots(
        1, count, figsize=(wide, tall), squeeze=False, gridspec_kw=room, layout="none", subplot_kw=BARE
    )
    colours = plt.cm.ScalarMappable(plt.Normalize(low, high), cmap)
    for axis, grid, title in zip(axes[0], grids, titles, strict=True):
        axis.imshow(grid, cmap=cmap, norm=colours.norm)
        for (row, column), value in np.ndenumerate(grid):
            ink = "white" if np.dot(colours.to_rgba(value)[:3], (0.299, 0.587, 0.114)) < 0.5 else "black"
            axis.text(column, row, fmt.format(value), ha="center", va="center", color=ink, size=9)
        axis.set_title(title)
    return figure
