"""Intervals of a mean: against theory and against the drawing written out; pairs; what is refused."""

import numpy as np
import pandas as pd
import pytest

from faceseg_utils.statistics import Interval, bootstrap_mean, paired_bootstrap

PAIRS = np.random.default_rng(2).normal(0.9, 0.05, 100)


def test_the_interval_is_that_of_theory():
    scores = np.random.default_rng(1).normal(0.9, 0.05, 400)
    mean, low, high = bootstrap_mean(scores)
    half = 1.96 * scores.std() / 20
    assert mean == scores.mean()
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=4e-4)


@pytest.mark.parametrize("seed", [0, 3])
def test_the_interval_is_that_of_the_drawing_written_out(seed):
    scores, random = np.random.default_rng(5).random(37), np.random.default_rng(seed)
    means = [scores[random.integers(0, 37, 37)].mean() for _ in range(2000)]
    expected = np.percentile(means, [2.5, 97.5])
    assert bootstrap_mean(scores, draws=2000, seed=seed)[1:] == pytest.approx(expected, abs=1e-12)


def test_the_same_for_the_same_seed_only():
    scores = np.linspace(0, 1, 50)
    assert bootstrap_mean(scores, seed=3) == bootstrap_mean(scores, seed=3) != bootstrap_mean(scores, seed=4)
    wide, narrow = (bootstrap_mean(scores, level=level) for level in (0.99, 0.5))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_one_score_and_equal_scores_have_no_width():
    assert bootstrap_mean([0.5]) == (0.5, 0.5, 0.5)
    assert bootstrap_mean([0.25] * 9) == (0.25, 0.25, 0.25)


def test_pairs_see_a_difference_that_is_the_same_for_every_photo():
    a, b = PAIRS, PAIRS + 0.002
    assert paired_bootstrap(a, b) == pytest.approx((0.002, 0.002, 0.002))
    assert bootstrap_mean(a).high > bootstrap_mean(b).low, "unpaired, nothing is seen"
    assert paired_bootstrap(b, a).value == pytest.approx(-0.002)


def test_series_are_matched_by_photo():
    a, b = pd.Series({"1": 0.5, "2": 0.9}), pd.Series({"2": 0.9, "1": 0.6})
    assert paired_bootstrap(a, b).value == pytest.approx(0.05)
    with pytest.raises(ValueError, match=r"not scores of the same photos \(e.g. 2, 3\)"):
        paired_bootstrap(a, pd.Series({"1": 0.5, "3": 0.9}))
    with pytest.raises(ValueError, match="one listed twice"):
        paired_bootstrap(pd.Series([0.5, 0.6], ["1", "1"]), pd.Series([0.5], ["1"]))


def test_what_is_no_list_of_scores_is_refused():
    with pytest.raises(ValueError, match="a paired comparison needs the same photos"):
        paired_bootstrap([0.5, 0.6], [0.5])
    for scores in ([], [0.5, np.nan], [0.5, np.inf], [[0.5]]):
        with pytest.raises(ValueError, match="one per photo, without NaN"):
            bootstrap_mean(scores)


def test_an_interval_reads_as_one_prints_it():
    assert str(Interval(0.96789, 0.9, 1)) == "0.9679 [0.9000, 1.0000]"
