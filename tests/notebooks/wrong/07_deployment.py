"""Wrong answers to the exercises of 07_deployment, each with a part of the message meant for it."""

import torch

COUNT = "def multiply_adds(in_channels, out_channels, kernel, height, width, groups=1):\n    return {}".format
OFFER = (
    "def best_offer(seconds, offers):\n    whole = sum(seconds.values())\n"
    "    saved = {{name: seconds[name] - seconds[name] / factor for name, factor in offers.items()}}\n"
    "    best = {}\n    return {}"
).format
MOST = "max(saved, key=saved.get)"
FOLD = (
    "def fold(weight, mean, variance, scale, shift, eps):\n    factor = {}\n    return weight * {}, {}"
).format
FACTOR, WIDE, BIAS = "scale / (variance + eps).sqrt()", "factor.view(-1, 1, 1, 1)", "shift - mean * factor"
LOSS = (
    "def distillation_loss(logits, teacher, mask, share, temperature):\n    counts = {}\n"
    "    own, other, truth = logits[:, 0][counts], teacher[:, 0][counts], mask[counts].float()\n"
    "    soft = F.binary_cross_entropy_with_logits({}, (other / temperature).sigmoid())\n"
    "    hard = F.binary_cross_entropy_with_logits(own, truth.clamp(max=1))\n    return {}"
).format
COUNTS, OWN = "mask != 255", "own / temperature"
BOTH = "share * temperature ** 2 * soft + (1 - share) * hard"

WRONG = {
    "multiply_adds": [
        (COUNT("2 * height * width * out_channels * in_channels // groups * kernel ** 2"), "a multiply-add is one"),
        (COUNT("height * width * out_channels * in_channels * kernel ** 2"), "reads only its own group"),
        (COUNT("height * width * out_channels * in_channels // groups * kernel"), "Is the kernel square?"),
        (COUNT("out_channels * in_channels // groups * kernel ** 2"), "one pixel of the output"),
        (COUNT("height * width * in_channels // groups * kernel ** 2"), "for one output channel"),
        (COUNT("height * width * out_channels * (in_channels // groups * kernel ** 2 + 1)"), "No bias is asked for"),
        (COUNT("height * width * (out_channels // groups) * (in_channels // groups) * kernel ** 2"), "groups once"),
        (COUNT("height * width * out_channels"), "expected"),
        (COUNT("None"), "is there a `return`?"),
    ],
    "best_offer": [
        (OFFER("max(offers, key=offers.get)", "best, whole / (whole - saved[best])"), "the largest factor"),
        (OFFER("max(offers, key=seconds.get)", "best, whole / (whole - saved[best])"), "the slowest stage"),
        (OFFER(MOST, "best, offers[best]"), "the factor of the stage"),
        (OFFER(MOST, "best, saved[best]"), "what is saved, in seconds"),
        (OFFER(MOST, "best, whole - saved[best]"), "the seconds that remain"),
        (OFFER(MOST, "best, 1 - saved[best] / whole"), "the share that remains"),
        (OFFER(MOST, "best, saved[best] / whole"), "the share that is saved"),
        (OFFER(MOST, "best"), "Return a pair"),
        (OFFER(MOST, "'all', 1.0"), "should be one of"),
        (
            OFFER(MOST, "best, (some := sum(seconds[name] for name in offers)) / (some - saved[best])"),
            "all of `seconds` counts",
        ),
        (OFFER(MOST, "best, 1.0"), "times as fast, your answer is 1.0000"),
    ],
    "fold": [
        (FOLD("scale / variance.sqrt()", WIDE, BIAS), "`eps` is missing"),
        (FOLD("scale / (variance + eps)", WIDE, BIAS), "divides by its square root"),
        (FOLD(FACTOR, WIDE, "-mean * factor"), "The shift has the wrong sign, or is missing"),
        (FOLD(FACTOR, WIDE, "shift + mean * factor"), "The mean has the wrong sign"),
        (FOLD(FACTOR, WIDE, "shift"), "The mean is missing"),
        (FOLD(FACTOR, WIDE, "shift - mean"), "The mean goes through the scale"),
        (FOLD(FACTOR, "factor.view(-1, 1, 1, 1)[:1]", BIAS), "one factor per output channel"),
        (FOLD(FACTOR, WIDE, "(shift - mean * factor).view(-1, 1, 1, 1)"), "The bias should have the shape"),
        ("def fold(weight, mean, variance, scale, shift, eps):\n    return weight", "Return a pair"),
    ],
    "distillation_loss": [
        (LOSS(COUNTS, OWN, "share * soft + (1 - share) * hard"), "T squared is missing"),
        (LOSS(COUNTS, "own", BOTH), "Only the teacher is softened"),
        (LOSS("mask >= 0", OWN, BOTH), "Padding (255) counts"),
        (LOSS(COUNTS, OWN, "(1 - share) * temperature ** 2 * soft + share * hard"), "The two shares are swapped"),
        (LOSS(COUNTS, OWN, "temperature ** 2 * soft + hard"), "not weighted by `share`"),
        (LOSS(COUNTS, OWN, f"({BOTH}) * counts.sum()"), "the mean is asked for"),
        (LOSS(COUNTS, OWN, f"({BOTH}) * counts.float().mean()"), "not over all of them"),
        (LOSS(COUNTS, OWN, f"({BOTH}).detach()"), "has no gradient"),
        (LOSS(COUNTS, OWN, "hard"), "expected"),
        (
            "def distillation_loss(logits, teacher, mask, share, temperature):\n    counts = mask != 255\n"
            "    own, other, truth = logits[:, 0][counts], teacher[:, 0][counts], mask[counts].float()\n"
            "    soft = F.binary_cross_entropy_with_logits(own, other.sigmoid())\n"
            "    hard = F.binary_cross_entropy_with_logits(own, truth)\n"
            "    return share * temperature ** 2 * soft + (1 - share) * hard",
            "The temperature is not used on the logits",
        ),
        (LOSS(COUNTS, OWN, "None"), "is there a `return`?"),
    ],
}


def a_normalisation(random):
    """A convolution's weight and what its normalisation has kept."""
    out, into, kernel = (int(n) for n in random.integers(1, 5, 3))
    tensor = lambda *shape: torch.tensor(random.normal(size=shape), dtype=torch.float32)  # noqa: E731
    return tensor(out, into, kernel, kernel), tensor(out), tensor(out).abs() + 0.01, tensor(out), tensor(out), 1e-3


def a_batch(random):
    """Logits of a student and a teacher, and masks with some padding."""
    b, h, w = (int(n) for n in random.integers(1, 5, 3))
    logits, teacher = (torch.tensor(3 * random.normal(size=(b, 1, h, w)), dtype=torch.float32) for _ in range(2))
    mask = torch.tensor(random.choice([0, 1, 255], size=(b, h, w), p=[0.45, 0.45, 0.1]))
    mask[0, 0, 0] = 1
    return logits, teacher, mask, float(random.random()), float(random.uniform(0.5, 4))


def some_offers(random):
    """Stages with their seconds, and a factor for some of them."""
    names = "abcde"[: random.integers(2, 6)]
    seconds = {name: float(random.uniform(0.001, 0.1)) for name in names}
    return seconds, {name: float(random.uniform(1.1, 20)) for name in names[: random.integers(1, len(names) + 1)]}


INPUTS = {
    "multiply_adds": lambda random: (8, 4 * int(random.integers(1, 9)), int(random.integers(1, 6)),
                                     int(random.integers(1, 30)), int(random.integers(1, 30)), 4),
    "best_offer": some_offers,
    "fold": a_normalisation,
    "distillation_loss": a_batch,
}  # fmt: skip
