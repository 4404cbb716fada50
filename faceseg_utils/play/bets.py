"""Bets: what do you expect? Say so before the cell that answers, and see your guess beside the answer.

    bet("mean mask", ..., within=0.05)                      # the reader replaces ... by a number
    bet("best skip", ..., choices=("1/1", "1/2", "1/4"))    # or by one of the choices
    draw_bet(ax, "mean mask", result, axis="y")             # after the answer, in its figure

A bet left empty stops nothing and draws nothing. A bet can say how `sure` the reader is, from 0 to 1: with it, being
right seven times in ten when 0.7 sure can be checked (`calibration`). There is no interval to type for a number:
`within`, set by the notebook, says what counts as right, so that numbers and choices are judged alike.
"""

import math
from collections.abc import Sequence
from numbers import Real

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from faceseg_utils.figures.plots import BLUE, GREY, ORANGE, WIDTH
from faceseg_utils.paths import did_you_mean
from faceseg_utils.play import memory


def bet(name: str, value=..., choices: Sequence[str] = (), within: float | None = None, sure=None) -> None:
    """Note the reader's `value`, a number or one of `choices`, and print one line.

    `within`: how far a number may be off and still count as right (none given: a tenth of the result). `sure`: the
    reader's confidence, 0 to 1. A later bet of the same name replaces an earlier one, and its result is forgotten; an
    empty one (... or None) leaves the earlier one as it is. A value that is no bet is not noted, with one line that
    says why. Raises ValueError for a mistake of the notebook: one choice only, or a `within` that is not above 0.
    """
    if len(choices) == 1 or isinstance(choices, str) or not all(isinstance(choice, str) for choice in choices):
        raise ValueError(f"choices={choices!r}: give at least two strings, or none for a number")
    if within is not None and not within > 0:
        raise ValueError(f"within={within}: how far off still counts as right is a number above 0")
    bets = memory.load("bets")
    old = bets.get(name, {})
    wanted = f"one of {', '.join(map(repr, choices))}" if choices else "a number"
    if value is ... or value is None:
        if "bet" in old:
            print(f"Your bet on '{name}' stands: {_text(old['bet'])}. To change it, put {wanted} in place of ...")
        else:
            print(f"No bet on '{name}' yet: put {wanted} in place of ... and run this cell again")
        return
    said = _choice(value, choices) if choices else _number(value)
    if said is None:
        hint = did_you_mean(str(value), choices)
        print(f"Not noted: {value!r} is no bet on '{name}', which takes {wanted}.{hint}")
        return
    if sure is not None and ((certain := _number(sure)) is None or not 0 <= certain <= 1):
        print(f"Not noted: sure={sure!r} should be a number from 0 to 1, such as 0.7 for 7 times in 10")
        return
    entry = {"bet": said}
    entry |= {"choices": list(choices)} if choices else {}
    entry |= {"within": float(within)} if within is not None and not choices else {}
    entry |= {"sure": float(sure)} if sure is not None else {}
    if old.get("bet") == said and "result" in old:
        entry["result"] = old["result"]
    print(f"Noted: your bet on '{name}' is {_text(said)}" + (f", {float(sure):.0%} sure" if sure is not None else ""))
    memory.save("bets", bets | {name: entry})


def _number(value) -> float | None:
    """`value` as a float, None if it is no finite number (True is none, text is none)."""
    value = value.item() if isinstance(value, np.generic) else value
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value) else None


def _choice(value, choices: Sequence[str]) -> str | None:
    same = [choice for choice in choices if choice.strip().lower() == str(value).strip().lower()]
    return same[0] if same else None


def _text(value: float | str) -> str:
    if isinstance(value, str):
        return value
    if value == int(value) and abs(value) >= 2:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"


def _settle(name: str, result) -> dict:
    """The bet with its result, noted in the file; empty if there is no bet. Raises ValueError for an unfit result."""
    known = result if isinstance(result, str) else _number(result)
    if known is None:
        raise ValueError(f"result={result!r} of the bet '{name}': expected a finite number, or one of the choices")
    bets = memory.load("bets")
    entry = bets.get(name, {})
    if "bet" not in entry:
        return {}
    if isinstance(entry["bet"], str) != isinstance(known, str) or known not in entry.get("choices", [known]):
        print(f"Your bet on '{name}' was made on another version of this question: bet again")
        return {}
    if entry.get("result") != known:
        memory.save("bets", bets | {name: entry | {"result": known}})
    return entry | {"result": known}


def resolve(name: str, result: float | str) -> None:
    """Note the result of a bet and print both in one line; prints nothing where no bet was made."""
    if entry := _settle(name, result):
        off = "" if isinstance(entry["bet"], str) else f": off by {_text(abs(entry['bet'] - entry['result']))}"
        print(f"Your bet on '{name}' was {_text(entry['bet'])}, the result is {_text(entry['result'])}{off}")


def draw_bet(ax: Axes, name: str, result: float | str, axis: str = "x") -> None:
    """Resolve a bet and draw it into the figure that shows the result: a dashed line, named outside of the axes.

    `axis` is the one that measures what was bet on; for a choice, the one whose tick labels are the choices. The name
    stands at the top (x) or on the right (y) of the axes, where no data can be; a bet beyond the axis is named at its
    end, and the axis keeps its limits. Call it once the limits are set. Nothing is drawn where no bet was made.
    Raises ValueError when the result is a choice that the axis does not show.
    """
    if axis not in ("x", "y"):
        raise ValueError(f"axis={axis!r}: 'x' or 'y'")
    places = _places(ax, axis) if isinstance(result, str) else {}
    if isinstance(result, str) and result not in places:
        raise ValueError(f"the {axis} axis does not show '{result}', the result of the bet '{name}'")
    entry = _settle(name, result)
    if not entry:
        return
    guess = places.get(entry["bet"]) if isinstance(entry["bet"], str) else entry["bet"]
    limits = ax.get_xlim() if axis == "x" else ax.get_ylim()
    label, inside = f"your bet {_text(entry['bet'])}", guess is not None and min(limits) <= guess <= max(limits)
    if inside:  # above bars and areas, below curves
        line = ax.axvline if axis == "x" else ax.axhline
        line(guess, color=ORANGE, linestyle="--", linewidth=1.5, zorder=1.5, gid=f"bet {name}")
    else:
        label += " (beyond this axis)"
        guess = min(limits) if guess is not None and guess < min(limits) else max(limits)
    (ax.set_xlim if axis == "x" else ax.set_ylim)(limits)
    # A second axis with one tick: matplotlib keeps titles and neighbours clear of its label.
    beside = ax.secondary_xaxis("top") if axis == "x" else ax.secondary_yaxis("right")
    beside.set_ticks([guess], labels=[label])
    beside.minorticks_off()
    beside.tick_params(color=ORANGE, width=2, labelsize=9, length=5)
    beside.spines[:].set_visible(False)
    if axis == "x":  # near an end the label stays above the axes
        across = ax.transLimits.transform((ax.transScale.transform((guess, 1))[0], 0))[0]
        beside.get_xticklabels()[0].set_horizontalalignment(
            "left" if across < 0.2 else "right" if across > 0.8 else "center"
        )


def _places(ax: Axes, axis: str) -> dict[str, float]:
    """Where each tick label stands."""
    ticks = ax.get_xticks() if axis == "x" else ax.get_yticks()
    labels = ax.get_xticklabels() if axis == "x" else ax.get_yticklabels()
    return {label.get_text(): float(tick) for tick, label in zip(ticks, labels)}


def table() -> pd.DataFrame:
    """All bets, in the order they were first made: bet, result, error (bet - result), right, sure.

    What does not apply is missing: the result before it is known, the error of a choice, an unsaid confidence.
    """
    rows = {}
    for name, entry in memory.load("bets").items():
        said, result = entry.get("bet"), entry.get("result")
        number = not isinstance(said, str) and result is not None
        error = said - result if number else math.nan
        within = entry.get("within") or (abs(result) / 10 if number else 0)
        right = None if result is None else bool(abs(error) <= within) if number else said == result
        rows[name] = {"bet": said, "result": result, "error": error, "right": right,
                      "sure": entry.get("sure", math.nan), "within": within if number else math.nan}  # fmt: skip
    columns = ["bet", "result", "error", "right", "sure", "within"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("bet on")


def calibration(network: pd.DataFrame | None = None) -> Figure:
    """How good are the reader's guesses, and does the reader know? The course in two panels.

    Left: by how much each number was off, in units of what counted as right. Right: how often bets came true against
    how sure they were, beside the curve of a `network` (what `analysis.calibration.reliability_bins` gives).
    """
    done = table().dropna(subset=["result"])
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, max(3.2, 1.4 + 0.2 * len(done))))
    numbers = done.dropna(subset=["error"])
    off = (numbers["error"] / numbers["within"].where(numbers["within"] > 0, np.nan)).fillna(0).astype(float)
    left.axvspan(-1, 1, color=BLUE, alpha=0.12, linewidth=0)
    left.scatter(off.clip(-3, 3), range(len(off)), color=BLUE, zorder=2)
    left.set(
        xlim=(-3.3, 3.3), ylim=(max(len(off), 1) - 0.5, -0.5), xlabel="error / what counted as right (ends: 3 or more)"
    )
    left.set_yticks(range(len(off)), labels=off.index)
    left.set_title(f"{int(done['right'].sum())} of {len(done)} bets came true" if len(done) else "no bets resolved")

    right.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    if network is not None:
        right.plot(network["probability"], network["person"], color=BLUE, marker=".", label="the network's pixels")
    told = done.dropna(subset=["sure"])
    if len(told):
        groups = told["right"].astype(float).groupby(told["sure"].astype(float).round(1)).agg(["mean", "count"])
        sizes = 30 * groups["count"]
        right.scatter(groups.index, groups["mean"], s=sizes, color=ORANGE, label=f"your {len(told)} bets", zorder=3)
    right.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05), xlabel="how sure", ylabel="how often right", aspect="equal")
    if network is not None or len(told):
        right.legend(loc="upper left", bbox_to_anchor=(0, -0.16))
    return figure
