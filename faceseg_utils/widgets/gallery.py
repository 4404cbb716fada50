"""Many photos by score: sort them, filter them, open one."""

import base64
import io
from collections.abc import Sequence

import anywidget
import ipywidgets
import numpy as np
import pandas as pd
import traitlets
from IPython.display import display
from matplotlib.figure import Figure
from PIL import Image

from faceseg_utils.data.catalog import PERSON
from faceseg_utils.figures import plots
from faceseg_utils.widgets.overlay import LAYERS, STATIC, MaskOverlay, check_layers, colours, paint, quantise

PAGE = 12  # photos on the page at once
HEIGHT = 120  # pixels of a thumbnail
ALL, ANY = "all photos", "any"  # no column chosen, no value chosen: JupyterLab shows None as an empty box


def as_text(value) -> str:
    """A value of a table as a short text."""
    if not isinstance(value, float | np.floating):
        return str(value)
    if np.isnan(value):
        return "unknown"
    return f"{value:.0f}" if abs(value) >= 10 or value == round(value) else f"{value:.3f}"


def is_slice(column: pd.Series) -> bool:
    """Does a column sort photos into a few groups? Words of at most 20 kinds do, or numbers of at most 6.

    Other numbers (scores, angles, the number of a person) are for sorting.
    """
    most = 6 if pd.api.types.is_numeric_dtype(column) else 20
    return 2 <= column.nunique(dropna=False) <= most


def select_rows(
    table: pd.DataFrame,
    sort_by: str,
    ascending: bool = True,
    filter_column: str | None = None,
    filter_value: str | None = None,
) -> np.ndarray:
    """Row numbers of the table, int [N], sorted by a column and filtered by another.

    `filter_value` is a value of `filter_column` `as_text`; without one, all rows stay. Rows that miss the value
    sorted by come last, equal ones keep the table's order. Raises ValueError for a column that is not there.
    """
    for name in (sort_by, filter_column):
        if name is not None and name not in table:
            raise ValueError(f"no column '{name}': the table has {', '.join(map(str, table.columns))}")
    rows = pd.Series(np.arange(len(table)))
    order = table[sort_by].reset_index(drop=True).sort_values(ascending=ascending, kind="stable", na_position="last")
    rows = rows[order.index].to_numpy()
    if filter_column is None or filter_value is None:
        return rows
    return rows[(table[filter_column].map(as_text) == filter_value).to_numpy()[rows]]


def thumbnail(picture: np.ndarray, height: int = HEIGHT) -> bytes:
    """A picture uint8 [H, W, 3] as a small JPEG of `height` pixels."""
    image = Image.fromarray(picture)
    image.thumbnail((4 * height, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


class Thumbnails(anywidget.AnyWidget):
    """A grid of small pictures, each a button; `opened` is the `index` of the card pressed last."""

    _esm = STATIC / "gallery.js"
    _css = STATIC / "gallery.css"
    cards = traitlets.List([]).tag(sync=True)  # {index, caption, alt, src} each
    opened = traitlets.Int(-1).tag(sync=True)


class Gallery(ipywidgets.VBox):
    """Photos by any column of a table, lowest or highest first, of one slice or all. A click opens `MaskOverlay`.

    Parameters
    ----------
    photos, truths : as for `MaskOverlay`, one of each per row of the table.
    probabilities : float [H, W] of "person" or [K, H, W] per photo; a hard mask of 0 and 1 will do, too.
    table : one row per photo, such as `errors.score_table` makes; its index names the photos.
    classes, palette : names and colours [K]; person/background if not given.
    sort_by : the column to begin with, lowest first.

    Only the thumbnails of one page are made and sent. `rows` are the rows shown now, in order, on all pages.
    """

    def __init__(self, photos: Sequence, truths: Sequence, probabilities: Sequence, table: pd.DataFrame,
                 classes=PERSON, palette=None, sort_by="dice"):  # fmt: skip
        counts = [len(photos), len(truths), len(probabilities), len(table)]
        if len(set(counts)) > 1 or not counts[0]:
            raise ValueError("{} photos, {} masks, {} predictions and {} rows: expected one of each".format(*counts))
        select_rows(table, sort_by)
        self.photos, self.truths, self.probabilities, self.table = photos, truths, probabilities, table
        self.classes, self.palette = tuple(classes), colours(classes, palette)
        for name, *layers in zip(table.index, photos, truths, probabilities, strict=True):
            try:
                check_layers(*layers, self.classes)
            except ValueError as error:
                raise ValueError(f"photo {name}: {error}") from None

        numbers = [c for c in table if pd.api.types.is_numeric_dtype(table[c]) and table[c].nunique() > 1]
        slices = [c for c in table if is_slice(table[c])]
        row = {"layout": {"width": "240px"}}
        self.sort_by = ipywidgets.Dropdown(options=[sort_by, *(c for c in numbers if c != sort_by)],
                                           description="sort by", **row)  # fmt: skip
        self.ascending = ipywidgets.Dropdown(options=[("lowest first", True), ("highest first", False)],
                                             description="order", **row)  # fmt: skip
        self.filter_column = ipywidgets.Dropdown(options=[ALL, *slices], description="only", **row)
        self.filter_value = ipywidgets.Dropdown(options=[ANY], description="which", **row)
        self.layer = ipywidgets.Dropdown(options=LAYERS, value="error map", description="show", **row)
        self.before, self.after = (ipywidgets.Button(description=text) for text in ("previous page", "next page"))
        self.count = ipywidgets.Label()
        self.grid, self.place, self.page = Thumbnails(), ipywidgets.VBox(), 0
        controls = [self.sort_by, self.ascending, self.filter_column, self.filter_value, self.layer]
        wrap = {"layout": {"flex_flow": "row wrap"}}
        pages = ipywidgets.HBox([self.before, self.after, self.count])
        super().__init__([ipywidgets.HBox(controls, **wrap), self.grid, pages, self.place])

        self.filter_column.observe(self._new_filter, "value")
        for control in (self.sort_by, self.ascending, self.filter_value, self.layer):
            control.observe(lambda _: self._turn(0), "value")
        self.before.on_click(lambda _: self._turn(self.page - 1))
        self.after.on_click(lambda _: self._turn(self.page + 1))
        self.grid.observe(lambda change: self.open_row(change["new"]), "opened")
        self._turn(0)

    @property
    def rows(self) -> np.ndarray:
        """Row numbers of the photos chosen now, int [N], in the order shown."""
        column, value = self.filter_column.value, self.filter_value.value
        some = () if column == ALL or value == ANY else (column, value)
        return select_rows(self.table, self.sort_by.value, self.ascending.value, *some)

    @property
    def overlay(self) -> MaskOverlay | None:
        """The overlay that is open below the grid, if one is."""
        return self.place.children[0] if self.place.children else None

    def pixels(self, row: int, layer: str | None = None) -> np.ndarray:
        """What the thumbnail of a row shows before it is made small, uint8 [H, W, 3]."""
        levels, visible = quantise(self.probabilities[row]), range(1, len(self.classes))
        layer = layer or self.layer.value
        return paint(self.photos[row], self.truths[row], levels, 0.5, layer, self.palette, 0.6, visible)

    def open_row(self, row: int) -> None:
        """Show the photo of a row in a `MaskOverlay` below the grid, and scroll to it."""
        old = self.overlay
        self.place.children = [
            MaskOverlay(self.photos[row], self.truths[row], self.probabilities[row], self.classes, self.palette,
                        description=self._describe(row) + ".", reveal=True)
        ]  # fmt: skip
        if old is not None:
            old.close()

    def figure(self, each: int = 6) -> Figure:
        """The `each` lowest photos above the highest, by the column sorted by: for readers without a kernel."""
        name = self.sort_by.value
        rows = select_rows(self.table, name)
        lines = [rows[:each], rows[::-1][:each]]
        pictures = [[self.pixels(row, "error map") for row in line] for line in lines]
        figure = plots.pictures(pictures, labels=[f"lowest {name}", f"highest {name}"], height=1.9)
        for axis, row in zip(figure.axes, np.concatenate(lines), strict=False):
            axis.set_title(as_text(self.table[name].iloc[row]))
        return figure

    def show(self, alt: str, caption: str = "") -> None:
        """The static figure with `alt` and `caption`, then the gallery itself."""
        plots.show(self.figure(), alt=alt, caption=caption)
        display(self)

    def _describe(self, row: int) -> str:
        name = self.sort_by.value
        return f"Photo {self.table.index[row]}, {name} {as_text(self.table[name].iloc[row])}"

    def _new_filter(self, _) -> None:
        name = self.filter_column.value
        values = [] if name == ALL else sorted(self.table[name].map(as_text).unique())
        self.filter_value.options = [ANY, *values]

    def _turn(self, page: int) -> None:
        """Make the cards of a page and send them."""
        rows = self.rows
        self.page = max(0, min(page, (len(rows) - 1) // PAGE))
        first = self.page * PAGE
        here = rows[first : first + PAGE]
        self.before.disabled, self.after.disabled = self.page == 0, first + PAGE >= len(rows)
        self.count.value = f"{first + 1} to {first + len(here)} of {len(rows)} photos"
        self.grid.cards = [
            {
                "index": int(row),
                "caption": f"{self.table.index[row]}: {as_text(self.table[self.sort_by.value].iloc[row])}",
                "alt": f"{self._describe(row)}: {self.layer.value}",
                "src": "data:image/jpeg;base64," + base64.b64encode(thumbnail(self.pixels(row))).decode(),
            }
            for row in here
        ]
