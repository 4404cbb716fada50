"""Which pixels an answer depends on: exact for networks whose field is known; the widget answers with these maps."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from faceseg_utils.model import UNet  # noqa: E402
from faceseg_utils.widgets import ReceptiveField  # noqa: E402
from faceseg_utils.widgets.receptive_field import covered_logits, gradient_map, reach  # noqa: E402

H, W = 16, 24
X = torch.rand(3, H, W, generator=torch.Generator().manual_seed(0)) * 2 - 1
PHOTO = np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)


@pytest.fixture
def conv():
    torch.manual_seed(0)
    return nn.Conv2d(3, 1, 5, padding=2)


@pytest.fixture
def widget():
    torch.manual_seed(0)
    return ReceptiveField(UNet(width=4, depth=2).train(), X, PHOTO, side=8)


def test_the_gradient_of_a_convolution_is_its_kernel(conv):
    gradient = gradient_map(conv, X, 7, 10)
    assert gradient[5:10, 8:13] == pytest.approx(conv.weight[0].abs().sum(0).detach().numpy())
    gradient[5:10, 8:13] = 0
    assert not gradient.any() and gradient.shape == (H, W)
    assert not X.requires_grad


def test_covering_leaves_all_but_one_square_as_it_is(conv):
    found = covered_logits(conv, X, 8)
    assert found.shape == (2, 3, H, W)
    covered = X.clone()
    covered[:, 8:16, 16:24] = X.mean((1, 2), keepdim=True)
    with torch.no_grad():
        assert found[1, 2] == pytest.approx(conv(covered[None])[0, 0].numpy(), abs=1e-6)
        assert found[1, 2, :6] == pytest.approx(conv(X[None])[0, 0, :6].numpy(), abs=1e-6)  # out of reach


def test_squares_that_do_not_fill_the_photo_are_refused(conv):
    with pytest.raises(ValueError, match="squares of 5 pixels do not fill 16 x 24"):
        covered_logits(conv, X, 5)


def test_reach_is_the_radius_that_holds_a_share():
    gradient = np.zeros((9, 9))
    gradient[4, 4], gradient[4, 7], gradient[0, 4] = 2, 1, 1
    assert reach(gradient, 4, 4) == 0
    assert reach(gradient, 4, 4, 0.7) == 3 and reach(gradient, 4, 4, 0.9) == 4


def test_another_pixel_gets_its_own_pictures(widget):
    before = widget.panels
    widget.pixel = [3, 20]
    panels = np.frombuffer(widget.panels, np.uint8).reshape(3, H, W, 3)
    assert widget.panels != before
    assert (panels[0] == PHOTO).all() and (panels == np.stack(widget.pictures(3, 20))).all()
    assert widget.text.startswith("Row 3, column 20: ") and widget.text == widget.describe(3, 20)
    brightest = panels[1].astype(int).sum(-1).argmax()
    assert brightest == gradient_map(widget.network, X, 3, 20).argmax()


def test_the_drop_is_what_covering_takes_from_the_logit(widget):
    _, drop = widget.maps(3, 20)
    covered = X.clone()
    covered[:, :8, 16:24] = X.mean((1, 2), keepdim=True)
    with torch.no_grad():
        wanted = (widget.network(X[None]) - widget.network(covered[None]))[0, 0, 3, 20]
    assert drop[:8, 16:24] == pytest.approx(np.full((8, 8), float(wanted)), abs=1e-5)
    word = "lowers" if drop.flat[np.abs(drop).argmax()] > 0 else "raises"
    assert f"{word} the logit most, by {np.abs(drop).max():.1f}" in widget.describe(3, 20)


def test_the_network_is_left_without_gradients_and_in_eval_mode(widget):
    widget.pixel = [0, 0]
    assert not widget.network.training
    assert all(parameter.grad is None for parameter in widget.network.parameters())


def test_photo_and_tensor_of_two_sizes_are_refused(conv):
    with pytest.raises(ValueError, match="give both at one size"):
        ReceptiveField(conv, X, PHOTO[:8])


def test_the_figure_has_a_row_per_pixel_with_its_ring(widget):
    figure = widget.figure([(3, 20), (8, 2)])
    assert len(figure.axes) == 6
    assert [axis.get_title() for axis in figure.axes[:3]] == ["photo", "gradient", "occlusion"]
    rings = [line.get_xydata().tolist() for line in figure.axes[4].lines]
    assert rings == [[[2, 8]], [[2, 8]]]  # x, y: black below white
    plt.close(figure)
