"""The check of the exercise on cross-entropy in notebook 03, from logits."""

import numpy as np
import torch
import torch.nn.functional as F

from faceseg_utils.exercises.framework import as_number, exercise, expect, refuse


@exercise("bce_with_logits")
def check_bce_with_logits(learner):
    random = np.random.default_rng(0)
    for shape in ((2, 2), (3,), (2, 3, 4)):
        z, y = random.normal(0, 2, shape), random.permutation(np.arange(np.prod(shape)) % 2).reshape(shape)
        _check_losses(learner, z.round(1), y.astype(float))
    with np.errstate(all="ignore"):
        huge, safe = (as_number(learner(np.array([z]), np.array([1.0]))) for z in (-1000.0, 1000.0))
    for value in (huge, safe):
        expect(np.isfinite(value), f"The logit 1000 or -1000 gives {value}: exp overflows, so let it see only -|z|.")
    expect(
        huge >= 999,
        f"For z = -1000 and y = 1 the loss is 1000, yours is {huge:.1f}: clipping hides how wrong it is.",
    )
    expect(abs(huge - 1000) < 1e-6, f"z = -1000, y = 1 should cost 1000, yours costs {huge:.4f}.")
    expect(abs(safe) < 1e-6, f"z = 1000, y = 1 should cost 0, yours costs {safe:.4f}.")
    return "It holds for logits of 1000 too."


def _check_losses(learner, z: np.ndarray, y: np.ndarray) -> None:
    charge = F.binary_cross_entropy_with_logits(torch.tensor(z), torch.tensor(y), reduction="none").numpy()
    swapped = F.binary_cross_entropy_with_logits(torch.tensor(z), 1 - torch.tensor(y)).item()
    want, got = charge.mean(), as_number(learner(z.copy(), y.copy()))
    wrong = {
        "You give the sum over the pixels: take the mean.": charge.sum(),
        "The loss is negative: a logarithm of a probability is, so a minus sign is missing.": -want,
        "Person and background are swapped: y = 1 should ask for a large logit.": swapped,
    }
    refuse(got, wrong, want)
    expect(np.isclose(got, want, rtol=1e-9), f"For z = {z.tolist()}, y = {y.tolist()} the loss is {want:.4f}, "
           f"yours is {got:.4f}.")  # fmt: skip
