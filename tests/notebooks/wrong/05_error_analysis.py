"""Wrong answers to the exercises of 05_error_analysis, each with a part of the message meant for it."""

import numpy as np

HEAD = (
    "def sharper(by_loss):\n"
    '    columns = ["width", "boundary_f1"]\n'
    '    change = by_loss.loc["bce+dice", columns] - by_loss.loc["bce", columns]\n'
    '    narrow, gained = change["width"] < 0, change["boundary_f1"] > 0\n'
)

WRONG = {
    "border_band": [
        (
            "def border_band(mask, width):\n"
            "    return (mask == 1) & (ndimage.distance_transform_edt(mask) <= width)",
            "inside the person only",
        ),
        (
            "def border_band(mask, width):\n"
            "    return (mask == 0) & (ndimage.distance_transform_edt(mask == 0) <= width)",
            "outside the person only",
        ),
        (
            "def border_band(mask, width):\n"
            "    inside, outside = (ndimage.distance_transform_edt(m) for m in (mask, mask == 0))\n"
            "    return np.where(mask, inside, outside) < width",
            "too thin",
        ),
        (
            "def border_band(mask, width):\n"
            "    square = np.ones((3, 3))\n"
            "    grown = ndimage.binary_dilation(mask, square, width)\n"
            "    return grown & ~ndimage.binary_erosion(mask, square, width, border_value=1)",
            "wider at slanted borders",
        ),
        (
            "def border_band(mask, width):\n"
            "    inside, outside = (ndimage.distance_transform_edt(m) for m in (mask, mask == 0))\n"
            "    return np.where(mask, inside, outside)",
            "compare the distance with `width`",
        ),
        (
            "def border_band(mask, width):\n"
            "    inside, outside = (ndimage.distance_transform_edt(m) for m in (mask, mask == 0))\n"
            "    return inside + outside <= width",
            "no border",
        ),
    ],
    "border_width": [
        (
            "def border_width(values):\n"
            "    return np.argmax(values <= 0.1) - np.argmax(values <= 0.9)",
            "falls in a straight line",
        ),
        (
            "def border_width(values):\n"
            "    def crossing(level):\n"
            "        k = np.argmax(values <= level)\n"
            "        return k - (level - values[k]) / (values[k - 1] - values[k])\n"
            "    return crossing(0.9) - crossing(0.1)",
            "wrong sign",
        ),
        (
            "def border_width(values):\n"
            "    k = np.argmax(values <= 0.1)\n"
            "    return k - (0.1 - values[k]) / (values[k - 1] - values[k])",
            "counts from the start",
        ),
        (
            "def border_width(values):\n"
            "    def crossing(level):\n"
            "        k = np.argmax(values <= level)\n"
            "        return k - (level - values[k]) / (values[k - 1] - values[k])\n"
            "    return crossing(0.1) - crossing(0.9)",
            "its width is np.inf",
        ),
        ("def border_width(values):\n    return np.inf", "yet your width is infinite"),
    ],
    "reliability": [
        (
            "def reliability(probability, target, bins):\n"
            "    index = (probability * bins).astype(int)\n"
            "    keep = target != 255\n"
            "    return [target[keep & (index == k)].mean() for k in range(bins + 1)]",
            "belongs to the last bin",
        ),
        (
            "def reliability(probability, target, bins):\n"
            "    index = np.minimum((probability * bins).astype(int), bins - 1)\n"
            "    return [(target[index == k] == 1).mean() for k in range(bins)]",
            "255 was counted",
        ),
        (
            "def reliability(probability, target, bins):\n"
            "    index = np.minimum((probability * bins).astype(int), bins - 1)\n"
            "    return [target[index == k].mean() for k in range(bins)]",
            "255 went into the mean",
        ),
        (
            "def reliability(probability, target, bins):\n"
            "    index = np.minimum((probability * bins).astype(int), bins - 1)\n"
            "    return [probability[(target != 255) & (index == k)].mean() for k in range(bins)]",
            "what the network said",
        ),
        (
            "def reliability(probability, target, bins):\n"
            "    index = np.minimum((probability * bins).astype(int), bins - 1)\n"
            "    keep = target != 255\n"
            "    return [target[keep & (index == k)].sum() / max(1, (keep & (index == k)).sum()) for k in range(bins)]",
            "empty bin has the share 0",
        ),
    ],
    "right_plot": [
        ('right_plot = {"dark": "B", "honest": "D", "better": "F", "blur": "E"}', "Bars of means fall alike"),
        ('right_plot = {"dark": "C", "honest": "A", "better": "F", "blur": "E"}', "no probabilities in it"),
        ('right_plot = {"dark": "C", "honest": "D", "better": "B", "blur": "E"}', "both saw the same photos"),
        ('right_plot = {"dark": "C", "honest": "D", "better": "F", "blur": "G"}', "none of the plots"),
        ('right_plot = {"dark": "C", "honest": "D", "better": "F"}', "'blur' has no answer yet"),
    ],
    "sharper": [
        (f"{HEAD}    return (narrow & gained).sum() / narrow.sum()", "asked is the share that did not"),
        (f"{HEAD}    return (narrow & ~gained).mean()", "the share of all photos"),
        (f"{HEAD}    return narrow.mean()", "how many of these gained nothing"),
        (f"{HEAD}    return 100 * (narrow & ~gained).sum() / narrow.sum()", "between 0 and 1"),
        (f"{HEAD}    return (change['boundary_f1'][narrow] < 0).mean()", "the share is"),
    ],
}


def _line(random):
    """A line from the person outwards: it begins above 0.9, and may rise again, or end too early."""
    fall = np.sort(random.random(random.integers(3, 12)))[::-1]
    return (np.r_[1.0, np.round(fall, 1 if random.random() < 0.5 else 3), random.random(2)],)


INPUTS = {"border_width": _line}
SURVIVORS = {
    "reliability": {
        "return np.array([target[counts & (index == k)].mean() for k in range(bins)]) -> "
        "return [target[counts & (index == k)].mean() for k in range(bins)]": "a list of the same numbers is as good",
    }
}
