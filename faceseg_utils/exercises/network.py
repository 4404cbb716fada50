"""Checks of notebook 02: sizes, receptive field, convolutions, blocks, the way through a U-Net, losses."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from faceseg_utils.exercises.framework import as_array, as_number, exercise, expect, refuse
from faceseg_utils.model import UNet


@exercise("conv_output_size")
def check_conv_output_size(learner):
    def size(n, kernel, stride, padding):
        return as_number(learner(n, kernel, stride, padding))

    plain = size(5, 3, 1, 0)
    expect(plain != 2, "A 3-wide kernel on 5 pixels gives 2: the first position counts too, so add 1.")
    expect(plain == 3, f"A 3-wide kernel fits on 5 pixels in 3 places, yours says {plain:g}.")
    padded = size(5, 3, 1, 1)
    expect(padded != 4, "With padding 1 you get 4 from 5: the padding is put on both sides.")
    expect(padded == 5, f"With padding 1 a 3-wide kernel keeps 5 pixels, yours says {padded:g}.")
    pooled = size(320, 2, 2, 0)
    expect(pooled != 319, "Stride 2 should halve 320, yours gives 319: divide by the stride.")
    expect(pooled == 160, f"Kernel 2 with stride 2 makes 160 of 320, yours says {pooled:g}.")
    odd = size(6, 3, 2, 1)
    expect(
        odd == int(odd),
        f"6 pixels, kernel 3, stride 2, padding 1 gives {odd:g}: there are no half pixels, round down.",
    )
    expect(odd == 3, f"6 pixels, kernel 3, stride 2, padding 1 give 3 (rounded down), yours says {odd:g}.")
    for case in ((7, 3, 2, 0), (572, 3, 1, 0), (10, 5, 3, 2)):
        want = (case[0] + 2 * case[3] - case[1]) // case[2] + 1
        got = size(*case)
        expect(got == want, f"For n, kernel, stride, padding = {case} the size is {want}, yours says {got:g}.")
    return "5 pixels give 3, padded 5; 320 pooled give 160."


@exercise("receptive_field")
def check_receptive_field(learner):
    def field(*layers):
        return as_number(learner(list(layers)))

    one = field((3, 1))
    expect(one != 2, "One 3 x 3 convolution sees 2 pixels by your count: a pixel sees itself, so start from 1.")
    expect(one == 3, f"One 3 x 3 convolution sees 3 pixels, yours says {one:g}.")
    two = field((3, 1), (3, 1))
    expect(two != 9, "Two 3 x 3 convolutions see 9 by your count: their windows overlap, so the growth adds up.")
    expect(two == 5, f"Two 3 x 3 convolutions see 5 pixels, yours says {two:g}.")
    pool = field((2, 2))
    expect(pool != 3, "One 2 x 2 pooling sees 3 by your count: its own stride counts only for the layers after it.")
    expect(pool == 2, f"One 2 x 2 pooling sees 2 pixels, yours says {pool:g}.")
    down = field((3, 1), (3, 1), (2, 2), (3, 1), (3, 1))
    expect(down != 10, "After a pooling, one step on the small map is two pixels of the photo: keep a step size.")
    expect(down == 14, f"Two convolutions, pooling, two convolutions see 14 pixels, yours says {down:g}.")
    deep = field(*([(3, 1), (3, 1), (2, 2)] * 4), (3, 1), (3, 1))
    expect(deep == 140, f"The bottom of a U-Net of depth 4 sees 140 pixels, yours says {deep:g}: does the step double?")
    return "3, 5, 14 and, at the bottom of the U-Net, 140 pixels."


@exercise("transposed_conv")
def check_transposed_conv(learner):
    x = np.array([[1.0, 2.0], [3.0, 4.0]])
    kernel = np.arange(1.0, 10.0).reshape(3, 3)
    got = as_array(learner(x.copy(), kernel.copy(), 2))
    expect(got.shape != (4, 4), "Your output is 4 x 4: the last patch begins at (h - 1) * stride and is k wide.")
    expect(got.shape == (5, 5), f"2 x 2 pixels, kernel 3, stride 2 give 5 x 5, yours is {got.shape}.")
    want = F.conv_transpose2d(torch.tensor(x)[None, None], torch.tensor(kernel)[None, None], stride=2)[0, 0].numpy()
    flipped = F.conv_transpose2d(
        torch.tensor(x)[None, None], torch.tensor(kernel[::-1, ::-1].copy())[None, None], stride=2
    )[0, 0].numpy()  # fmt: skip
    expect(not np.allclose(got, flipped), "The kernel is turned by 180 degrees: each pixel paints it as it is.")
    corners = np.allclose(got[[0, 0, -1, -1], [0, -1, 0, -1]], want[[0, 0, -1, -1], [0, -1, 0, -1]])
    expect(
        not corners or np.allclose(got, want),
        "The corners are right, but the middle is not: where two patches overlap they are added up.",
    )
    expect(np.allclose(got, want), "Each pixel should paint the whole kernel, times its own value, on the output.")
    other = as_array(learner(np.ones((3, 2)), np.ones((2, 2)), 2))
    expect(
        other.shape == (6, 4) and np.allclose(other, 1),
        "3 x 2 ones with a 2 x 2 kernel of ones should give 6 x 4 ones.",
    )
    return "The patches overlap and add up, as in torch."


@exercise("conv_parameters")
def check_conv_parameters(learner):
    got = as_number(learner(5, 8, 3))
    wrong = {
        "A kernel is square: 3 x 3 is 9 numbers, not 3.": 5 * 8 * 3 + 8,
        "The weights are right; each output channel also has a bias.": 5 * 8 * 9,
        "There is a bias for each output channel, not for each input channel.": 5 * 8 * 9 + 5,
        "Each output channel has a kernel for every input channel, not one for all of them.": 8 * 9 + 8,
    }
    refuse(got, wrong, 5 * 8 * 9 + 8)
    for case in ((3, 32, 3), (32, 1, 1), (64, 128, 2)):
        want = sum(p.numel() for p in nn.Conv2d(*case).parameters())
        got = as_number(learner(*case))
        expect(got == want, f"Conv2d{case} holds {want} numbers, yours says {got:g}.")
    return "896 numbers in Conv2d(3, 32, 3)."


@exercise("double_conv")
def check_double_conv(learner):
    expect(isinstance(learner, type) and issubclass(learner, nn.Module), "Give the class itself, a torch.nn.Module.")
    torch.manual_seed(0)
    block = learner(4, 6)
    convolutions = [m for m in block.modules() if isinstance(m, nn.Conv2d)]
    expect(len(convolutions) != 1, "There is one convolution in your block: a double convolution has two.")
    out = block(torch.randn(2, 4, 8, 12))
    expect(isinstance(out, torch.Tensor), f"forward gives {type(out).__name__}: is there a `return`?")
    expect(out.shape[2:] != (4, 8), "The picture shrinks from 8 x 12 to 4 x 8: give both convolutions padding=1.")
    expect(tuple(out.shape) == (2, 6, 8, 12), f"[2, 4, 8, 12] should become [2, 6, 8, 12], yours is {list(out.shape)}.")
    expect((out >= 0).all(), "There are values below 0: the block ends in a ReLU.")
    kernels = {tuple(m.kernel_size) for m in convolutions}
    expect(
        len(convolutions) == 2 and kernels == {(3, 3)},
        f"The block should have two 3 x 3 convolutions, not {kernels}.",
    )
    norms = sum(isinstance(m, nn.BatchNorm2d) for m in block.modules())
    expect(
        norms == 2,
        f"Each convolution is followed by a batch normalisation: there are {norms} in your block, not 2.",
    )
    return "Two convolutions, the size stays, nothing is below 0."


@exercise("unet_forward")
def check_unet_forward(learner):
    torch.manual_seed(0)
    model = UNet(width=4, depth=3).eval()
    x = torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        want = model(x)
        try:
            got = learner(model, x)
        except RuntimeError as error:
            expect("Sizes of tensors must match" not in str(error), (
                "A skip and the map it is put beside differ in size: the skip stored last, without the bottom "
                "itself, is needed first."
            ))  # fmt: skip
            raise
    expect(isinstance(got, torch.Tensor), f"forward gives {type(got).__name__}: is there a `return`?")
    expect(got.shape[1] != 4, "You give back 4 channels: the head that makes logits of them is missing.")
    expect(got.shape == want.shape, f"The logits should be {list(want.shape)}, yours are {list(got.shape)}.")
    expect(
        not torch.allclose(got, want.sigmoid(), atol=1e-4),
        "These are probabilities: the network gives logits, no sigmoid.",
    )
    with torch.no_grad():
        deaf = [up.register_forward_pre_hook(lambda _, args: (args[0], 0 * args[1])) for up in model.ups]
        without = model(x)
        for handle in deaf:
            handle.remove()
    expect(not torch.allclose(got, without, atol=1e-4), "The skips hold zeros: hand over what the way down has stored.")
    expect(
        torch.allclose(got, want, atol=1e-4),
        "The shape is right but not the numbers: does every part run exactly once?",
    )
    return "Your forward pass gives the logits of the model."


@exercise("bce_with_logits")
def check_bce_with_logits(learner):
    z, y = np.array([[2.0, -1.0], [0.0, 0.5]]), np.array([[1.0, 0.0], [1.0, 0.0]])
    want = F.binary_cross_entropy_with_logits(torch.tensor(z), torch.tensor(y)).item()
    with np.errstate(all="ignore"):
        got = as_number(learner(z.copy(), y.copy()))
        huge = as_number(learner(np.array([-1000.0]), np.array([1.0])))
        safe = as_number(learner(np.array([1000.0]), np.array([1.0])))
    wrong = {
        "You give the sum over the pixels: take the mean.": 4 * want,
        "The loss is negative: a logarithm of a probability is, so a minus sign is missing.": -want,
        "Person and background are swapped: y = 1 should ask for a large logit.":
            F.binary_cross_entropy_with_logits(torch.tensor(z), 1 - torch.tensor(y)).item(),
    }  # fmt: skip
    refuse(got, wrong, want)
    expect(np.isclose(got, want), f"For the 2 x 2 example the loss is {want:.4f}, yours is {got:.4f}.")
    for value in (huge, safe):
        expect(np.isfinite(value), f"The logit 1000 or -1000 gives {value}: exp overflows, so let it see only -|z|.")
    expect(
        huge >= 999,
        f"For z = -1000 and y = 1 the loss is 1000, yours is {huge:.1f}: clipping hides how wrong it is.",
    )
    expect(abs(huge - 1000) < 1e-6 and abs(safe) < 1e-6, f"z = 1000, y = 1 should cost 0, yours costs {safe:.4f}.")
    return "It holds for logits of 1000 too."


@exercise("soft_dice")
def check_soft_dice(learner):
    z = np.array([[4.0, 4.0, -4.0], [4.0, 0.3, -4.0]])
    y = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    p = 1 / (1 + np.exp(-z))
    want = 1 - (2 * (p * y).sum() + 1) / (p.sum() + y.sum() + 1)
    got = as_number(learner(z.copy(), y.copy()))
    hard = z > 0
    wrong = {
        "This is the Dice: a loss falls as masks agree, so give 1 minus it.": 1 - want,
        "You round the probabilities: then no gradient is left to learn from. Keep them soft.":
            1 - (2 * (hard * y).sum() + 1) / (hard.sum() + y.sum() + 1),
        "You used the logits themselves: Dice is about probabilities, so take the sigmoid first.":
            1 - (2 * (z * y).sum() + 1) / (z.sum() + y.sum() + 1),
        "The +1 stands inside the factor 2: then an empty answer to an empty mask has a loss of -1.":
            1 - 2 * ((p * y).sum() + 1) / (p.sum() + y.sum() + 1),
        "The +1 above and below is missing: an empty answer to an empty mask would divide 0 by 0.":
            1 - 2 * (p * y).sum() / (p.sum() + y.sum()),
    }  # fmt: skip
    refuse(got, wrong, want)
    expect(np.isclose(got, want), f"For the 2 x 3 example the loss is {want:.4f}, yours is {got:.4f}.")
    empty = as_number(learner(np.full((2, 2), -100.0), np.zeros((2, 2))))
    expect(abs(empty) < 1e-6, f"An empty answer to an empty mask should cost 0, yours costs {empty:.4f}.")
    return "Soft, between 0 and 1, and 0 for an empty answer to an empty mask."
