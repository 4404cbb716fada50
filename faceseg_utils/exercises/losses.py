"""Checks of the exercises on losses: cross-entropy and soft Dice, from logits."""

import numpy as np
import torch
import torch.nn.functional as F

from faceseg_utils.exercises.framework import as_number, exercise, expect, refuse


@exercise("bce_with_logits")
def check_bce_with_logits(learner):
    z, y = np.array([[2.0, -1.0], [0.3, 0.5]]), np.array([[1.0, 0.0], [1.0, 0.0]])
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
