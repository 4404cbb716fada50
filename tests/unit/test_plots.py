"""What figures are made of: pixels that can be worked out."""

import numpy as np
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
