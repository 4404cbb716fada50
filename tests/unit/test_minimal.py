"""The whole training in one file: the same losses as the package, the same score, and short enough to be read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from faceseg_utils import minimal, training
from faceseg_utils.config import PRESETS
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.dice import dice_score
from faceseg_utils.engine.loader import datasets


@pytest.fixture
def small(make_dataset):
    own = str(make_dataset("own", 12))
    return replace(PRESETS["report-default"], dataset=own, size=(64, 64), epochs=2, precision="float32")


def pairs(data):
    return [(item.image, item.mask) for item in data.items]


def losses_of_the_package(config, folder, monkeypatch):
    """The loss of every step, as `train` takes it."""
    found, step = [], training.train_step

    def recorded(model, batch, *rest):
        logits, losses = step(model, batch, *rest)
        found.append((batch.share * losses).sum().item())
        return logits, losses

    monkeypatch.setattr(training, "train_step", recorded)
    return found, training.train(config, folder, device="cpu")


def test_the_losses_are_those_of_the_package(small, tmp_path, monkeypatch):
    learn, _, val = datasets(small)
    losses, scores = minimal.train(pairs(learn), pairs(val), tmp_path / "best.pt", size=64, epochs=2)
    expected, trained = losses_of_the_package(small, tmp_path / "run", monkeypatch)
    assert len(losses) == len(expected) == 2 * 3
    assert losses == pytest.approx(expected, rel=1e-5)
    assert scores == pytest.approx(trained.metrics["val_dice"].tolist(), abs=2e-3)
    kept = torch.load(tmp_path / "best.pt", weights_only=True)
    assert kept.keys() == trained.segmenter.network.state_dict().keys()


def test_the_split_is_that_of_the_report(make_dataset):
    own = make_dataset("own", 25)
    learn, val = minimal.split(own / "images", own / "masks")
    assert [photo.stem for photo, _ in val] == PortraitDataset(own, "val").stems
    assert [photo.stem for photo, _ in learn] == PortraitDataset(own, "train").stems


def test_dice_is_that_of_the_package():
    random = np.random.default_rng(0)
    for _ in range(20):
        a, b = (random.random((2, 8, 8)) < random.random()).astype(np.uint8)
        assert minimal.dice(a, b) == pytest.approx(dice_score(a, b)[0])
    nothing = np.zeros((8, 8), np.uint8)
    assert minimal.dice(nothing, nothing) == 1


@pytest.mark.parametrize("shape", [(48, 40), (40, 48), (100, 33), (64, 64), (31, 130)])
def test_masks_come_back_at_the_size_of_the_photo(shape):
    mask = minimal.predict(lambda x: x[:, :1] - 0.5, np.full((*shape, 3), 200, np.uint8), 64)
    assert mask.shape == shape and mask.all()  # no black padding is left in it


def test_it_can_be_read_at_one_sitting():
    text = Path(minimal.__file__).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150 and "import faceseg_utils" not in text and "from faceseg_utils" not in text
