"""The diagram shows what runs: its boxes and arrows are compared with forward passes that it had no part in."""

from types import MethodType

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from faceseg_utils.figures import diagram  # noqa: E402
from faceseg_utils.model import UNet, Up, build_model  # noqa: E402

SHAPE = (3, 64, 96)


def small(**options) -> UNet:
    torch.manual_seed(0)
    return UNet(width=4, depth=3, **options)


def shapes_by_hook(model, modules: dict) -> dict[str, tuple]:
    """Output shapes of `modules` by name, from plain forward hooks of this test's own."""
    found = {}

    def keep(name):
        def hook(_, __, output):
            found[name] = tuple(output.shape[1:])

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    model.eval()(torch.zeros(1, *SHAPE))
    for handle in handles:
        handle.remove()
    return found


def test_shapes_are_those_of_an_independent_forward():
    model = small()
    names = ("inc", "downs.0", "downs.1", "downs.2", "ups.0", "ups.1", "ups.2", "head")
    expected = shapes_by_hook(model, {name: model.get_submodule(name) for name in names})
    blocks = diagram.trace(model, SHAPE).blocks
    assert blocks[0] == diagram.Block("input", SHAPE)
    assert {block.name: block.shape for block in blocks[1:]} == expected
    assert tuple(block.name for block in blocks[1:]) == names  # in the order in which they run


@pytest.mark.parametrize("upsampling", ["bilinear", "transposed"])
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_a_unet_has_one_skip_per_level(depth, upsampling):
    ran = diagram.trace(UNet(width=4, depth=depth, upsampling=upsampling), SHAPE)
    assert len(ran.blocks) == 2 * depth + 3
    assert set(ran.skips) == {(level + 1, 2 * depth + 1 - level) for level in range(depth)}
    assert {(i, i + 1) for i in range(2 * depth + 2)} <= set(ran.edges)


@pytest.mark.parametrize("encoder", ["resnet18", "vgg11", "timm-tf_efficientnet_lite0"])
def test_smp_model_is_drawn_as_it_runs(encoder):
    model = build_model(encoder)
    ran = diagram.trace(model, SHAPE)
    with torch.no_grad():
        features = model.eval().encoder(torch.zeros(1, *SHAPE))
    deeper = [tuple(f.shape[1:]) for f in features if tuple(f.shape[1:]) != SHAPE]
    assert [b.shape for b in ran.blocks if b.name.startswith("encoder")] == deeper
    named = {name: model.get_submodule(name) for name in (f"decoder.blocks.{i}" for i in range(5))}
    expected = shapes_by_hook(model, {**named, "segmentation_head": model.segmentation_head})
    assert {b.name: b.shape for b in ran.blocks if b.name in expected} == expected
    assert len(ran.skips) == 4  # smp gives its last decoder block no skip
    for a, b in ran.skips:
        assert ran.blocks[a].shape[1:] == ran.blocks[b].shape[1:]


def without_first_skip_zeroed(model):
    """The uppermost skip multiplied by nought."""
    up = model.ups[-1]
    up.forward = MethodType(lambda self, x, skip: Up.forward(self, x, 0 * skip), up)


def without_first_skip_unused(model):
    """The uppermost skip handed over, but its convolution never looks at it."""
    with torch.no_grad():
        model.ups[-1].conv.layers[0].weight[:, -4:] = 0


@pytest.mark.parametrize("remove", [without_first_skip_zeroed, without_first_skip_unused])
def test_a_removed_skip_is_not_drawn(remove):
    model = small()
    before = diagram.trace(model, SHAPE)
    remove(model)
    after = diagram.trace(model, SHAPE)
    assert set(before.skips) - set(after.skips) == {(1, 7)} and len(after.skips) == len(before.skips) - 1
    assert after.blocks == before.blocks


def test_a_scaled_skip_is_still_a_skip():
    model = small()
    up = model.ups[0]
    up.forward = MethodType(lambda self, x, skip: Up.forward(self, x, 0.5 * skip), up)
    assert len(diagram.trace(model, SHAPE).skips) == 3


def test_a_skip_outside_of_any_module_is_found():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.third = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))

        def forward(self, x):
            a = self.first(x)
            return self.third(self.second(a) + a)

    assert diagram.trace(Net(), SHAPE).skips == ((1, 3),)


def test_the_figure_holds_every_block_and_edge():
    model = small()
    ran = diagram.trace(model, SHAPE)
    figure = diagram.unet_diagram(model, SHAPE)
    (axis,) = figure.axes
    gids = [patch.get_gid() for patch in axis.patches]
    assert sorted(g for g in gids if g.startswith("block")) == sorted(f"block {i}" for i in range(len(ran.blocks)))
    drawn = {(kind, int(a), int(b)) for kind, a, b in (g.split() for g in gids if not g.startswith("block"))}
    assert drawn == {("skip" if edge in ran.skips else "path", *edge) for edge in ran.edges}
    texts = [text.get_text() for text in axis.texts]
    for block in ran.blocks:
        channels, height, width = block.shape
        assert str(channels) in texts and f"{block.name}\n{height}×{width}" in texts
    plt.close(figure)


def test_labels_do_not_lie_on_one_another():
    for model in (UNet(width=8), build_model("vgg11")):
        figure = diagram.unet_diagram(model, (3, 160, 128))
        figure.draw_without_rendering()
        boxes = [text.get_window_extent().padded(-1) for text in figure.axes[0].texts]  # fonts differ by a pixel
        overlaps = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
        assert not overlaps
        plt.close(figure)


def test_the_model_is_left_as_it_was():
    model = small().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    diagram.trace(model, SHAPE)
    assert model.training and all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_it_works_where_gradients_are_off():
    with torch.no_grad():
        assert len(diagram.trace(small(), SHAPE).skips) == 3


def test_a_model_without_parts_says_so():
    with pytest.raises(ValueError, match="no parts to draw"):
        diagram.trace(nn.Conv2d(3, 1, 1), SHAPE)


def test_description_names_all_blocks_and_skips():
    ran = diagram.trace(small(), SHAPE)
    text = diagram.describe(ran)
    assert all(block.name in text for block in ran.blocks) and "inc to ups.2" in text
