"""Intervals of a mean, against theory and the drawing written out; pairs; people; the rule for verdicts, tried out."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from faceseg_utils.statistics import Interval, bootstrap_mean, paired_bootstrap, verdict

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


# --- People: photos of one person resemble one another ----------------------------------------------------------------


def test_people_are_drawn_with_all_their_photos():
    scores, people = np.random.default_rng(5).random(12), list("aabbbcddddef")
    mean, low, high = bootstrap_mean(scores, draws=2000, seed=3, people=people)
    random, names = np.random.default_rng(3), np.array(list("abcdef"))
    photos = {name: scores[np.array(people) == name] for name in names}
    drawn = [names[random.integers(0, 6, 6)] for _ in range(2000)]
    means = [np.concatenate([photos[name] for name in each]).mean() for each in drawn]
    assert mean == scores.mean(), "the mean over photos, whoever is on them"
    assert (low, high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])), abs=1e-12)


def test_photos_counted_twice_say_no_more():
    scores = np.random.default_rng(5).random(40)
    twice, people = np.repeat(scores, 2), np.repeat(np.arange(40), 2)
    assert bootstrap_mean(twice, people=people) == pytest.approx(bootstrap_mean(scores))
    assert verdict(0 * twice, twice, people).difference == pytest.approx(verdict(0 * scores, scores).difference)
    alone = bootstrap_mean(scores, people=np.arange(40))
    assert alone == bootstrap_mean(scores), "one photo per person: people are photos"
    assert bootstrap_mean([0.5, 0.7], people=["a", "a"]) == (0.6, 0.6, 0.6)


def test_pairs_over_people_are_the_mean_of_their_differences_over_people():
    a, b = np.random.default_rng(1).random((2, 12))
    people = list("aabbccddeeff")
    assert paired_bootstrap(a, b, people=people) == bootstrap_mean(b - a, people=people)
    photos = list(map(str, range(12)))
    mixed = pd.Series(b, photos).sample(frac=1, random_state=0)
    assert paired_bootstrap(pd.Series(a, photos), mixed, people=people) == bootstrap_mean(b - a, people=people)
    for function in (paired_bootstrap, verdict):
        with pytest.raises(ValueError, match="11 people for 12 scores"):
            function(a, b, people=people[1:])


# --- Verdicts ---------------------------------------------------------------------------------------------------------

DRAWS = 1000
SHAPES = {  # made-up differences without an effect, in units of their standard deviation or so: [DRAWS, n]
    "normal": lambda random, n: random.normal(size=(DRAWS, n)),
    "heavy tails": lambda random, n: random.standard_t(3, (DRAWS, n)),
    "skewed": lambda random, n: random.exponential(size=(DRAWS, n)) - 1,
    "each fails on photos of its own": lambda random, n: (
        random.normal(0, 0.1, (DRAWS, n))
        + (random.random((DRAWS, n)) < 0.1) * random.exponential(1, (DRAWS, n))
        - (random.random((DRAWS, n)) < 0.1) * random.exponential(1, (DRAWS, n))
    ),
}
UNITS = {"photos": (150, 0.35), "people": (48, 0.6), "seeds": (5, 3.0)}  # n, effect in standard deviations: docstring


def words(differences, people=None) -> list[str]:
    return [verdict(np.zeros(len(each)), each, people).word for each in differences]


# Not skewed seeds: there is one mean of many photos per seed.
CASES = [(units, shape) for units in UNITS for shape in SHAPES if (units, shape) != ("seeds", "skewed")]


@pytest.mark.parametrize("units, shape", CASES)
def test_of_1000_draws_without_an_effect_at_most_5_in_100_are_called_real(units, shape):
    differences = SHAPES[shape](np.random.default_rng(0), UNITS[units][0])
    assert DRAWS - words(differences).count("undecided") <= 0.05 * DRAWS


@pytest.mark.parametrize("units", UNITS)
def test_of_1000_draws_with_an_effect_of_the_stated_size_at_least_80_in_100_are_found(units):
    n, effect = UNITS[units]
    for sign, word in ((1, "higher"), (-1, "lower")):
        found = words(np.random.default_rng(1).normal(sign * effect, 1, (DRAWS, n)))
        assert found.count(word) >= 0.8 * DRAWS and len({*found} - {word, "undecided"}) == 0


def test_photos_of_one_person_are_no_evidence_of_their_own():
    """Four photos of each of 48 people, whose differences are the person's: photo by photo, chance looks real."""
    people = np.repeat(np.arange(48), 4)
    differences = np.random.default_rng(2).normal(size=(DRAWS, 48))[:, people]
    assert DRAWS - words(differences, people).count("undecided") <= 0.05 * DRAWS
    assert DRAWS - words(differences).count("undecided") > 0.15 * DRAWS


def test_the_interval_of_a_verdict_is_students():
    a, b = np.random.default_rng(3).random((2, 20))
    found = verdict(a, b, level=0.9).difference
    low, high = stats.ttest_rel(b, a).confidence_interval(0.9)
    assert found == pytest.approx((np.mean(b - a), low, high))
    assert verdict(a, b, people=np.arange(20), level=0.9).difference == pytest.approx(found)


def test_a_verdict_is_told_by_its_interval():
    assert verdict(PAIRS, PAIRS + 0.002).word == "higher" and verdict(PAIRS + 0.002, PAIRS).word == "lower"
    assert verdict(PAIRS, PAIRS).word == "undecided", "no difference at all"
    assert str(verdict([0.5, 0.6, 0.7], [0.6, 0.7, 0.8])) == "higher: +0.1000 [+0.1000, +0.1000]"
    assert verdict([0.5, 0.6], [0.9, 1.0]) == ("undecided", (pytest.approx(0.4), -np.inf, np.inf)), "two seeds"
    assert verdict([0.5] * 9, [0.9] * 9, people=list("aaaaabbbb")).word == "undecided", "two people"
    with pytest.raises(ValueError, match="needs the same photos"):
        verdict([0.5, 0.6], [0.5])
    with pytest.raises(ValueError, match="without NaN"):
        verdict([0.5, 0.6, 0.7], [0.5, np.nan, 0.7])


def test_what_is_no_list_of_scores_is_refused():
    with pytest.raises(ValueError, match="a paired comparison needs the same photos"):
        paired_bootstrap([0.5, 0.6], [0.5])
    for scores in ([], [0.5, np.nan], [0.5, np.inf], [[0.5]]):
        with pytest.raises(ValueError, match="one per photo, without NaN"):
            bootstrap_mean(scores)


def test_an_interval_reads_as_one_prints_it():
    assert str(Interval(0.96789, 0.9, 1)) == "0.9679 [0.9000, 1.0000]"
