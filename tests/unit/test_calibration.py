"""Small cases that can be worked out by hand, and temperatures that were put in on purpose."""

import numpy as np
import pytest
from scipy.special import expit, logit

from faceseg_utils.analysis import calibration

BOX = np.zeros((40, 40), np.uint8)
BOX[10:30, 10:30] = 1


def test_reliability_bins():
    probability = np.array([0.05, 0.15, 0.15, 0.95, 1.0, 0.95, 0.5])
    target = np.array([0, 0, 1, 1, 1, 0, 255])
    table = calibration.reliability_bins(probability, target)
    assert table["pixels"].tolist() == [1, 2, 0, 0, 0, 0, 0, 0, 0, 3]
    assert table["person"][1] == 0.5 and table["person"][9] == pytest.approx(2 / 3)
    assert np.isnan(table["person"][2])
    assert table["probability"][9] == pytest.approx(2.9 / 3) and table["high"][9] == 1


@pytest.mark.parametrize(
    "probability, message",
    [
        ([0.1, np.nan], "NaN"),
        ([0.1, 3.0], "logits"),
        ([0.1], "compare at the target's size"),
    ],
)
def test_reliability_refuses(probability, message):
    with pytest.raises(ValueError, match=message):
        calibration.reliability_bins(np.array(probability), np.array([0, 1]))


@pytest.mark.parametrize("bold", [0.4, 1.0, 2.5])
def test_the_temperature_that_was_put_in_is_found(bold):
    random = np.random.default_rng(0)
    honest = random.normal(0, 2, 200_000)  # logits
    target = (random.random(len(honest)) < expit(honest)).astype(np.uint8)
    said = expit(honest * bold)
    assert calibration.fit_temperature(said, target) == pytest.approx(bold, rel=0.02)


def test_temperature_leaves_255_out_and_minimises_the_likelihood():
    random = np.random.default_rng(1)
    probability = random.random(3000)
    target = (random.random(3000) < 0.7 * probability + 0.1).astype(np.uint8)
    best = calibration.fit_temperature(probability, target)
    tempered = {t: expit(logit(probability) / t) for t in (best / 1.1, best, best * 1.1)}
    costs = {t: -np.log(np.where(target, p, 1 - p)).mean() for t, p in tempered.items()}
    assert min(costs, key=costs.get) == best
    more = np.r_[probability, np.full(500, 0.99)], np.r_[target, np.full(500, 255)]
    assert calibration.fit_temperature(*more) == pytest.approx(best)


def test_temperature_refuses_what_has_no_answer():
    with pytest.raises(ValueError, match="both person and background"):
        calibration.fit_temperature(np.array([0.4, 0.9]), np.array([1, 1]))
    with pytest.raises(ValueError, match="logits"):
        calibration.fit_temperature(np.array([0.4, 9.0]), np.array([1, 0]))
