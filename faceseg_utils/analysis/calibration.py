"""Is a probability of 0.7 right 7 times in 10? Reliability and temperature.

Probabilities are that of "person" (for K classes: `errors.person_probability`), targets are 0 = background, above 0 =
person, 255 = does not count; arrays of any equal shape. For many photos, join them flat first.
"""

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import logit

from faceseg_utils.data.catalog import IGNORE

CLOSEST = 1e-6  # to 0 and to 1: float32 probabilities reach both, where a logit is infinite


def check_probability(probability: np.ndarray, target: np.ndarray) -> np.ndarray:
    """`probability` as float64; raises ValueError, with the fix, for another shape than `target`, NaN, or logits."""
    probability = np.asarray(probability, np.float64)
    if probability.shape != np.shape(target):
        raise ValueError(f"probability is {probability.shape}, target {np.shape(target)}: compare at the target's size")
    if not np.isfinite(probability).all():
        raise ValueError("probability holds NaN or infinity: look at the model's weights and at its input")
    if probability.size and (probability.min() < 0 or probability.max() > 1):
        raise ValueError("probability leaves 0..1: are these logits? apply the sigmoid first")
    return probability


def _counted(probability: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probability and truth (bool) of the pixels that count, flat."""
    target = np.asarray(target)
    probability, keep = check_probability(probability, target), target != IGNORE
    return probability[keep], target[keep] > 0


def reliability_bins(probability: np.ndarray, target: np.ndarray, bins: int = 10) -> pd.DataFrame:
    """Are pixels that are called "70 % person" person 7 times in 10? One row per bin of probability.

    Columns: low, high (edges), pixels, probability (mean of the bin), person (share that is). Empty bins hold NaN.
    """
    p, y = _counted(probability, target)
    index = np.minimum((p * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean, share = (np.bincount(index, weights=w, minlength=bins) / count for w in (p, y))
    edges = np.linspace(0, 1, bins + 1)
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "pixels": count, "probability": mean, "person": share})


def fit_temperature(probability: np.ndarray, target: np.ndarray) -> float:
    """The temperature with the smallest negative log-likelihood (Guo et al. 2017, arXiv 1706.04599), 0.05 to 20.

    Logits are divided by it, which changes no mask. Fit it on photos other than those you report on. ValueError when
    all pixels are of one kind, because then every bolder temperature is better.
    """
    p, y = _counted(probability, target)
    if y.all() or not y.any():
        raise ValueError("all pixels are of one kind: a temperature needs both person and background")
    margin = np.where(y, 1, -1) * logit(np.clip(p, CLOSEST, 1 - CLOSEST))  # above 0 where the answer is right

    def cost(log_temperature):
        return np.logaddexp(0, -margin / np.exp(log_temperature)).mean()

    return float(np.exp(minimize_scalar(cost, bounds=np.log((0.05, 20)), method="bounded").x))
