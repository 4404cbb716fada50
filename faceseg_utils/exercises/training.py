"""Checks of the exercises in notebook 03: a step, the schedule of the rate, stopping."""

import itertools

import numpy as np
import torch
from torch import nn

from faceseg_utils.exercises.framework import Mistake, as_number, exercise, expect, refuse


def _network() -> nn.Module:
    """A network small enough to follow by hand: one 1 x 1 convolution, float32 [B, 3, H, W] -> logits [B, 1, H, W]."""
    network = nn.Conv2d(3, 1, 1)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([0.5, -0.25, 0.1]).view(1, 3, 1, 1))
        network.bias.fill_(0.2)
    return network


def _batch(seed: int = 0, size: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(seed)
    x = torch.from_numpy(random.normal(size=(size, 3, 4, 4)).astype(np.float32))
    y = torch.from_numpy(random.integers(0, 2, (size, 1, 4, 4)).astype(np.float32))
    return x, y


def _bce(logits, y):
    return nn.functional.binary_cross_entropy_with_logits(logits, y)


def _after(steps, given=None) -> tuple[nn.Module, float]:
    """The network after `steps(network, optimizer)`, from gradients `given` by a step before; and what came back."""
    network = _network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    if given is not None:
        _bce(network(given[0]), given[1]).backward()
    return network, steps(network, optimizer)


def _equal(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.allclose(p, q, atol=1e-6) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def _right_step(network, optimizer, x, y, clear=True, squash=False) -> float:
    if clear:
        optimizer.zero_grad()
    logits = network(x)
    loss = _bce(logits.sigmoid() if squash else logits, y)
    loss.backward()
    optimizer.step()
    return loss.item()


class _Watched(nn.Module):
    """The small network, and a note of the mode that each forward pass ran in."""

    def __init__(self):
        super().__init__()
        self.head, self.modes = _network(), []

    def forward(self, x):
        self.modes.append(self.training)
        return self.head(x)


@exercise("training_step")
def check_training_step(learner):
    for seed, size in ((0, 2), (2, 3)):
        _check_one_step(learner, *_batch(seed, size))
    return "Clear, forward, backward, step."


def _check_one_step(learner, x, y) -> None:
    before, watched = _batch(1), _Watched().eval()

    def answer(network, optimizer):
        watched.head = network
        return learner(watched, optimizer, _bce, x, y)

    network, loss = _after(answer, given=before)
    expect(
        not (isinstance(loss, torch.Tensor) and loss.requires_grad),
        "The loss comes back with its graph of gradients attached, which stays in memory. `.item()` makes a number.",
    )
    expect(not isinstance(loss, torch.Tensor), "The loss comes back as a tensor. `.item()` makes a number of it.")
    loss = as_number(loss)
    expect(
        watched.modes and watched.modes[0],
        "The network came in eval mode and learned in it: who puts it into train mode?",
    )
    expect(
        not _equal(network, _network()),
        "No weight has changed. Was optimizer.step() called, and were the gradients still there when it was?",
    )
    stale, _ = _after(lambda n, o: _right_step(n, o, x, y, clear=False), given=before)
    expect(
        not _equal(network, stale),
        "The gradients of the batch before took part: backward() adds to what is there. What clears them?",
    )
    squashed, _ = _after(lambda n, o: _right_step(n, o, x, y, squash=True))
    twice = _equal(network, squashed)
    expect(not twice, "The loss wants logits and applies the sigmoid itself. Here it was applied twice.")
    right, wanted = _after(lambda n, o: _right_step(n, o, x, y))
    if not _equal(network, right):
        worse = all(
            torch.allclose(p - q, q - r, atol=1e-6)
            for p, q, r in zip(network.parameters(), _network().parameters(), right.parameters(), strict=True)
        )
        expect(not worse, "The step went uphill: the loss grows. Check the sign.")
        raise Mistake("The weights after your step are not those of one step down the gradient of loss(network(x), y).")
    after = _bce(right(x), y).item()
    expect(
        abs(loss - after) > 1e-6,
        "You return the loss after the step. Return the one whose gradient you used: it costs no second forward pass.",
    )
    expect(abs(loss - wanted) < 1e-5, f"The loss of the check's batch is {wanted:.4f}, yours is {loss:.4f}.")
    expect(watched.training, "It learned in train mode, as it should, but was left in eval mode: leave train mode on.")


@exercise("one_cycle")
def check_one_cycle(learner):
    for steps, highest in ((100, 0.01), (50, 2.0), (33, 0.3), (5, 1.0)):
        _check_cycle(learner, steps, highest)
    return "Up in a straight line, down in half a cosine."


def _check_cycle(learner, steps: int, highest: float) -> None:
    rates, up = np.array([as_number(learner(step, steps, highest)) for step in range(steps)]), 0.2 * steps
    count = np.arange(steps)

    def falling(last):  # half a cosine that reaches 0 at step `last`
        return highest * 0.5 * (1 + np.cos(np.pi * (count - up) / (last - up)))

    wanted = np.where(count < up, highest * count / up, falling(steps))
    wrong = {
        "The warm-up is missing: the rate falls from the first step on.":
            highest * 0.5 * (1 + np.cos(np.pi * count / steps)),
        "Your way down is a straight line. Half a cosine is asked for.":
            np.where(count < up, wanted, highest * (1 - (count - up) / (steps - up))),
        "It reaches 0 at the last step, which then learns nothing: let it be 0 at step `steps`, one after the last.":
            np.where(count < up, wanted, falling(steps - 1)),
        "The way down needs half a turn of the cosine: is pi there?":
            np.where(count < up, wanted, highest * 0.5 * (1 + np.cos((count - up) / (steps - up)))),
    }  # fmt: skip
    refuse(rates, wrong, wanted)
    if off := np.flatnonzero(~np.isclose(rates, wanted, rtol=1e-6, atol=1e-9)).tolist():
        raise Mistake(
            f"With steps={steps} and highest={highest} the rate at step {off[0]} is {wanted[off[0]]:.5f}, "
            f"yours is {rates[off[0]]:.5f}."
        )


def _stops(scores: list, patience: int) -> bool:
    return len(scores) - 1 - scores.index(max(scores)) >= patience


HASTY = {  # mistakes: what is said to an answer that is theirs on every list
    "It compares with the epoch before. Compare with the best epoch so far.":
        lambda scores, patience: len(scores) > 1 and scores[-1] < scores[-2],
    "It waits one epoch too long: once `patience` epochs have passed without a new best, that is enough.":
        lambda scores, patience: _stops(scores, patience + 1),
    "It stops one epoch too soon: the best epoch itself does not count.":
        lambda scores, patience: _stops(scores, patience - 1),
    "It waits for a new lowest score. Dice is better when it is higher.":
        lambda scores, patience: _stops([-score for score in scores], patience),
    "It stops after a fixed number of epochs, even if every epoch brings a new best.":
        lambda scores, patience: len(scores) > patience,
    "A tie with the best counts as a new best in your answer. Only a higher score is one.":
        lambda scores, patience: scores[::-1].index(max(scores)) >= patience,
    "It compares with the score `patience` epochs ago. The best may lie further back.":
        lambda scores, patience: len(scores) > patience and scores[-1] <= scores[-1 - patience],
    "It counts every epoch without a new best since the start. A new best begins the count anew.":
        lambda scores, patience: sum(score <= max(scores[:i]) for i, score in enumerate(scores) if i) >= patience,
}  # fmt: skip


@exercise("should_stop")
def check_should_stop(learner):
    levels = (0.8, 0.9, 0.95)
    runs = [list(scores) for epochs in range(1, 6) for scores in itertools.product(levels, repeat=epochs)]
    tries = [(scores, patience) for scores in runs for patience in (1, 2, 3)]
    said = [learner(list(scores), patience) for scores, patience in tries]
    expect(None not in said, "your function gave None: is there a `return` on every way out?")
    right = [_stops(*each) for each in tries]
    said = [bool(each) for each in said]
    for hint, wrong in HASTY.items():
        expect(said != [bool(wrong(*each)) for each in tries], hint)
    for (scores, patience), yours, wanted in zip(tries, said, right):
        expect(yours == wanted, f"After {scores} with patience {patience} it should say {wanted}, yours says {yours}.")
    return "It waits for `patience` epochs without a new best."
