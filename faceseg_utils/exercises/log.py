"""Checks of the exercises in notebook 04: the paired bootstrap, seeds, plots, an honest choice."""

import numpy as np
import pandas as pd
from scipy import stats

from faceseg_utils.exercises.framework import Mistake, as_array, as_number, exercise, expect

# --- The paired bootstrap ---------------------------------------------------------------------------------------------


def _interval(a, b, level=95.0, apart=False, draws=20_000) -> np.ndarray:
    """(low, high) as `paired_interval` should give it, or with mistakes in it."""
    random, count = np.random.default_rng(1), len(a)
    first = random.integers(0, count, (draws, count))
    second = random.integers(0, count, (draws, count)) if apart else first
    return np.percentile((b[second] - a[first]).mean(axis=1), [50 - level / 2, 50 + level / 2])


def _close(interval, wanted) -> bool:
    """The same but for other random numbers? 5,000 draws stay within this; 90 % in place of 95 % does not."""
    return np.abs(interval - wanted).max() < max(0.055 * np.ptp(wanted), 1e-7)


@exercise("paired_interval")
def check_paired_interval(learner):
    random = np.random.default_rng(0)
    for count in (150, 60, 25):
        a = np.clip(random.normal(0.85, 0.1, count), 0, 0.98)  # easy and hard photos
        b = a + random.normal(0.004, 0.02, count) + 0.05 * (random.random(count) < 0.1)  # and a few great gains
        b[[0, -1]] += 0.2  # whoever never draws the first or the last photo is noticed
        answer = as_array(learner(a, b), "paired_interval")
        expect(answer.shape == (2,), f"(low, high) is asked for, but your answer has the shape {answer.shape}.")
        right = _interval(a, b)
        if _close(answer, right):
            continue
        known = {
            "low first, then high.": right[::-1],
            "the difference is b minus a.": -right[::-1],
            "for 95 % leave out 2.5 % at either end. Yours leaves out 5.": _interval(a, b, level=90),
            "a and b are drawn apart. The same drawn photos belong to both.": _interval(a, b, apart=True),
            "all photos are drawn once, so all means are equal. Draw with replacement.": np.full(2, (b - a).mean()),
            "single differences. The mean of each draw is asked for.": np.percentile(b - a, [2.5, 97.5]),
        }
        for words, wrong in known.items():
            if _close(answer, wrong):
                raise Mistake(f"Your interval looks like this mistake: {words}")
        got, wanted = (f"{low:+.4f} to {high:+.4f}" for low, high in (answer, right))
        raise Mistake(f"On {count} made-up photos your interval is {got}, expected about {wanted}.")
    return "The same photos are drawn for both, with replacement."


# --- Seeds ------------------------------------------------------------------------------------------------------------


def _reach(n: int, deviation: float, share: float = 0.995, lost: int = 1) -> float:
    """Half the width of the rule's interval."""
    return stats.t.ppf(share, n - lost) * deviation / np.sqrt(n)


def _seeds(gain, deviation, least=3, **mistake) -> int:
    return next(n for n in range(least, 100_000) if _reach(n, deviation, **mistake) < gain)


@exercise("seeds_needed")
def check_seeds_needed(learner):
    cases = [(0.01, 0.004), (0.004, 0.005), (0.002, 0.005), (1.0, 0.001), (0.5, 0.6), (0.03, 0.01), (0.05, 0.009)]
    answers = [as_number(learner(*case), "seeds_needed") for case in cases]
    right = [_seeds(*case) for case in cases]
    wrong = {
        "With two seeds the rule stays undecided: three are the least.": [_seeds(*case, least=2) for case in cases],
        "Student's t at 0.99 leaves 1 % on one side; the interval leaves 0.5 % on each.": [
            _seeds(*case, share=0.99) for case in cases
        ],
        "n seeds have n - 1 degrees of freedom.": [_seeds(*case, lost=0) for case in cases],
        "That is one seed too many: is `below` tested after counting up?": [n + 1 for n in right],
    }
    for message, numbers in wrong.items():
        if answers == numbers:
            raise Mistake(message)
    for case, answer, n in zip(cases, answers, right):
        expect(answer == n, f"For gain={case[0]:g}, deviation={case[1]:g} expected {n}, got {answer:g}.")
    return "Half the gain needs about four times the seeds."


# --- The right plot ---------------------------------------------------------------------------------------------------

PLOTS = {
    "train longer?": ("B", "Only the scores by epoch show whether they still rise."),
    "which photos lose?": ("C", "Only a point per photo shows where one run is ahead and where the other is."),
    "setting or seed?": ("D", "Only several seeds of each setting show how far seeds alone move the score."),
}
SHOWS = {
    "A": "bars of two means",
    "B": "scores by epoch",
    "C": "one point per photo",
    "D": "one point per seed",
}


@exercise("which_plot")
def check_which_plot(learner):
    expect(isinstance(learner, dict), "Your answer should be a dictionary: one letter for each question.")
    for question, letter in learner.items():
        expect(question in PLOTS, f"There is no question {question!r}: there are {', '.join(PLOTS)}.")
        if letter is ...:
            continue
        expect(letter in SHOWS, f"{question} {letter!r} is no plot: A, B, C or D.")
        right, why = PLOTS[question]
        expect(letter == right, f"{question} Plot {letter} has {SHOWS[letter]}. {_hint(question)}")
    missing = [question for question in PLOTS if learner.get(question, ...) is ...]
    expect(not missing, f"Right so far; open: {', '.join(missing)}")
    return " ".join(why for _, why in PLOTS.values())


def _hint(question: str) -> str:
    return {
        "train longer?": "Which one shows how the scores got there?",
        "which photos lose?": "Which one lets you point at a photo?",
        "setting or seed?": "Which one would look the same if only the seed mattered?",
    }[question]


# --- An honest choice -------------------------------------------------------------------------------------------------


COLUMNS = "setting seed holdout val exam".split()
EXAM = COLUMNS[-1]


def _runs(*rows) -> pd.DataFrame:
    """A table with COLUMNS, under labels that are no positions."""
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.set_index(pd.Index(range(70, 70 + 3 * len(table), 3)))


def _honest(table, by="holdout", give=EXAM, least=3, single=False):
    if single:
        row = table.loc[table[by].idxmax()]
        return row["setting"], row[give]
    groups = table.groupby("setting")
    means = groups[COLUMNS[2:]].mean()[groups.size() >= least]
    best = means[by].idxmax()
    return best, means.loc[best, give]


def _honest_tables() -> list[pd.DataFrame]:
    """The first takes most mistakes apart; then as many seeds as needed, settings in another order, made-up logs."""
    telling = _runs(
        ("wide", 0, 0.930, 0.941, 0.921), ("wide", 1, 0.934, 0.935, 0.925), ("wide", 2, 0.932, 0.938, 0.926),
        ("deep", 0, 0.939, 0.930, 0.936), ("deep", 1, 0.921, 0.932, 0.933), ("deep", 2, 0.924, 0.934, 0.934),
        ("fast", 0, 0.951, 0.962, 0.941), ("fast", 1, 0.949, 0.960, 0.940),
        ("slow", 0, 0.925, 0.944, 0.932), ("slow", 1, 0.926, 0.942, 0.930), ("slow", 2, 0.927, 0.945, 0.931),
        ("late", 0, 0.930, 0.920, 0.911), ("late", 1, 0.929, 0.921, 0.912), ("late", 2, 0.930, 0.922, 0.913),
        ("late", 3, 0.929, 0.923, 0.914),
    )  # fmt: skip
    tables, random = [telling], np.random.default_rng(4)
    for sizes in ((3, 4, 5), (2, 3, 6, 4), (5, 1, 3)):
        rows = [(name, seed, *(0.9 + random.normal(0, 0.01, 3)))
                for name, count in zip(("zeta", "beta", "alpha", "mu"), sizes) for seed in range(count)]  # fmt: skip
        tables.append(_runs(*rows).sample(frac=1, random_state=len(rows)))
    return tables


@exercise("honest")
def check_honest(learner):
    mistakes = {
        "You chose by the 150 validation photos, the ones that every model of the log is compared on.": {"by": "val"},
        "You chose by the exam. Then it is no exam any more.": {"by": EXAM},
        "You took the luckiest run. A setting is judged by the mean over its seeds.": {"single": True},
        "A setting with fewer than three seeds won: it may not take part.": {"least": 1},
        "You report the holdout, which has chosen: it promises too much.": {"give": "holdout"},
        "You report the 150 validation photos: the exam's mean is asked for.": {"give": "val"},
        "A setting with exactly three seeds takes part.": {"least": 4},
    }
    for table in _honest_tables():
        before = table.copy()
        answer = learner(table)
        expect(isinstance(answer, tuple) and len(answer) == 2, "Return a pair: the setting's name and its exam Dice.")
        expect(table.equals(before), "Your code changes the table: whoever calls it still needs that. Work on a copy.")
        setting, score = answer[0], as_number(answer[1], "the score")
        right = _honest(table)
        if setting == right[0] and abs(score - right[1]) < 1e-9:
            continue
        for message, how in mistakes.items():
            try:
                wrong = _honest(table, **how)
            except ValueError:  # no setting has as many seeds
                continue
            if setting == wrong[0] and abs(score - wrong[1]) < 1e-9:
                raise Mistake(message)
        raise Mistake(f"Expected {right[0]!r} with {right[1]:.4f}, got {setting!r} with {score:.4f}.")
    return "The holdout chooses, seeds are averaged, the exam is read once."
