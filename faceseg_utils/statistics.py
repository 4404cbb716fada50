"""How far would other photos move a mean? Intervals by the bootstrap, alone and in pairs.

A leaf: numpy, pandas and scipy, nothing of the package.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats


class Interval(NamedTuple):
    """An estimate and its bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def bootstrap_mean(scores, draws: int = 10_000, seed: int = 0, level: float = 0.95) -> Interval:
    """The mean of `scores` [N] with its percentile interval (Efron 1979): how far would other photos move it?

    N photos are drawn with replacement `draws` times; the interval holds the middle `level` of their means.
    Raises ValueError for no scores, or NaN among them.
    """
    scores = np.asarray(scores, float)
    if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
        raise ValueError(f"scores of shape {scores.shape}: expected a list of numbers, one per photo, without NaN")
    mean = float(scores.mean())
    if len(scores) == 1:  # whatever is drawn, it is this one
        return Interval(mean, mean, mean)
    low, high = stats.bootstrap(
        (scores,), np.mean, n_resamples=draws, confidence_level=level, method="percentile",
        random_state=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return Interval(mean, float(low), float(high))


def paired_bootstrap(a, b, draws: int = 10_000, seed: int = 0, level: float = 0.95) -> Interval:
    """How much better is b than a on the same photos? The mean of b - a [N] with its interval.

    Both scores of a photo are drawn together, so that hard photos, which are hard for both, cancel out. The interval
    covers other photos of this kind, not other seeds: two runs that differ by their seed alone may well differ.
    Two pandas Series are matched by photo. Raises ValueError when the photos are not the same.
    """
    if isinstance(a, pd.Series) and isinstance(b, pd.Series):
        if set(a.index) != set(b.index) or not a.index.is_unique:
            only = sorted(map(str, set(a.index) ^ set(b.index)))[:3]
            example = ", ".join(only) or "one listed twice"
            raise ValueError(f"a and b are not scores of the same photos (e.g. {example})")
        b = b.loc[a.index]
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape:
        raise ValueError(f"a has {a.shape} scores, b has {b.shape}: a paired comparison needs the same photos")
    return bootstrap_mean(b - a, draws, seed, level)
