"""What learners answer to the exercises of notebook 04, and the words that each should meet."""

import pandas as pd

DRAWS = "    rng = np.random.default_rng(0)\n    draws = rng.integers(0, len(a), (5000, len(a)))\n"
ANSWERS = "answers = {{'train longer?': {}, 'which photos lose?': {}, 'setting or seed?': {}}}".format
SEEDS = (
    "def seeds_needed(gain, deviation):\n    n = {}\n    while {} * deviation / np.sqrt(n) >= gain:\n"
    "        n += 1\n    return {}"
).format
STUDENT = "stats.t.ppf(0.995, n - 1)"
HONEST = "def honest(table):\n    groups = table.groupby('setting')\n"

WRONG = {
    "paired_interval": [
        (
            "def paired_interval(a, b):\n" + DRAWS + "    other = rng.integers(0, len(a), (5000, len(a)))\n"
            "    return np.quantile(b[draws].mean(1) - a[other].mean(1), [0.025, 0.975])",
            "a and b are drawn apart",
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
            "Yours leaves out 5",
        ),
        ("def paired_interval(a, b):\n    return np.quantile(b - a, [0.025, 0.975])", "single differences"),
        (
            "def paired_interval(a, b):\n" + DRAWS + "    return np.quantile((b - a)[draws].mean(1), [0.975, 0.025])",
            "low first, then high",
        ),
        ("def paired_interval(a, b):\n    return (b - a).mean()", "has the shape ()"),
        ("def paired_interval(a, b):\n    return 0.0, 0.5", "expected about"),
        ("def paired_interval(a, b):\n    print((b - a).mean())", "is there a `return`?"),
    ],
    "seeds_needed": [
        (SEEDS(2, STUDENT, "n"), "three are the least"),
        (SEEDS(3, "stats.t.ppf(0.99, n - 1)", "n"), "leaves 1 % on one side"),
        (SEEDS(3, "stats.t.ppf(0.995, n)", "n"), "n - 1 degrees of freedom"),
        (SEEDS(3, STUDENT, "n + 1"), "one seed too many"),
        (SEEDS(3, "2.576", "n"), "expected"),
        (
            "def seeds_needed(gain, deviation):\n    return max(3, int(np.ceil((2.576 * deviation / gain) ** 2)))",
            "expected",
        ),
        ("def seeds_needed(gain, deviation):\n    n = 3", "is there a `return`?"),
    ],
    "which_plot": [
        (ANSWERS("'B'", "'D'", "'D'"), "which photos lose? Plot D has one point per seed"),
        (ANSWERS("'A'", "'C'", "'D'"), "train longer? Plot A has bars of two means"),
        (ANSWERS("'B'", "'C'", "'C'"), "setting or seed? Plot C has one point per photo"),
        (ANSWERS("'B'", "'C'", "..."), "Right so far; open: setting or seed?"),
        (ANSWERS("'B'", "'C'", "'E'"), "'E' is no plot"),
        ("answers = {'seed?': 'D'}", "There is no question 'seed?'"),
        ("answers = 'BCD'", "should be a dictionary"),
    ],
    "honest": [
        (
            "def honest(table):\n    row = table.loc[table['holdout'].idxmax()]\n    return row['setting'], row['exam']",
            "the luckiest run",
        ),
        (
            HONEST + "    means = groups[['val', 'exam']].mean()[groups.size() >= 3]\n"
            "    best = means['val'].idxmax()\n    return best, means.loc[best, 'exam']",
            "You chose by the 150 validation photos",
        ),
        (
            HONEST + "    means = groups[['exam']].mean()[groups.size() >= 3]\n"
            "    best = means['exam'].idxmax()\n    return best, means.loc[best, 'exam']",
            "no exam any more",
        ),
        (
            HONEST + "    means = groups[['holdout', 'exam']].mean()\n"
            "    best = means['holdout'].idxmax()\n    return best, means.loc[best, 'exam']",
            "fewer than three seeds won",
        ),
        (
            HONEST + "    means = groups[['holdout']].mean()[groups.size() >= 3]\n"
            "    return means['holdout'].idxmax(), means['holdout'].max()",
            "You report the holdout",
        ),
        (
            HONEST + "    means = groups[['holdout', 'val']].mean()[groups.size() >= 3]\n"
            "    best = means['holdout'].idxmax()\n    return best, means.loc[best, 'val']",
            "You report the 150",
        ),
        (
            HONEST + "    means = groups[['holdout', 'exam']].mean()[groups.size() > 3]\n"
            "    best = means['holdout'].idxmax()\n    return best, means.loc[best, 'exam']",
            "exactly three seeds takes part",
        ),
        (HONEST + "    return groups['holdout'].mean().idxmax()", "Return a pair"),
        (
            "def honest(table):\n    table['n'] = table.groupby('setting')['seed'].transform('size')\n"
            "    means = table[table['n'] >= 3].groupby('setting')[['holdout', 'exam']].mean()\n"
            "    best = means['holdout'].idxmax()\n    return best, means.loc[best, 'exam']",
            "Work on a copy",
        ),
        (HONEST + "    return 'slow', 0.5", "Expected 'wide'"),
    ],
}


def a_table(random) -> tuple[pd.DataFrame]:
    """Settings of 1 to 5 seeds each, the first of them with enough."""
    names = [name for name, count in zip("abcd", (3, *random.integers(1, 6, 3))) for _ in range(count)]
    scores = random.normal(0.9, 0.01, (len(names), 3))
    table = pd.DataFrame(scores, columns=["holdout", "val", "exam"], index=random.permutation(len(names)))
    return (table.assign(setting=names, seed=range(len(names))),)


INPUTS = {
    "honest": a_table,
    "seeds_needed": lambda random: (float(random.uniform(0.001, 0.02)), float(random.uniform(0.001, 0.02))),
    "paired_interval": None,
}

RANDOM = "another draw, as good as the first"
SURVIVORS = {
    "paired_interval": {
        "...= np.random.default_rng(0) -> ...= np.random.default_rng(1)": RANDOM,
        "...tegers(len(a), size=(5000, len(a))) -> ...tegers(len(a), size=(5001, len(a)))": RANDOM,
        "....integers(len(a), size=(5000, len(a))) -> ....integers(len(a), size=(4999, len(a)))": RANDOM,
    }
}
