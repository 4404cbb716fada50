"""Checks of the exercises in notebook 07: multiply-adds, the bottleneck, folding a normalisation, distillation."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from faceseg_utils.exercises.framework import Mistake, as_array, as_number, exercise, expect, refuse

# --- Multiply-adds ----------------------------------------------------------------------------------------------------

LAYERS = [  # in channels, out channels, kernel, output height and width, groups
    (3, 32, 3, 160, 128, 1), (32, 16, 1, 160, 128, 1), (5, 2, 4, 3, 11, 1),
    (96, 96, 3, 80, 64, 96), (8, 12, 5, 7, 9, 4),
]  # fmt: skip


@exercise("multiply_adds")
def check_multiply_adds(learner):
    for i, o, k, h, w, groups in LAYERS:
        right = h * w * o * (i // groups) * k * k
        answer = as_number(learner(i, o, k, h, w, groups), "multiply_adds")
        wrong = {
            "Divide by groups once: the output channels are not divided, each is computed.": right / groups,
            "You count multiplications and additions apart: a multiply-add is one.": 2 * right,
            "An output channel reads only its own group: how many input channels are that?": right * groups,
            "Is the kernel square? It has kernel times kernel places.": right / k,
            "That is one pixel of the output. How many pixels has it?": right / (h * w),
            "These are the weights' places for one output channel. There are more of them.": right / o,
            "No bias is asked for: adding it multiplies nothing.": right + h * w * o,
        }
        refuse(answer, wrong, right)
        layer = f"{i} to {o} channels, kernel {k}, output {h} x {w}, groups {groups}"
        expect(answer == right, f"{layer}: expected {right:,}, got {answer:,.10g}.")
    return "A depthwise layer needs as many times fewer as it has channels."


# --- The bottleneck ---------------------------------------------------------------------------------------------------


def _speedups(seconds: dict, offers: dict) -> dict:
    """{stage: how many times as fast the whole becomes}."""
    whole = sum(seconds.values())
    return {name: whole / (whole - seconds[name] + seconds[name] / factor) for name, factor in offers.items()}


def _offers():
    yield {"encoder": 0.020, "decoder": 0.050, "back": 0.002}, {"encoder": 8.0, "decoder": 1.5, "back": 100.0}
    yield {"encoder": 0.020, "decoder": 0.050, "back": 0.002}, {"back": 100.0, "decoder": 1.2, "encoder": 1.4}
    random = np.random.default_rng(0)
    for count in (3, 4, 6):
        names = [f"stage {n}" for n in range(count)]
        seconds = dict(zip(names, random.uniform(0.001, 0.1, count).tolist()))
        yield seconds, {name: float(random.uniform(1.1, 20)) for name in names[:0:-1]}


@exercise("best_offer")
def check_best_offer(learner):
    for seconds, offers in _offers():
        answer = learner(dict(seconds), dict(offers))
        expect(isinstance(answer, tuple) and len(answer) == 2, "Return a pair: the stage's name, and how many times as "
               "fast the whole becomes.")  # fmt: skip
        name, speedup = answer[0], as_number(answer[1], "the speedup")
        right = _speedups(seconds, offers)
        best = max(right, key=right.get)
        expect(name in offers, f"The stage should be one of {', '.join(offers)}, yours is {name!r}.")
        if name != best:
            if name == max(offers, key=offers.get):
                raise Mistake("You took the largest factor. How much time is there to be saved in that stage?")
            if name == max(offers, key=seconds.get):
                raise Mistake("You took the slowest stage. What does its factor save, in seconds?")
            raise Mistake(f"Of {seconds} with the offers {offers} {best!r} saves most, yours is {name!r}.")
        whole, saved = sum(seconds.values()), seconds[best] - seconds[best] / offers[best]
        wrong = {
            "That is the factor of the stage. The other stages take as long as before.": offers[best],
            "That is what is saved, in seconds.": saved,
            "These are the seconds that remain.": whole - saved,
            "That is the share that remains: how many times as fast is it?": 1 - saved / whole,
            "That is the share that is saved: how many times as fast is it?": saved / whole,
            "Only the stages with an offer are in your sum: all of `seconds` counts.": _partial(seconds, offers, saved),
        }
        refuse(speedup, wrong, right[best])
        expect(abs(speedup - right[best]) < 1e-9 * right[best], f"{best} makes {seconds} {right[best]:.4f} times as "
               f"fast, your answer is {speedup:.4f}.")  # fmt: skip
    return "What a stage does not take, no factor can save (Amdahl 1967)."


def _partial(seconds: dict, offers: dict, saved: float) -> float:
    some = sum(seconds[name] for name in offers)
    return some / (some - saved)


# --- Folding a batch normalisation ------------------------------------------------------------------------------------


def _layers(out: int, into: int, kernel: int, eps: float):
    """A convolution and its normalisation as a training may leave them, in eval mode."""
    torch.manual_seed(out)
    conv, norm = nn.Conv2d(into, out, kernel, bias=False), nn.BatchNorm2d(out, eps=eps).eval()
    with torch.no_grad():
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.01, 3)
        norm.weight.uniform_(-2, 2)
        norm.bias.normal_()
    return conv, norm


def _folded(conv, norm, eps=True, root=True, shift=1.0, mean=1.0, scaled_mean=True):
    """(weight, bias) of both in one, or with a mistake."""
    deviation = norm.running_var + norm.eps * eps
    scale = norm.weight / (deviation.sqrt() if root else deviation)
    bias = shift * norm.bias - mean * norm.running_mean * (scale if scaled_mean else 1)
    return (conv.weight * scale.view(-1, 1, 1, 1)).detach(), bias.detach()


@exercise("fold")
def check_fold(learner):
    for out, into, kernel, eps in ((4, 3, 3, 1e-2), (5, 5, 1, 1e-1), (2, 6, 5, 1e-3)):
        conv, norm = _layers(out, into, kernel, eps)
        given = [conv.weight.detach(), norm.running_mean, norm.running_var, norm.weight.detach(), norm.bias.detach()]
        answer = learner(*(tensor.clone() for tensor in given), eps)
        expect(isinstance(answer, (tuple, list)) and len(answer) == 2, "Return a pair: new weight and new bias.")
        weight, bias = (as_array(part, name) for part, name in zip(answer, ("the weight", "the bias")))
        shapes = ((out, into, kernel, kernel), (out,))
        for part, shape, name in zip((weight, bias), shapes, ("weight", "bias")):
            expect(part.shape == shape, f"The {name} should have the shape {shape}, yours has {part.shape}.")
        right = [part.numpy() for part in _folded(conv, norm)]
        whole = np.concatenate([weight.ravel(), bias])
        mistakes = {
            "`eps` is missing: the layer adds it to the variance.": {"eps": False},
            "You divide by the variance: the layer divides by its square root.": {"root": False},
            "The shift has the wrong sign, or is missing.": {"shift": 0.0},
            "The mean has the wrong sign: the layer subtracts it.": {"mean": -1.0},
            "The mean is missing from the bias.": {"mean": 0.0},
            "The mean goes through the scale, too: it is subtracted before the division.": {"scaled_mean": False},
        }
        known = {words: np.concatenate([part.ravel() for part in _folded(conv, norm, **how)])
                 for words, how in mistakes.items()}  # fmt: skip
        refuse(whole, known, np.concatenate([part.ravel() for part in right]))
        for part, other, name in zip((weight, bias), right, ("weight", "bias")):
            off = np.abs(part - other).max()
            expect(off < 1e-4, f"The {name} is off by up to {off:.3f}: one factor per output channel, the first axis.")
    return "Two layers have become one, with the same answer."


# --- Distillation -----------------------------------------------------------------------------------------------------


def _distillation(logits, teacher, mask, share, temperature, squared=True, both=True, hot=True, ignore=True):
    """The loss, or with a mistake in it."""
    counts = (mask != 255) if ignore else torch.ones_like(mask, dtype=torch.bool)
    own, other, truth = logits[:, 0][counts], teacher[:, 0][counts], mask[counts].clamp(max=1).float()
    t = temperature if hot else 1.0
    soft = F.binary_cross_entropy_with_logits(own / t if both else own, (other / t).sigmoid())
    soft = soft * (temperature**2 if squared else 1)
    hard = F.binary_cross_entropy_with_logits(own, truth)
    return share * soft + (1 - share) * hard


@exercise("distillation_loss")
def check_distillation_loss(learner):
    mistakes = {
        "T squared is missing: without it a higher temperature shrinks the gradient of the teacher's part.": {
            "squared": False
        },
        "Only the teacher is softened: the student's logits are divided by T, too.": {"both": False},
        "The temperature is not used on the logits.": {"hot": False},
        "Padding (255) counts in your loss. Leave these pixels out of both parts.": {"ignore": False},
    }
    for seed, (share, temperature) in enumerate(((0.5, 2.0), (0.8, 3.0), (0.0, 2.0), (1.0, 1.0), (0.3, 0.5))):
        torch.manual_seed(seed)
        logits, teacher = 3 * torch.randn(2, 1, 6, 5), 3 * torch.randn(2, 1, 6, 5)
        mask = torch.randint(0, 2, (2, 6, 5))
        mask[0, :2] = 255  # more in one photo than in the other
        mask[1, 0, :2] = 255
        answer = learner(1 * logits.clone().requires_grad_(), teacher.clone(), mask.clone(), share, temperature)
        got = as_number(answer, "distillation_loss")
        wanted = float(_distillation(logits, teacher, mask, share, temperature))
        known = {words: float(_distillation(logits, teacher, mask, share, temperature, **how))
                 for words, how in mistakes.items()}  # fmt: skip
        known["The two shares are swapped: `share` belongs to the teacher."] = float(
            _distillation(logits, teacher, mask, 1 - share, temperature)
        )
        known["Both parts are there, but not weighted by `share`."] = 2 * float(
            _distillation(logits, teacher, mask, 0.5, temperature)
        )
        counts = mask != 255
        pixels = int(counts.sum())
        known["That is a sum over the pixels: the mean is asked for."] = wanted * pixels
        known["The mean is over the pixels that count, not over all of them."] = wanted * pixels / mask.numel()
        refuse(got, known, wanted)
        expect(abs(got - wanted) < 1e-4, f"With share={share:g}, temperature={temperature:g} expected {wanted:.4f}, "
               f"got {got:.4f}.")  # fmt: skip
        learns = isinstance(answer, torch.Tensor) and answer.requires_grad
        expect(learns, "The loss has no gradient: leave it a tensor, without .item() or .detach().")
    return "Masks and the teacher both teach."
