"""Wrong answers to the exercises of 05_error_analysis, each with a part of the message meant for it."""

WRONG = {
    "error_map": [
        (
            "def error_map(prediction, target):\n"
            "    return np.where(prediction != target, 1, 0) * (target != 255)",
            "Every error is 1",
        ),
        (
            "def error_map(prediction, target):\n"
            "    invented, missed = (prediction == 1) & (target == 0), (prediction == 0) & (target == 1)\n"
            "    return 1 * invented + 2 * missed",
            "Missed and invented are swapped",
        ),
        (
            "def error_map(prediction, target):\n"
            "    return 1 * ((prediction == 0) & (target > 0)) + 2 * ((prediction == 1) & (target != 1))",
            "has no label",
        ),
        ("def error_map(prediction, target):\n    return (prediction != target).sum()", "shape of the masks"),
        ("def error_map(prediction, target):\n    missed = (prediction == 0) & (target == 1)", "is there a `return`?"),
    ],
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
            "one pixel too thin",
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
            "numbers other than 0 and 1",
        ),
    ],
    "border_f1": [
        (
            "def border_f1(prediction, target, tolerance):\n"
            "    x, y = dice.boundary(prediction), dice.boundary(target)\n"
            "    return (ndimage.distance_transform_edt(~y)[x] <= tolerance).mean()",
            "precision alone",
        ),
        (
            "def border_f1(prediction, target, tolerance):\n"
            "    x, y = dice.boundary(prediction), dice.boundary(target)\n"
            "    return (ndimage.distance_transform_edt(~x)[y] <= tolerance).mean()",
            "recall alone",
        ),
        (
            "def border_f1(prediction, target, tolerance):\n"
            "    x, y = dice.boundary(prediction), dice.boundary(target)\n"
            "    precision = (ndimage.distance_transform_edt(~y)[x] <= tolerance).mean()\n"
            "    recall = (ndimage.distance_transform_edt(~x)[y] <= tolerance).mean()\n"
            "    return (precision + recall) / 2",
            "plain mean",
        ),
        (
            "def border_f1(prediction, target, tolerance):\n"
            "    x, y = dice.boundary(prediction), dice.boundary(target)\n"
            "    return 2 * (x & y).sum() / (x.sum() + y.sum())",
            "Dice of the borders",
        ),
        (
            "def border_f1(prediction, target, tolerance):\n    return dice.dice_score(prediction, target)",
            "Dice of the areas",
        ),
    ],
    "count_islands": [
        (
            "def count_islands(prediction, target):\n"
            "    return ndimage.label(prediction, np.ones((3, 3)))[1]",
            "every piece of the prediction",
        ),
        (
            "def count_islands(prediction, target):\n"
            "    labels, count = ndimage.label(prediction)\n"
            "    return count - len(set(labels[target == 1]) - {0})",
            "touches at a corner",
        ),
        (
            "def count_islands(prediction, target):\n"
            "    return ndimage.label((prediction == 1) & (target == 0), np.ones((3, 3)))[1]",
            "bump that grows out of the person",
        ),
        (
            "def count_islands(prediction, target):\n    return ((prediction == 1) & (target == 0)).sum()",
            "invented pixels: count connected pieces",
        ),
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
            "    return [probability[(target != 255) & (index == k)].mean() for k in range(bins)]",
            "what the model said",
        ),
        (
            "def reliability(probability, target, bins):\n"
            "    index = np.minimum((probability * bins).astype(int), bins - 1)\n"
            "    keep = target != 255\n"
            "    return [target[keep & (index == k)].sum() / max(1, (keep & (index == k)).sum()) for k in range(bins)]",
            "empty bin has the share 0",
        ),
    ],
    "best_threshold": [
        (
            "def best_threshold(probabilities, masks, thresholds):\n"
            "    photos = list(zip(probabilities, masks))\n"
            "    scores = [[dice.dice_score((p > t) * 1, m)[0] for t in thresholds] for p, m in photos]\n"
            "    return np.mean(scores, axis=0).max()",
            "This is the best score",
        ),
        (
            "def best_threshold(probabilities, masks, thresholds):\n"
            "    photos = list(zip(probabilities, masks))\n"
            "    scores = [[dice.dice_score((p > t) * 1, m)[0] for t in thresholds] for p, m in photos]\n"
            "    return np.argmax(np.mean(scores, axis=0))",
            "position of the threshold",
        ),
        (
            "def best_threshold(probabilities, masks, thresholds):\n"
            "    p, m = np.stack(probabilities), np.stack(masks)\n"
            "    scores = [2 * ((p > t) & (m == 1)).sum() / ((p > t).sum() + m.sum()) for t in thresholds]\n"
            "    return thresholds[np.argmax(scores)]",
            "pools the pixels",
        ),
        (
            "def best_threshold(probabilities, masks, thresholds):\n"
            "    return 0.123",
            "none of the thresholds",
        ),
    ],
}
