"""The view of a training: its figure, what it keeps, and that it shows nothing outside of a notebook."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from faceseg_utils.data.catalog import FACE, PALETTES, PERSON
from faceseg_utils.widgets import TrainingView, progress_figure
from faceseg_utils.widgets import training as view_module

RNG = np.random.default_rng(0)
PHOTOS = [RNG.integers(0, 256, (24, 16, 3), dtype=np.uint8) for _ in range(2)]
MASKS = [RNG.integers(0, 2, (24, 16)).astype(np.uint8) for _ in range(2)]


class Guess:
    """A network whose answer is one probability everywhere."""

    def __init__(self, probability):
        self.probability = probability

    def predict(self, photo):
        return np.full(photo.shape[:2], self.probability, np.float32)


def history(epochs):
    rows = [{"epoch": e, "train_loss": 1 / (e + 1), "val_loss": 1.1 / (e + 1), "train_dice": 0.8, "val_dice": 0.7}
            for e in range(epochs)]  # fmt: skip
    return pd.DataFrame(rows)


def test_soft_colours_mix_the_palette_by_probability():
    palette = PALETTES[PERSON]
    sure = view_module.soft_colours(np.array([[0.0, 1.0]]), palette)
    assert sure.tolist() == [[list(palette[0]), list(palette[1])]]
    half = view_module.soft_colours(np.array([[0.5]]), palette)[0, 0]
    assert np.abs(half - np.mean(palette, axis=0)).max() <= 1
    one_hot = np.eye(6)[3].reshape(6, 1, 1)
    assert view_module.soft_colours(one_hot, PALETTES[FACE])[0, 0].tolist() == list(PALETTES[FACE][3])


def test_spread_keeps_first_and_last():
    assert view_module.spread([0]) == [0]
    assert view_module.spread([0, 1, 2]) == [0, 1, 2]
    assert view_module.spread(list(range(20))) == [0, 5, 10, 14, 19]


def test_figure_shows_curves_and_one_column_per_epoch():
    snapshots = {e: [Guess(0.3 * e).predict(p) for p in PHOTOS] for e in range(3)}
    figure = progress_figure(history(3), PHOTOS, MASKS, snapshots, PALETTES[PERSON])
    curves, pictures = figure.axes[:2], figure.axes[2:]
    assert [axis.get_ylabel() for axis in curves] == ["loss", "Dice"]
    assert np.allclose(curves[0].lines[1].get_ydata(), history(3)["val_loss"])
    assert [axis.get_title() for axis in pictures[:5]] == ["photo", "true mask", "epoch 1", "epoch 2", "epoch 3"]
    assert len(pictures) == 2 * 5
    assert (pictures[4].images[0].get_array() == view_module.soft_colours(snapshots[2][0], PALETTES[PERSON])).all()


def test_view_keeps_every_epoch_and_displays_nothing_outside_of_a_notebook(monkeypatch):
    shown = []
    monkeypatch.setattr(view_module, "display", shown.append)
    view = TrainingView(PHOTOS, MASKS)
    for epoch in range(3):
        view(history(epoch + 1), Guess(epoch / 4))
    assert sorted(view.snapshots) == [0, 1, 2] and view.snapshots[2][0].max() == 0.5
    assert not shown
    assert len(view.figure().axes) == 2 + 2 * 5


def test_in_a_notebook_one_picture_is_redrawn_in_place(monkeypatch):
    shown = []
    monkeypatch.setattr(view_module, "display", shown.append)
    monkeypatch.setattr(view_module, "in_notebook", lambda: True)
    view = TrainingView(PHOTOS, MASKS)
    view(history(1), Guess(0.1))
    first = shown[0].value
    view(history(2), Guess(0.9))
    assert len(shown) == 1 and shown[0].value != first
    assert 'alt="Curves and masks after epoch 2: loss 0.550, Dice 0.700."' in shown[0].value


def test_bad_input_gets_one_clear_line():
    with pytest.raises(ValueError, match="2 photos and 1 masks"):
        TrainingView(PHOTOS, MASKS[:1])
    with pytest.raises(ValueError, match="true mask is .* but photo is"):
        TrainingView(PHOTOS, [m.T for m in MASKS])
    with pytest.raises(ValueError, match="no epoch seen yet"):
        TrainingView(PHOTOS, MASKS).figure()


def test_learning_curves_show_both_scores_of_every_epoch():
    metrics = pd.DataFrame({"epoch": [0, 1], "train_loss": [2, 1], "val_loss": [3, 2], "train_dice": [0.5, 0.6],
                            "val_dice": [0.4, 0.7]})  # fmt: skip
    figure = plt.figure()
    view_module.learning_curves(figure, metrics)
    assert [axis.get_ylabel() for axis in figure.axes] == ["loss", "Dice"]
    drawn = [line.get_xydata().tolist() for axis in figure.axes for line in axis.lines]
    assert drawn == [[[1, a], [2, b]] for a, b in ((2, 1), (3, 2), (0.5, 0.6), (0.4, 0.7))]
    plt.close(figure)


def test_learning_curves_of_one_epoch_have_a_readable_axis():
    figure = plt.figure()
    view_module.learning_curves(figure, pd.DataFrame([dict.fromkeys(
        ("epoch", "train_loss", "val_loss", "train_dice", "val_dice"), 0)]))  # fmt: skip
    assert figure.axes[0].get_xlim() == (0.5, 1.5)
    plt.close(figure)


def test_the_slider_shows_the_masks_of_the_epoch_that_is_chosen():
    view = TrainingView(PHOTOS, MASKS)
    for epoch in range(3):
        view(history(epoch + 1), Guess(epoch / 3))
    chosen, picture = view.slider().children
    first = picture.value
    assert 'alt="Masks after epoch 1."' in first and [label for label, _ in chosen.options] == ["1", "2", "3"]
    chosen.value = 2  # the third: a probability of 2/3 everywhere, so the mask is the whole photo
    assert 'alt="Masks after epoch 3."' in picture.value and picture.value != first
    shown = view.masks_after(2).axes
    assert len(shown) == 2 and (shown[0].images[0].get_array() == PHOTOS[0]).all(), "inside a mask nothing is dimmed"
