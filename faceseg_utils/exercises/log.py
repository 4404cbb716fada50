"""Checks of the exercises in notebook 04: reading a log, choosing without peeking, Dice and IoU, the bootstrap."""

import numpy as np
import pandas as pd

from faceseg_utils.exercises.framework import Mistake, as_array, as_number, exercise, expect, refuse


@exercise("best_from_scratch")
def check_best_from_scratch(learner):
    table = pd.DataFrame(
        {
            "pretrained": [True, False, False, True, False],
            "dice": [0.95, 0.81, 0.84, 0.93, 0.79],
            "report_dice": [0.96, 0.87, 0.83, 0.92, 0.78],
        },
        index=pd.Index(["a-s0", "b-s0", "b-s1", "a-s1", "c-s0"], name="run"),
    )
    answer = learner(table.copy())
    expect(answer is not None, "your function gave None: is there a `return`?")
    if isinstance(answer, (int, np.integer)):
        raise Mistake("That is a position. A log is asked for names: `idxmax` gives the run, `argmax` its position.")
    if isinstance(answer, (pd.Series, pd.DataFrame)):
        raise Mistake("That is a part of the table. The name of one run is asked for, the index of its row.")
    if isinstance(answer, (float, np.floating)):
        raise Mistake("That is a score. The run that has it is asked for: its name stands in the index.")
    hints = {
        "a-s0": "That run started from ImageNet weights: which rows may take part?",
        "a-s1": "That run started from ImageNet weights: which rows may take part?",
        "c-s0": "That is the worst run from scratch: smallest, or largest?",
        "b-s0": "That run leads in report_dice. The score of record is the column `dice`.",
    }
    expect(answer == "b-s1", hints.get(answer, f"{answer!r} is no run of the table."))
    return "Filter first, then the largest Dice."


@exercise("score_without_peeking")
def check_score_without_peeking(learner):
    curve = pd.DataFrame(
        {
            "epoch": [0, 1, 2, 3, 4, 5],
            "monitor_dice": [0.80, 0.86, 0.91, 0.90, 0.89, 0.88],
            "val_dice": [0.79, 0.84, 0.87, 0.88, 0.92, 0.85],
        },
        index=[10, 11, 12, 13, 14, 15],  # so that a label is not taken for a position unseen
    )
    answer = as_number(learner(curve.copy()))
    wrong = {
        "That is the highest validation Dice. You looked at the validation photos to choose the epoch, so they "
        "no longer measure: which column may choose?": 0.92,
        "That is the monitor's own Dice in its best epoch. It was chosen for being high, so it flatters: "
        "which photos had no say in the choice?": 0.91,
        "That is the last epoch. Choose the epoch in which the monitor is best.": 0.85,
        "That is the epoch. The score which the validation photos give it is asked for.": 2,
        "That is the label of the row. The score which the validation photos give it is asked for.": 12,
    }
    refuse(answer, wrong, 0.87)
    expect(abs(answer - 0.87) < 1e-9, f"On the curve of the check the answer is 0.87, yours is {answer:.3f}.")
    return "The monitor chooses, the validation photos measure."


@exercise("dice_and_iou")
def check_dice_and_iou(learner):
    iou_from_dice, dice_from_iou = learner
    half = as_number(iou_from_dice(0.5), "iou_from_dice")
    expect(abs(half - 2 / 3) > 1e-6, "iou_from_dice(0.5) gives 2/3: IoU is never above Dice. Is this the way back?")
    one = as_number(iou_from_dice(1.0), "iou_from_dice")
    expect(abs(one - 1) < 1e-6, f"Two equal masks have Dice 1 and IoU 1, but iou_from_dice(1) gives {one:.3f}.")
    expect(
        abs(half - 1 / 3) < 1e-6,
        f"iou_from_dice(0.5) gives {half:.3f}: two masks of 2 pixels that share 1 have Dice 1/2 and cover 3 pixels.",
    )
    dice = np.linspace(0, 1, 11)
    there = as_array(iou_from_dice(dice), "iou_from_dice")
    back = as_array(dice_from_iou(there), "dice_from_iou")
    expect(
        back.shape == dice.shape and np.allclose(back, dice),
        "There and back again does not give the Dice that it began with: solve IoU = D / (2 - D) for D.",
    )
    return "There and back again, Dice keeps its value."


@exercise("report_dice")
def check_report_dice(learner):
    left, right, full, empty = (np.zeros((4, 4), np.uint8) for _ in range(4))
    left[:, :1], right[:, 3:], full[:] = 1, 1, 1
    apart = as_number(learner(left.copy(), right.copy()))
    expect(abs(apart) > 1e-6, "Masks that share nothing score 0: that is our Dice. The report adds 1, twice.")
    expect(
        abs(apart - 1 / 9) > 1e-6,
        "Masks of 4 pixels that share nothing score 1/9: you add the 1 after doubling, as is right. "
        "The report adds it before.",
    )
    expect(abs(apart - 2 / 9) < 1e-6, f"Masks of 4 pixels that share nothing should score 2/9, yours is {apart:.3f}.")
    same = as_number(learner(full.copy(), full.copy()))
    expect(same <= 1 + 1e-9, f"Two full masks of 16 pixels score {same:.3f}, more than 1: what did the report do then?")
    nothing = as_number(learner(empty.copy(), empty.copy()))
    expect(abs(nothing - 1) < 1e-6, f"Two empty masks should score 1, yours is {nothing:.3f}.")
    expect(abs(same - 1) < 1e-6, f"Two full masks of 16 pixels should score 1, yours is {same:.3f}.")
    wide = full.copy()
    wide[:, 2:] = 0  # 8 of 16 pixels
    part = as_number(learner(wide.copy(), full.copy()))
    expect(abs(part - 18 / 25) < 1e-6, f"8 pixels inside of 16 should score 18/25 = 0.72, yours is {part:.3f}.")
    return "Masks of 4 pixels that share nothing get 2/9 from the report's formula and 0 from ours."


@exercise("paired_interval")
def check_paired_interval(learner):
    rng = np.random.default_rng(0)
    a = np.clip(rng.normal(0.85, 0.1, 150), 0, 0.98)  # easy and hard photos
    gain = rng.normal(0.01, 0.02, 150)
    b = a + gain
    interval = as_array(learner(a.copy(), b.copy()))
    expect(interval.shape == (2,), f"(low, high) is asked for, but your answer has the shape {interval.shape}.")
    low, high = map(float, interval)
    expect(low <= high, "Your lower end is above the upper one: low first, then high.")
    expect(high > 0, "Your interval is below 0, but b is the better run: the difference is b minus a.")
    wanted = 2 * 1.96 * gain.std() / np.sqrt(len(gain))  # what theory says, near enough for 150 photos
    ratio = (high - low) / wanted
    expect(
        ratio > 0.05,
        "Your interval has no width: without replacement the drawn photos are always the same. Draw with replacement.",
    )
    spread = 2 * 1.96 * gain.std() / wanted
    expect(
        not 0.7 < ratio / spread < 1.4,
        "That is how far single photos differ. The mean is asked for: the mean of each draw, then their quantiles.",
    )
    expect(
        ratio < 3,
        f"Your interval is {ratio:.0f} times too wide: are a and b drawn apart? The same drawn photos belong to both.",
    )
    expect(
        not 0.75 < ratio < 0.89,
        "Your interval is a little narrow: from 5 to 95 per cent lie the middle 90. For 95 leave 2.5 on either side.",
    )
    expect(0.89 < ratio < 1.15, f"Your interval is {ratio:.2f} times as wide as it should be.")
    expect(low < gain.mean() < high, "Your interval does not hold the mean difference itself.")
    return f"b is better by {low:.4f} to {high:.4f}."
