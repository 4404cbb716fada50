"""The budget game: twenty minutes of computing, a menu of runs, one exam at the end.

menu()                                      # what can be run, and what a run costs
run(photos=80, epochs=1, rate=0.003)        # buy a run and see its holdout score; what is left out is as in BASE
runs()                                      # the runs bought so far
commit(3)                                   # choose run 3 for good: its exam score is unlocked
restart()                                   # give everything back

All runs were trained beforehand: `experiments/budget.csv` has their scores, exam included, so reading it spoils the
game. What was bought lies beside the bets and outlives the kernel. A move that cannot be made is one printed line.
"""

from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from faceseg_utils.figures.plots import BLUE, GREEN, GREY, ORANGE, RED, WIDTH
from faceseg_utils.paths import did_you_mean, experiments_folder
from faceseg_utils.play import memory
from faceseg_utils.statistics import verdict

MINUTES = 20.0  # the budget
GAMES = 1000  # of random search
BASE = {
    "photos": 320, "epochs": 3, "rate": 0.001, "augment": "portrait", "start": "ImageNet", "loss": "bce+dice",
    "size": "128x96", "seed": 0,
}  # fmt: skip

# --- The runs ---------------------------------------------------------------------------------------------------------


@cache
def _file() -> pd.DataFrame:
    return pd.read_csv(experiments_folder() / "budget.csv", index_col="run")


def table() -> pd.DataFrame:
    """One row per run: its choices (the keys of BASE), minutes, mean Dice on holdout, val and locked (exam) photos."""
    means = {split: scores(split).mean(axis=1) for split in ("val", "locked")}
    return _file()[[*BASE, "minutes", "holdout"]].assign(**means)


def scores(split: str) -> pd.DataFrame:
    """Dice of each run (rows) on each photo (columns) of "val" or "locked"."""
    return _file().filter(regex=f"^{split} ")


def leads(known: pd.DataFrame) -> pd.DataFrame:
    """How far each run is ahead of the base, mean over the base's seeds: columns holdout, val and locked, the exam."""
    means = known[["holdout", "val", "locked"]]
    return means - means[_alike(known, BASE, but="seed")].mean()


def _alike(known: pd.DataFrame, choices, but: str) -> pd.Series:
    """Which runs have these choices, whatever they have for `but`?"""
    names = [name for name in BASE if name != but]
    return (known[names] == pd.Series(choices)[names]).all(axis=1)


# --- The game ---------------------------------------------------------------------------------------------------------


def menu() -> pd.DataFrame:
    """The settings on offer: one row per amount and kind of training, with its rates, augmentations, seeds, price."""
    groups = table().groupby(["photos", "epochs", "start", "loss", "size"], sort=False)
    listed = groups[["rate", "augment", "seed"]].agg(lambda column: ", ".join(map("{}".format, sorted(set(column)))))
    return listed.assign(minutes=groups["minutes"].first()).sort_values("minutes").reset_index()


def options() -> dict[str, list]:
    """The values of each choice, the base's first: for `ipywidgets.interact_manual(run, **options())`."""
    return {name: list(dict.fromkeys([value, *sorted(set(table()[name]))])) for name, value in BASE.items()}


def run(**choices) -> None:
    """Buy the run with these choices, the others as in BASE, and print its holdout score and what is left.

    A run that was bought before costs nothing. Nothing happens while a choice is `...`.
    """
    if any(value is ... for value in choices.values()):
        print("No run bought: put values in place of ... and run this cell again")
        return
    if unknown := sorted(set(choices) - set(BASE)):
        print(f"There is no choice '{unknown[0]}': {', '.join(BASE)}.{did_you_mean(unknown[0], BASE)}")
        return
    known, bought = table(), _bought()
    for name, value in choices.items():
        if value not in set(known[name]):
            print(f"{name}={value!r} is not on the menu: it has {', '.join(map(str, options()[name]))}")
            return
    wanted = pd.Series(BASE | choices)
    alike = known[list(BASE)] == wanted
    name = alike.sum(axis=1).idxmax()  # the nearest run, the wanted one if there is one
    if not alike.loc[name].all():
        others = ", ".join(f"{choice}={known.loc[name, choice]}" for choice in BASE if not alike.loc[name, choice])
        print(f"These choices together are not on the menu. The nearest run has {others}")
        return
    if name not in bought:
        price, left = known.loc[name, "minutes"], MINUTES - known.loc[bought, "minutes"].sum()
        if "committed" in memory.load("budget"):
            print("You have committed, and the exam is open: budget.restart() begins a new game")
            return
        if price > left:
            print(f"That run takes {price:.2f} minutes and {left:.2f} are left: choose a cheaper one, or commit")
            return
        bought.append(name)
        memory.save("budget", {str(number): {"run": each} for number, each in enumerate(bought, 1)})
    left = MINUTES - known.loc[bought, "minutes"].sum()
    number = bought.index(name) + 1
    print(f"run {number}: Dice {known.loc[name, 'holdout']:.4f} on the holdout; {left:.2f} of {MINUTES:g} minutes left")


def _bought() -> list[str]:
    """The names of the runs that were bought, in order."""
    known, remembered = table().index, memory.load("budget")
    names = [entry.get("run") for key, entry in remembered.items() if key != "committed"]
    return [name for name in names if name in known]


def _committed() -> str | None:
    name = memory.load("budget").get("committed", {}).get("run")
    return name if name in _bought() else None


def runs() -> pd.DataFrame:
    """What was bought: one row per run, numbered from 1, with its choices, price and holdout score."""
    bought = table().loc[_bought(), [*BASE, "minutes", "holdout"]]
    return bought.set_index(pd.RangeIndex(1, len(bought) + 1, name="number"))


def commit(number=...) -> None:
    """Choose a run of `runs` by its number, for good: print what the holdout promised and what the exam kept."""
    bought, known = _bought(), table()
    if number is ... or number is None:
        print("Nothing committed: put the number of one of your runs in place of ...")
        return
    if (already := _committed()) is None:
        if number not in range(1, len(bought) + 1):
            print(f"There is no run {number!r}: you have bought {len(bought)}; see budget.runs()")
            return
        already = bought[number - 1]
        memory.save("budget", memory.load("budget") | {"committed": {"run": already}})
    ahead, best = leads(known), known.loc[bought, "val"].idxmax()
    base = scores("locked")[_alike(known, BASE, but="seed")].mean()  # of each photo, over seeds
    print(f"run {bought.index(already) + 1}: Dice {known.loc[already, 'locked']:.4f} in the exam")
    print(
        f"ahead of the base: {ahead.loc[already, 'holdout']:+.4f} promised, {ahead.loc[already, 'locked']:+.4f} kept, "
        f"by the rule over the exam photos {verdict(base, scores('locked').loc[already]).word}"
    )
    print(
        f"by the 150 validation photos you would have taken run {bought.index(best) + 1}: "
        f"{ahead.loc[best, 'val']:+.4f} promised, {ahead.loc[best, 'locked']:+.4f} kept"
    )


def restart() -> None:
    """Give back all runs, and forget what was committed."""
    memory.save("budget", {})
    print(f"A new game: {MINUTES:g} minutes")


# --- Other ways to spend it -------------------------------------------------------------------------------------------


@cache
def random_search(by: str, minutes: float = MINUTES) -> list[str]:
    """The runs that GAMES games end with: each buys in random order until the next run is too expensive, and chooses
    the best `by` the "holdout", or by the 150 photos of "val". Games that could buy nothing are left out."""
    known, random = table(), np.random.default_rng(0)
    orders = random.permuted(np.tile(np.arange(len(known)), (GAMES, 1)), axis=1)  # [games, runs]
    bought = known["minutes"].to_numpy()[orders].cumsum(axis=1) <= minutes
    seen = np.where(bought, known[by].to_numpy()[orders], -1)
    chosen = np.take_along_axis(orders, seen.argmax(axis=1)[:, None], axis=1)[:, 0]
    return known.index[chosen[bought[:, 0]]].tolist()


def greedy_ladder(known: pd.DataFrame, minutes: float = MINUTES) -> list[str]:
    """From the base on, choice by choice: try every other value alone, go on from the one with the best holdout."""
    now = known.index[_alike(known, BASE, but="")][0]
    bought = [now]
    for choice in list(BASE)[:-1]:  # all but the seed
        beside = known.index[_alike(known, known.loc[now], but=choice)]
        for name in beside.difference(bought, sort=False):
            if known.loc[[*bought, name], "minutes"].sum() <= minutes:
                bought.append(name)
        now = known.loc[beside.intersection(bought), "holdout"].idxmax()
    return bought


def compare() -> pd.DataFrame:
    """Ways to choose: what they promised, the lead over the base on the photos that chose, and what the exam kept."""
    known = table()
    ahead, ladder, bought, yours = leads(known), greedy_ladder(known), _bought(), _committed()
    rows, searched = {}, min(MINUTES, known["minutes"].sum())

    def add(way, names, by, spent):
        kept = ahead.loc[names, "locked"].mean()
        rows[way] = {"minutes": spent, "exam Dice": known.loc[names, "locked"].mean(),
                     "promised": ahead.loc[names, by].mean(), "kept": kept}  # fmt: skip

    add("random search", random_search("holdout"), "holdout", searched)
    add("random search by the 150", random_search("val"), "val", searched)
    add("greedy ladder", [known.loc[ladder, "holdout"].idxmax()], "holdout", known.loc[ladder, "minutes"].sum())
    add("all runs", [known["holdout"].idxmax()], "holdout", known["minutes"].sum())
    add("best possible", [known["locked"].idxmax()], "locked", known["minutes"].sum())
    if yours:
        add("you", [yours], "holdout", known.loc[bought, "minutes"].sum())
    return pd.DataFrame.from_dict(rows, orient="index")


def figure() -> Figure:
    """Left: exam Dice of random searches, of the other ways, and yours. Right: promised and kept, by minutes spent."""
    known, ways = table(), compare()
    ahead = leads(known)
    picture, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.5))
    left.hist(known.loc[random_search("holdout"), "locked"], bins=20, color=GREY, alpha=0.6, label="random search")
    drawn = (("all runs", ORANGE, "-", 6), ("greedy ladder", BLUE, "--", 3), ("best possible", GREEN, ":", 2),
             ("you", RED, "-", 2))  # fmt: skip
    for way, colour, line, width in drawn:  # the widest first: none hides another
        if way in ways.index:
            left.axvline(ways.loc[way, "exam Dice"], color=colour, ls=line, lw=width, alpha=0.8, label=way)
    low, high = left.get_xlim()
    margin = max(0, 0.005 - (high - low) / 2)  # an axis of at least 0.01, so that tiny differences look tiny
    left.set_xlim(low - margin, high + margin)
    left.xaxis.set_major_locator(MaxNLocator(5))
    left.set(xlabel="Dice in the exam", ylabel="games")
    spent = np.array([2, 3, 5, 8, 12, 16, 20])
    for by, marker, who in (("holdout", "o-", "by the holdout"), ("val", "s:", "by the 150")):
        chosen = [ahead.loc[random_search(by, float(minutes))] for minutes in spent]
        for column, colour, what in ((by, ORANGE, "promised"), ("locked", BLUE, "kept")):
            means = [runs[column].mean() for runs in chosen]
            right.plot(spent, means, marker, color=colour, ms=4, label=f"{what}, {who}")
    right.axhline(0, color="black", lw=1)
    right.set(xlabel="minutes spent on random search", ylabel="lead over the base")
    right.set_ylim(bottom=max(-0.005, right.get_ylim()[0]))  # what a minute or two finds would squeeze the rest
    for axis in (left, right):
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    return picture
