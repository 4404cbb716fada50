"""What figures are made of: pixels that can be worked out."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from faceseg_utils.figures import plots


def test_the_error_map_paints_each_kind_of_error_over_grey():
    photo = np.full((1, 5, 3), (30, 60, 90), np.uint8)  # grey 60
    target, prediction = np.array([[0, 1, 0, 2, 255]]), np.array([[0, 0, 1, 1, 1]])
    painted = plots.error_map(photo, prediction, target, opacity=1)[0].tolist()
    missed, invented, other = (list(colour) for colour in plots.ERROR_PALETTE[1:])
    assert painted == [[60] * 3, missed, invented, other, [60] * 3]
    with pytest.raises(ValueError, match="compare at the target's size"):
        plots.error_map(photo, prediction[:, :4], target)


def drawn(*masks):
    """Axes with a grey photo and its contours, drawn without a warning."""
    _, ax = plt.subplots()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.contour(ax, np.full((6, 8, 3), 100, np.uint8), *masks, dim=0.6)
    return ax


def test_a_contour_dims_what_lies_outside_and_follows_the_border_to_the_frame():
    mask = np.zeros((6, 8), np.uint8)
    mask[2:, 3:] = 5  # any class is inside
    mask[0] = 255  # not labelled: outside
    ax = drawn(mask)
    assert (ax.images[0].get_array()[..., 0] == np.where(mask == 5, 100, 40)).all()
    (line,) = ax.collections
    path = line.get_paths()[0].vertices
    assert path.min(0).tolist() == [2.5, 1.5] and path.max(0).tolist() == [8, 6]  # to beyond the last pixels
    assert (ax.get_xlim(), ax.get_ylim()) == ((-0.5, 7.5), (5.5, -0.5))


def test_a_second_contour_is_dashed_and_of_another_colour():
    mask = np.tri(6, 8, dtype=np.uint8)
    truth, line = drawn(mask, mask[::-1]).collections
    assert [to_hex(c.get_edgecolor()[0]) for c in (truth, line)] == [plots.SKY.lower(), plots.YELLOW.lower()]
    assert truth.get_linestyle()[0][1] and not line.get_linestyle()[0][1]
    for plain in (np.zeros_like(mask), np.ones_like(mask)):
        assert len(drawn(plain, plain).collections) == 0  # a mask without a border: no line, no warning


def test_pictures_may_be_a_photo_with_masks():
    photo, mask = np.zeros((6, 8, 3), np.uint8), np.tri(6, 8, dtype=np.uint8)
    figure = plots.pictures([[photo, (photo, mask), (photo, mask, mask)]])
    assert [len(ax.collections) for ax in figure.axes] == [0, 1, 2]


@pytest.mark.parametrize("picture, kind", [(np.zeros((4, 4, 3), np.uint8), "jpeg"), (np.zeros((4, 4)), "png")])
def test_photos_are_shown_as_jpeg_and_everything_else_sharp(picture, kind, monkeypatch):
    shown = []
    monkeypatch.setattr(plots, "display", lambda content, **how: shown.append((content, how)))
    plots.show(plots.pictures([[picture]]), alt="A black square.")
    content, how = shown[0]
    start = {"jpeg": b"\xff\xd8", "png": b"\x89PNG"}[kind]
    assert content[f"image/{kind}"].startswith(start) and how["metadata"][f"image/{kind}"]["alt"] == "A black square."
