"""What learners answer to the exercises of notebook 04, and the words that each should meet."""

DRAWS = "    rng = np.random.default_rng(0)\n    draws = rng.integers(0, len(a), (2000, len(a)))\n"

WRONG = {
    "best_from_scratch": [
        ("def best_from_scratch(table):\n    return table['dice'].idxmax()", "started from ImageNet weights"),
        (
            "def best_from_scratch(table):\n    return table[~table['pretrained']]['dice'].to_numpy().argmax()",
            "That is a position",
        ),
        ("def best_from_scratch(table):\n    return table[~table['pretrained']]['dice'].max()", "That is a score"),
        (
            "def best_from_scratch(table):\n    return table[~table['pretrained']]['report_dice'].idxmax()",
            "leads in report_dice",
        ),
        (
            "def best_from_scratch(table):\n    return table[~table['pretrained']].sort_values('dice').index[0]",
            "That is the worst run",
        ),
    ],
    "score_without_peeking": [
        ("def score_without_peeking(curve):\n    return curve['val_dice'].max()", "You looked at the validation"),
        ("def score_without_peeking(curve):\n    return curve['monitor_dice'].max()", "it flatters"),
        ("def score_without_peeking(curve):\n    return curve['val_dice'].iloc[-1]", "That is the last epoch"),
        ("def score_without_peeking(curve):\n    return curve['monitor_dice'].argmax()", "That is the epoch"),
        ("def score_without_peeking(curve):\n    return curve['monitor_dice'].idxmax()", "the label of the row"),
    ],
    "dice_and_iou": [
        (
            "def iou_from_dice(dice):\n    return 2 * dice / (1 + dice)\n\n"
            "def dice_from_iou(iou):\n    return iou / (2 - iou)",
            "Is this the way back?",
        ),
        (
            "def iou_from_dice(dice):\n    return dice / 2\n\ndef dice_from_iou(iou):\n    return 2 * iou",
            "Two equal masks have Dice 1",
        ),
        (
            "def iou_from_dice(dice):\n    return dice**2\n\ndef dice_from_iou(iou):\n    return iou**0.5",
            "cover 3 pixels",
        ),
        (
            "def iou_from_dice(dice):\n    return dice / (2 - dice)\n\n"
            "def dice_from_iou(iou):\n    return iou / (1 + iou)",
            "There and back again does not",
        ),
    ],
    "report_dice": [
        (
            "def report_dice(prediction, truth):\n"
            "    return 2 * (prediction * truth).sum() / (prediction.sum() + truth.sum())",
            "that is our Dice",
        ),
        (
            "def report_dice(prediction, truth):\n"
            "    return min(1, (2 * (prediction * truth).sum() + 1) / (prediction.sum() + truth.sum() + 1))",
            "you add the 1 after doubling",
        ),
        (
            "def report_dice(prediction, truth):\n"
            "    return 2 * ((prediction * truth).sum() + 1) / (prediction.sum() + truth.sum() + 1)",
            "more than 1",
        ),
    ],
    "paired_interval": [
        (
            "def paired_interval(a, b):\n" + DRAWS + "    other = rng.integers(0, len(a), (2000, len(a)))\n"
            "    return np.quantile(b[draws].mean(1) - a[other].mean(1), [0.025, 0.975])",
            "are a and b drawn apart?",
        ),
        (
            "def paired_interval(a, b):\n    rng = np.random.default_rng(0)\n"
            "    means = [(b - a)[rng.permutation(len(a))].mean() for _ in range(200)]\n"
            "    return np.quantile(means, [0.025, 0.975])",
            "Draw with replacement",
        ),
        (
            "def paired_interval(a, b):\n" + DRAWS + "    return np.quantile((a - b)[draws].mean(1), [0.025, 0.975])",
            "b minus a",
        ),
        (
            "def paired_interval(a, b):\n" + DRAWS + "    return np.quantile((b - a)[draws].mean(1), [0.05, 0.95])",
            "the middle 90",
        ),
        (
            "def paired_interval(a, b):\n    return np.quantile(b - a, [0.025, 0.975])",
            "how far single photos differ",
        ),
    ],
}
