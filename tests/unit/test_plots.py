"""What figures are made of: pixels that can be worked out."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from faceseg_utils.figures import plots


def test_the_error_map_paints_each_kind_of_error_over_grey():
    photo = np.full((1, 5, 3), (30, 60, 90), np.uint8)  # grey 60
    target, prediction = np.array([[0, 1, 0, 2, 255]]), np.array([[0, 0, 1, 1, 1]])
    painted = plots.error_map(photo, prediction, target, opacity=1)[0].tolist()
    missed, invented, other = (list(colour) for colour in plots.ERROR_PALETTE[1:])
    assert painted == [[60] * 3, missed, invented, other, [60] * 3]
    with pytest.raises(ValueError, match="compare at the target's size"):
        plots.error_map(photo, prediction[:, :4], target)


def test_learning_curves_show_both_scores_of_every_epoch():
    metrics = pd.DataFrame({"epoch": [0, 1], "train_loss": [2, 1], "val_loss": [3, 2], "train_dice": [0.5, 0.6],
                            "val_dice": [0.4, 0.7]})  # fmt: skip
    figure = plt.figure()
    plots.learning_curves(figure, metrics)
    assert [axis.get_ylabel() for axis in figure.axes] == ["loss", "Dice"]
    drawn = [line.get_xydata().tolist() for axis in figure.axes for line in axis.lines]
    assert drawn == [[[1, a], [2, b]] for a, b in ((2, 1), (3, 2), (0.5, 0.6), (0.4, 0.7))]
    plt.close(figure)


def test_learning_curves_of_one_epoch_have_a_readable_axis():
    figure = plt.figure()
    plots.learning_curves(figure, pd.DataFrame([dict.fromkeys(
        ("epoch", "train_loss", "val_loss", "train_dice", "val_dice"), 0)]))  # fmt: skip
    assert figure.axes[0].get_xlim() == (0.5, 1.5)
    plt.close(figure)
