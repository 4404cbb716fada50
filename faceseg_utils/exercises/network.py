"""Checks of notebook 02: parameters, receptive field, transposed convolution, blocks, the way through a U-Net."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from faceseg_utils.exercises.framework import Mistake, as_array, as_number, exercise, expect, refuse
from faceseg_utils.model import DoubleConv, UNet


def run(module: nn.Module, *inputs: torch.Tensor):
    """What `module` answers to copies of `inputs`; a `Mistake` if one of them was changed in place."""
    copies = [x.clone() for x in inputs]
    answer = module(*copies)
    same = [torch.equal(before, after) for before, after in zip(inputs, copies)]
    expect(all(same), "Your code changes its input in place: whoever calls it still needs that. Work on a copy.")
    return answer


def close(got: torch.Tensor, want: torch.Tensor) -> bool:
    return got.shape == want.shape and torch.allclose(got, want, atol=1e-4, rtol=1e-4)


def agree(got: torch.Tensor, want: torch.Tensor, what: str) -> None:
    """A `Mistake`, with the first number that differs, unless two tensors of one shape agree."""
    if not close(got, want):
        at = tuple((~torch.isclose(got, want, atol=1e-4, rtol=1e-4)).nonzero()[0].tolist())
        raise Mistake(f"{what}: at {list(at)} {want[at]:.3f} was expected, and yours is {got[at]:.3f}.")


def tensor_of(out, shape: list[int], name: str) -> torch.Tensor:
    """`out` if it is a tensor of `shape`."""
    expect(isinstance(out, torch.Tensor), f"forward of {name} gives {type(out).__name__}: is there a `return`?")
    expect(list(out.shape) == shape, f"{name} should give {shape} here, yours gives {list(out.shape)}.")
    return out.detach()


def stir(module: nn.Module) -> nn.Module:
    """Random numbers in all normalisations, as after training: as new, they do next to nothing in eval mode."""
    noise = torch.Generator().manual_seed(1)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for numbers in (norm.weight, norm.running_var):
                numbers.data = torch.rand(numbers.shape, generator=noise) + 0.5
            for numbers in (norm.bias, norm.running_mean):
                numbers.data = torch.randn(numbers.shape, generator=noise)
    return module


@exercise("conv_parameters")
def check_conv_parameters(learner):
    wrong = {
        "A kernel is square: 3 x 3 is 9 numbers, not 3.": 5 * 8 * 3 + 8,
        "The weights are right; each output channel also has a bias.": 5 * 8 * 9,
        "There is a bias for each output channel, not for each input channel.": 5 * 8 * 9 + 5,
        "Each output channel has weights for every input channel, not for one.": 8 * 9 + 8,
    }
    refuse(as_number(learner(5, 8, 3)), wrong, 5 * 8 * 9 + 8)
    for case in ((1, 1, 1), (1, 1, 3), (2, 1, 3), (1, 2, 3), (5, 8, 3), (64, 128, 2), (32, 1, 1), (3, 64, 7)):
        want = sum(p.numel() for p in nn.Conv2d(*case).parameters())
        got = as_number(learner(*case))
        expect(got == want, f"nn.Conv2d{case} learns {want} numbers, yours says {got:g}.")
    return "896 numbers in nn.Conv2d(3, 32, 3)."


@exercise("receptive_field")
def check_receptive_field(learner):
    cases = [[], [(3, 1)], [(2, 2)], [(3, 1), (3, 1)], [(2, 2), (3, 2), (3, 1)], [(3, 2), (5, 3), (3, 1)], [(3, 3)],
             [(1, 2), (3, 1)], [(7, 2), (3, 2), (3, 1), (3, 1)], [(3, 1), (3, 1), (2, 2), (3, 1), (3, 1)],
             [(3, 1), (3, 1), (2, 2)] * 4 + [(3, 1), (3, 1)]]  # fmt: skip
    for layers in cases:
        got, want = as_number(learner(list(layers))), _field(layers)
        kernels, strides = [kernel for kernel, _ in layers], [stride for _, stride in layers]
        wrong = {
            ": a pixel sees itself, so start from 1": want - 1,
            ": the windows overlap, so the growth adds up": np.prod(kernels),
            ": behind a stride, one step is several pixels, so keep the size of a step": 1 + sum(kernels) - len(layers),
            ": a layer's own stride counts only for the layers after it":
                1 + sum((kernels - np.ones(len(layers))) * np.cumprod(strides)),
            ": this is the field of the same layers in the opposite order": _field(layers[::-1]),
        }  # fmt: skip
        why = [reason for reason, value in wrong.items() if value == got]
        reason = why[0] if len(why) == 1 else ""  # a number that fits two mistakes proves neither
        expect(got == want, f"Through the layers {layers} a pixel sees {want} pixels, yours says {got:g}{reason}.")
    return "140 pixels at the bottom of the U-Net."


def _field(layers) -> int:
    strides = np.cumprod([1, *(stride for _, stride in layers)])
    return 1 + int(sum((kernel - 1) * step for (kernel, _), step in zip(layers, strides)))


@exercise("transposed_conv")
def check_transposed_conv(learner):
    rng = np.random.default_rng(0)
    for (h, w), k, stride in (((1, 1), 2, 1), ((1, 2), 2, 1), ((2, 1), 2, 2), ((2, 2), 3, 2), ((3, 2), 2, 3),
                              ((2, 3), 4, 2), ((2, 4), 1, 2)):  # fmt: skip
        x, kernel = rng.integers(1, 6, (h, w)).astype(float), np.arange(1.0, k * k + 1).reshape(k, k)
        got, want = as_array(learner(x.copy(), kernel.copy(), stride)), _painted(x, kernel, stride)
        case = f"{h} x {w} pixels, a kernel of {k} and stride {stride}"
        said = got.shape != (h * stride, w * stride) or got.shape == want.shape
        expect(said, f"Your output is {got.shape}: the last patch begins at (h - 1) * stride and is k wide.")
        expect(got.shape == want.shape, f"{case} give {want.shape}, yours is {got.shape}.")
        wrong = {
            "The kernel is turned by 180 degrees: each pixel paints it as it is.":
                _painted(x, kernel[::-1, ::-1], stride),
            "The kernel is transposed: its rows are painted as columns.": _painted(x, kernel.T, stride),
            "Where two patches overlap they are added up; in yours the last one wins.":
                _painted(x, kernel, stride, add=False),
            "The patches lie one pixel apart: they should be `stride` apart.":
                _painted(x, kernel, 1, want.shape),
        }  # fmt: skip
        refuse(got, wrong, want)
        if not np.allclose(got, want):
            i, j = np.argwhere(~np.isclose(got, want))[0]
            raise Mistake(
                f"For x = {x.tolist()}, kernel = {kernel.tolist()} and stride {stride} the pixel [{i}, {j}] should be "
                f"{want[i, j]:g}, yours is {got[i, j]:g}."
            )
    return "The patches overlap and add up, as in torch."


def _painted(x, kernel, stride, shape=None, add=True) -> np.ndarray:
    (h, w), k = x.shape, len(kernel)
    out = np.zeros(shape or ((h - 1) * stride + k, (w - 1) * stride + k))
    for i, j in np.ndindex(h, w):
        patch = out[i * stride : i * stride + k, j * stride : j * stride + k]
        patch[:] = x[i, j] * kernel + (patch if add else 0)
    return out


@exercise("double_conv")
def check_double_conv(learner):
    expect(isinstance(learner, type) and issubclass(learner, nn.Module), "Give the class itself, a torch.nn.Module.")
    for channels, batch, size in (((4, 6), 2, (8, 12)), ((3, 3), 1, (5, 4)), ((6, 2), 3, (4, 4))):
        torch.manual_seed(0)
        block = stir(learner(*channels))
        convs, norms = ([m for m in block.modules() if isinstance(m, kind)] for kind in (nn.Conv2d, nn.BatchNorm2d))
        x = torch.randn(batch, channels[0], *size)
        order = []
        hooks = [m.register_forward_hook(lambda m, *_, order=order: order.append(m)) for m in (*convs, *norms)]
        out = run(block, x)
        for hook in hooks:
            hook.remove()
        expect(len(convs) == 2, f"A double convolution has two nn.Conv2d, in your block there are {len(convs)}.")
        kernels = {tuple(conv.kernel_size) for conv in convs}
        expect(kernels == {(3, 3)}, f"Both convolutions are 3 x 3, yours are {sorted(kernels)}.")
        small = isinstance(out, torch.Tensor) and out.shape[2] == size[0] - 4 and out.shape[3] == size[1] - 4
        expect(not small, "Each convolution takes two pixels of height and width: give both padding=1.")
        out = tensor_of(out, [batch, channels[1], *size], f"MyDoubleConv{channels}")
        plain = all(c.dilation == c.stride == (1, 1) and c.groups == 1 and c.padding_mode == "zeros" for c in convs)
        expect(plain, "Both convolutions are plain ones: stride, dilation and groups of 1, zeros as padding.")
        expect(len(norms) == 2, f"There are two batch normalisations, one per convolution, not {len(norms)}.")
        convs, norms = ([m for m in order if m in which] for which in (convs, norms))
        expect(len(order) == 4, "Each of the four layers with weights runs once in `forward`.")
        for mode in (True, False):
            _judge_block(block.train(mode), convs, norms, x)
    return "Convolution, normalisation, ReLU, and again: the size stays."


def _judge_block(block, convs, norms, x):
    """Does `block` compute what its own layers give in the right order?"""
    relu, (c1, c2), (n1, n2) = torch.relu, convs, norms
    with torch.no_grad():
        got = block(x.clone())
        want = relu(n2(c2(relu(n1(c1(x))))))
        wrong = {
            "The ReLU between the two convolutions is missing: without it they are one.": relu(n2(c2(n1(c1(x))))),
            "The ReLU at the end is missing.": n2(c2(relu(n1(c1(x))))),
            "Both ReLUs are missing.": n2(c2(n1(c1(x)))),
            "The order is convolution, normalisation, ReLU; yours normalises last.": n2(relu(c2(n1(relu(c1(x)))))),
            "The ReLUs come before the normalisations, and another one at the end: normalise first.":
                relu(n2(relu(c2(n1(relu(c1(x))))))),
        }  # fmt: skip
    for message, value in wrong.items():
        expect(not close(got, value) or close(value, want), message)
    agree(got, want, "Your own layers as convolution, normalisation, ReLU, twice")


@exercise("down_and_up")
def check_down_and_up(learner):
    pair = isinstance(learner, tuple | list) and len(learner) == 2
    pair = pair and all(isinstance(kind, type) and issubclass(kind, nn.Module) for kind in learner)
    expect(pair, "Give both classes: repaired = (MyDown, MyUp).")
    for down, up in (((4, 6), (6, 4, 5)), ((3, 2), (7, 5, 3))):
        torch.manual_seed(0)
        _check_down(learner[0], *down)
        _check_up(learner[1], *up)
    return "Down halves, Up doubles and reads both of its inputs."


class _Block(DoubleConv):
    """A block that the checks can tell from the course's own."""


def _block_of(module, name):
    blocks = [m for m in stir(module).eval().modules() if isinstance(m, DoubleConv)]
    expect(len(blocks) == 1 and isinstance(blocks[0], _Block), f"{name} makes one block, of the class `block`.")
    return blocks[0]


def _check_down(kind, i, o):
    module, x = kind(i, o, _Block), torch.randn(2, i, 8, 12)
    block = _block_of(module, "MyDown")
    out = run(module, x)
    stepped = isinstance(out, torch.Tensor) and out.shape[2:] == (7, 11)
    expect(not stepped, "MyDown makes 7 x 11 of 8 x 12: the pooling moves by one pixel, it should move by two.")
    out, want = tensor_of(out, [2, o, 4, 6], f"MyDown({i}, {o}) of {list(x.shape)}"), block(F.max_pool2d(x, 2)).detach()
    agree(out, want, "MyDown takes the largest of every 2 x 2 pixels, then the block")


def _check_up(kind, i, s, o):
    module, x, skip = kind(i, s, o, _Block), torch.randn(2, i, 4, 6), torch.randn(2, s, 8, 12)
    block = _block_of(module, "MyUp")
    name = f"MyUp({i}, {s}, {o}) of {list(x.shape)} and {list(skip.shape)}"
    reads = block.layers[0].in_channels
    expect(
        reads == i + s,
        f"The block of MyUp({i}, {s}, {o}) reads {reads} channels: {i} come from below and {s} from the skip.",
    )
    out = tensor_of(run(module, x, skip), [2, o, 8, 12], name)
    with torch.no_grad():
        above = F.interpolate(x, scale_factor=2, mode="bilinear")
        want, swapped = block(torch.cat([above, skip], 1)), block(torch.cat([skip, above], 1))
        nearest = block(torch.cat([F.interpolate(x, scale_factor=2), skip], 1))
    expect(not close(out, swapped), "MyUp puts the skip first: the channels from below come first.")
    expect(not close(out, nearest), "MyUp copies pixels: the upsampling is bilinear.")
    agree(out, want, "MyUp enlarges, puts the skip behind, then the block")


class _Parts(nn.Module):
    """The parts of a U-Net without its forward pass; each `up` looks at what it is given."""

    def __init__(self, unet: UNet):
        super().__init__()
        self.inc, self.downs, self.ups, self.head = unet.inc, unet.downs, unet.ups, unet.head
        for k, up in enumerate(self.ups):
            up.register_forward_pre_hook(lambda up, given, k=k: self.look(k, given))

    def look(self, k, given):
        expect(
            len(given) == 2, f"ups[{k}] takes two inputs, the map from below and its skip; yours gives {len(given)}."
        )
        below, skip = (list(part.shape[2:]) for part in given)
        expect(skip == [2 * side for side in below], (
            f"ups[{k}] got a map of {below[0]} x {below[1]} and a skip of {skip[0]} x {skip[1]}: the skip is twice as "
            "high and wide as the map. Which of the stored maps is?"
        ))  # fmt: skip

    def forward(self, x):
        raise Mistake("Your function calls the model itself: take the photo through its parts, one after the other.")


@exercise("unet_forward")
def check_unet_forward(learner):
    for depth, shape in ((4, (1, 3, 32, 48)), (4, (3, 3, 16, 16)), (2, (2, 3, 8, 12)), (1, (2, 3, 4, 2))):
        torch.manual_seed(0)
        unet, x = stir(UNet(width=4, depth=depth, classes=2)).eval(), torch.randn(shape)
        with torch.no_grad():
            want = unet(x)
            deaf = [up.register_forward_pre_hook(lambda _, given: (given[0], 0 * given[1])) for up in unet.ups]
            without = unet(x)
            for hook in deaf:
                hook.remove()
            got = _forward_of(learner, _Parts(unet), x, depth)
        name = f"The forward pass of {list(shape)} through {depth} levels"
        expect(isinstance(got, torch.Tensor), f"forward gives {type(got).__name__}: is there a `return`?")
        headless = got.shape[1] == 4 and got.shape[2:] == want.shape[2:]
        expect(not headless, "You give back 4 channels: the head that makes logits of them is missing.")
        expect(got.shape == want.shape, f"{name} should give {list(want.shape)}, yours gives {list(got.shape)}.")
        expect(not close(got, want.sigmoid()), "These are probabilities: the network gives logits, no sigmoid.")
        expect(
            not close(got, without) or close(want, without),
            "The skips hold zeros: hand over what the way down has stored.",
        )
        agree(got, want, f"{name} has the right shape, but not the numbers")
    return "Your forward pass gives the logits of the model, at every depth."


def _forward_of(learner, parts, x, depth):
    try:
        return learner(parts, x.clone())
    except IndexError as error:
        if depth == 4:
            raise
        raise Mistake(
            f"With {depth} levels yours stops with an IndexError ({error}): take all of `model.downs` and `model.ups`, "
            "however many there are."
        ) from None
