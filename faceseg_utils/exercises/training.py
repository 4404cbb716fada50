"""Checks of the exercises in notebook 03: a step, accumulation, the rate, eval mode, average, stopping, resume."""

import copy
import itertools
import math
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from faceseg_utils.exercises.framework import Mistake, as_array, as_number, exercise, expect


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


@exercise("training_step")
def check_training_step(learner):
    x, y = _batch()
    before = _batch(1)

    def answer(network, optimizer):
        network.eval()
        return learner(network, optimizer, _bce, x, y)

    network, loss = _after(answer, given=before)
    expect(
        not (isinstance(loss, torch.Tensor) and loss.requires_grad),
        "The loss comes back with its graph of gradients attached, which stays in memory. `.item()` makes a number.",
    )
    loss = as_number(loss)
    if _equal(network, _network()):
        raise Mistake(
            "No weight has changed. Was optimizer.step() called, and were the gradients still there when it was? "
            "The order is zero_grad, backward, step."
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
    expect(network.training, "The network came in eval mode and learned in it: who puts it into train mode?")
    return "Clear, forward, backward, step."


@exercise("accumulated_step")
def check_accumulated_step(learner):
    batches = [_batch(seed) for seed in range(3)]
    x, y = (torch.cat(part) for part in zip(*batches, strict=True))
    network, _ = _after(lambda n, o: learner(n, o, _bce, batches), given=_batch(7))
    right, _ = _after(lambda n, o: _right_step(n, o, x, y))
    expect(not _equal(network, _network()), "No weight has changed: is optimizer.step() called after the last batch?")

    def variant(divide=True, clear_first=True, clear_each=False, step_each=False):
        def steps(network, optimizer):
            if clear_first:
                optimizer.zero_grad()
            for x, y in batches:
                if clear_each:
                    optimizer.zero_grad()
                (_bce(network(x), y) / (len(batches) if divide else 1)).backward()
                if step_each:
                    optimizer.step()
            if not step_each:
                optimizer.step()

        return _after(steps, given=_batch(7))[0]

    likely = {
        "The step is three times too long: the sum of three means is not the mean over all. Divide each loss.": (
            variant(divide=False),
        ),
        "Only the last batch counted: zero_grad inside the loop throws away what was gathered.": (
            variant(clear_each=True),
            variant(clear_each=True, divide=False),
        ),
        "There was a step after every small batch. Gather first, step once at the end.": (
            variant(step_each=True),
            variant(step_each=True, divide=False),
            variant(step_each=True, clear_each=True),
            variant(step_each=True, clear_each=True, divide=False),
        ),
        "Gradients from before your call took part. Clear them once, at the start.": (
            variant(clear_first=False),
            variant(clear_first=False, divide=False),
        ),
    }
    for hint, wrong in likely.items():
        expect(not any(_equal(network, one) for one in wrong), hint)
    expect(_equal(network, right), "The weights differ from those after one step on all the photos at once.")
    return "Three small batches moved the weights as one large one does."


@exercise("one_cycle")
def check_one_cycle(learner):
    steps, highest = 100, 0.01
    rates = np.array([as_number(learner(step, steps, highest)) for step in range(steps)])

    def right(step):
        if step < 20:
            return highest * step / 20
        return highest * 0.5 * (1 + math.cos(math.pi * (step - 20) / 80))

    wanted = np.array([right(step) for step in range(steps)])
    expect(np.ptp(rates) > 0, "The rate is the same at every step.")
    top = int(rates.argmax())
    if rates.max() > highest * 1.001:
        raise Mistake(f"The rate reaches {rates.max():.4f}; it should not pass `highest`, {highest}.")
    expect(top != 0, "The rate is largest at step 0: the warm-up is missing, or it runs downwards.")
    expect(top == 20, f"The rate is largest at step {top} of 100; it should be at step 20, after the first fifth.")
    expect(rates[0] == 0, f"At step 0 the rate should be 0, yours is {rates[0]:.5f}.")
    expect(np.allclose(rates[:20], wanted[:20]), "The way up is not a straight line from 0 to `highest`.")
    straight = highest * (1 - (np.arange(20, steps) - 20) / 80)
    expect(not np.allclose(rates[20:], straight), "Your way down is a straight line. Half a cosine is asked for.")
    if rates[-1] > highest / 100:
        raise Mistake(
            f"At the last step the rate is still {rates[-1]:.4f}. Half a cosine runs from 0 to pi over the steps after "
            "the warm-up: is pi there, and does it count from the end of the warm-up?"
        )
    if rates.min() < 0:
        raise Mistake("The rate becomes negative, and the optimizer would climb. (1 + cos) / 2 lies between 0 and 1.")
    expect(np.allclose(rates, wanted), "The way down is not half a cosine from `highest` to 0.")
    return "Up in a straight line, down in half a cosine."


class _Watched(nn.Module):
    """Batch normalisation, dropout, and a note of how it was called."""

    def __init__(self):
        super().__init__()
        self.norm, self.drop, self.head = nn.BatchNorm2d(3), nn.Dropout(0.5), _network()
        self.with_gradient = None

    def forward(self, x):
        self.with_gradient = torch.is_grad_enabled()
        return self.head(self.drop(self.norm(x)))


@exercise("predict_masks")
def check_predict_masks(learner):
    x = _batch(size=3)[0] * 2 + 1
    reference = _Watched().eval()
    with torch.no_grad():
        logits = reference(x)  # [3, 1, 4, 4]
    for mode in (True, False):
        network = _Watched().train(mode)
        answer = learner(network, x.clone())
        masks = as_array(answer)
        if network.norm.num_batches_tracked.item():
            raise Mistake(
                "The batch normalisation has learned from these photos: the network predicted in train mode. "
                "What switches it?"
            )
        expect(
            masks.shape != (3, 1, 4, 4),
            "Your masks are [B, 1, H, W]. Take the only channel, so that they are [B, H, W].",
        )
        expect(masks.shape == (3, 4, 4), f"Your masks are {masks.shape}; expected [B, H, W], here (3, 4, 4).")
        expect(set(np.unique(masks)) <= {0, 1}, "A mask holds True and False: where is the threshold?")
        right, strict = (logits[:, 0] > 0).numpy(), (logits[:, 0] > 0.5).numpy()
        if (masks == strict).all():
            raise Mistake("These are logits: probability 0.5 is logit 0. Your threshold of 0.5 misses unsure pixels.")
        expect((masks == right).all(), "Some pixels are not those whose probability is above 0.5.")
        expect(not network.with_gradient, "The forward pass kept everything for a backward pass that never comes.")
        expect(
            network.training == mode,
            f"The network came in {'train' if mode else 'eval'} mode and left in {'eval' if mode else 'train'} mode: "
            "whoever called you goes on with it. Put back what you found.",
        )
    return "In eval mode, without gradients, and the mode is put back."


@exercise("update_average")
def check_update_average(learner):
    network = _network()
    average = copy.deepcopy(network)
    with torch.no_grad():
        average.weight.mul_(3)
        average.bias.fill_(-1.0)
    start, new = copy.deepcopy(average), copy.deepcopy(network)
    learner(average, network, 0.9)
    expect(_equal(network, new), "The network itself has changed. Only the average should follow.")
    expect(not _equal(average, start), "The average has not moved. Change its weights in place, under torch.no_grad().")

    def mixed(keep):
        result = copy.deepcopy(start)
        with torch.no_grad():
            for mean, value in zip(result.parameters(), new.parameters(), strict=True):
                mean.copy_(keep * mean + (1 - keep) * value)
        return result

    expect(not _equal(average, new), "The average is now a copy of the network: what came before is forgotten.")
    expect(not _equal(average, mixed(0.1)), "The average forgets nine tenths in one step: are the two shares swapped?")
    expect(not _equal(average, mixed(0.5)), "That is the plain mean of both. `decay` is the share that is kept.")
    one_of_two = [torch.allclose(p, q) for p, q in zip(average.parameters(), mixed(0.9).parameters(), strict=True)]
    expect(any(one_of_two), "The new average is not decay * average + (1 - decay) * network.")
    expect(all(one_of_two), "Some weights were left out: go through all parameters of both networks.")
    return "The average follows, one tenth of the way."


@exercise("should_stop")
def check_should_stop(learner):
    rising = [0.80, 0.85, 0.88, 0.90, 0.91]
    plateau = [0.80, 0.90, 0.89, 0.88, 0.87]
    dip = [0.80, 0.90, 0.70, 0.75, 0.80]  # better than the epoch before, never better than the best
    late = [0.80, 0.90, 0.85, 0.86, 0.91]

    def says(scores, patience):
        answer = learner(list(scores), patience)
        expect(answer is not None, "your function gave None: is there a `return` on every way out?")
        return bool(answer)

    expect(not says([0.80], 3), "It stops after the first epoch, before anything could have got worse.")
    if says(rising, 3) and not says(rising[::-1], 3):
        raise Mistake("It stops where the score rises and goes on where it falls. Dice is better when it is higher.")
    expect(not says(rising, 3), "It stops although every epoch brought a new best.")
    expect(says(plateau, 3), "The best of [.80 .90 .89 .88 .87] is three epochs ago: with patience 3 that is enough.")
    expect(
        says(dip, 3),
        "[.80 .90 .70 .75 .80] should stop with patience 3: compare with the best epoch, not with the one before.",
    )
    expect(not says(late, 3), "[.80 .90 .85 .86 .91] ends in a new best and should go on.")
    expect(
        not says(plateau[:4], 3),
        "It stops one epoch too soon: after [.80 .90 .89 .88] only two epochs without a new best have passed.",
    )
    expect(not says(plateau, 4), "With patience 4 the run [.80 .90 .89 .88 .87] has one epoch left.")
    return "It waits for `patience` epochs without a new best."


PARTS = ("network", "optimizer", "schedule", "random state")


def _begin(seed: int):
    """A small network with dropout, its optimizer and its schedule: all that a run has to remember."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout(0.5), nn.Conv2d(4, 1, 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    return network, optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))


def _go_on(run, first: int, last: int = 6) -> nn.Module:
    """Train epochs `first` up to `last`, one step each."""
    network, optimizer, schedule = run
    for epoch in range(first, last):
        _right_step(network, optimizer, *_batch(epoch))
        schedule.step()
    return network


def _resumed(forgotten) -> nn.Module:
    """A run that was killed after epoch 2 and went on without the `forgotten` parts."""
    old = _begin(0)
    _go_on(old, 0, 3)
    random = torch.get_rng_state()
    new = _begin(1)
    for name, after, before in zip(PARTS, new, old, strict=False):
        if name not in forgotten:
            after.load_state_dict(copy.deepcopy(before.state_dict()))
    if PARTS[-1] not in forgotten:
        torch.set_rng_state(random)
    return _go_on(new, 3)


@exercise("resume")
def check_resume(learner):
    save, load = learner
    with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "last.pt"
        run = _begin(0)
        _go_on(run, 0, 3)
        save(file, 2, *run)
        expect(file.is_file(), "save_state left no file at `path`.")
        run = _begin(1)  # another process: nothing is left of the first but the file
        start = load(file, *run)
        expect(start is not None, "load_state gave None: the loop asks it for the epoch to go on with.")
        start = int(as_number(start, "load_state"))
        expect(start != 2, "Epoch 2 was finished when it was saved: going on with it would train it twice.")
        expect(start == 3, f"Saved after epoch 2, the run should go on with epoch 3, but load_state says {start}.")
        network = _go_on(run, start)
        for count in range(1, len(PARTS) + 1):
            for forgotten in itertools.combinations(PARTS, count):
                expect(
                    not _equal(network, _resumed(forgotten)),
                    "The run goes on, but ends elsewhere than one that was never killed. These began afresh: "
                    f"{', '.join(forgotten)}. What does each of them remember?",
                )
        expect(_equal(network, _resumed(())), "The run goes on, but ends elsewhere than one that was never killed.")
    return "Killed and resumed, the run ends with the same weights."
