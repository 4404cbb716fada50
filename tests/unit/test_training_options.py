"""The options of a run, each proven on a network of 8,000 weights: accumulation, stopping, schedules, precision, ..."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from faceseg_utils import training
from faceseg_utils.engine import device
from faceseg_utils.engine.loader import cuts
from faceseg_utils.config import TrainConfig
from faceseg_utils.training import train

pytestmark = pytest.mark.usefixtures("small_network")


@pytest.fixture
def config(portraits):
    return TrainConfig(
        model="unet", pretrained=False, dataset=str(portraits), size=(32, 32), batch_size=4, epochs=2, limit=12
    )


def weights(run) -> dict:
    return torch.load(run / "last.pt", weights_only=True)["model"]


# --- Batches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("photos", [1, 12, 13, 15, 16])
@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_every_photo_counts_once_in_its_step(config, photos, ranks, accumulate):
    """Whatever the sizes: the weights of a step's photos are equal and add up to what the two divisions take off."""
    config = replace(config, accumulate=accumulate)
    shares = [Batches(photos, config, rank, ranks) for rank in range(ranks)]
    assert {len(list(share)) for share in shares} == {len(shares[0])} == {math.ceil(photos / 4)}
    steps = {}
    for share in shares:
        for number, batch in enumerate(share):
            if weight := share.weight(number):
                steps.setdefault(number // accumulate, []).extend((photo, weight) for photo in batch)
    for step in steps.values():
        assert len({weight for _, weight in step}) == 1
        assert sum(weight for _, weight in step) == pytest.approx(ranks * accumulate)
    assert sorted(photo for step in steps.values() for photo, _ in step) == list(range(photos))


def test_workers_prepare_the_same_photos(config, tmp_path, monkeypatch):
    alone = train(config, tmp_path / "alone", device="cpu")
    monkeypatch.setattr(batches, "data_workers", lambda *_: 2)
    helped = train(config, tmp_path / "helped", device="cpu")
    a, b = weights(alone.folder), weights(helped.folder)
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_workers_only_beside_a_gpu():
    assert device.data_workers(torch.device("cpu")) == 0
    assert device.data_workers(torch.device("mps")) == 0


# --- Accumulation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [16, 13, 6])  # whole steps; a last step of five photos; less than one step
def test_accumulated_batches_move_as_one_large_batch(config, limit, tmp_path, no_batch_statistics):
    config = replace(config, limit=limit, ema=0.9)
    large = train(replace(config, batch_size=8), tmp_path / "large", device="cpu")
    small = train(replace(config, batch_size=2, accumulate=4), tmp_path / "small", device="cpu")
    other = train(replace(config, batch_size=2), tmp_path / "other", device="cpu")
    for name in ("learning_rate", "train_loss", "val_loss"):
        np.testing.assert_allclose(large.metrics[name], small.metrics[name], rtol=1e-4)
    a, b, c = (weights(run.folder) for run in (large, small, other))
    assert all(torch.allclose(a[key], b[key], atol=1e-4) for key in a)
    assert not all(torch.allclose(a[key], c[key], atol=1e-3) for key in a), "more steps end elsewhere"


@pytest.mark.parametrize(
    ("batch", "accumulate", "advice"),
    [
        (8, 1, "batch_size=4 with accumulate=2, the same photos a step"),
        (6, 2, "batch_size=3 with accumulate=4, the same photos a step"),
        (5, 1, "batch_size=1 with accumulate=5, the same photos a step"),
        (1, 8, "a smaller size"),
    ],
)
def test_too_little_memory_proposes_what_fits(config, batch, accumulate, advice, tmp_path, monkeypatch):
    def full(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(training, "photo_losses", full)
    with pytest.raises(RuntimeError, match=rf"out of GPU memory with batch {batch} at \(32, 32\): try {advice}"):
        train(replace(config, batch_size=batch, accumulate=accumulate), tmp_path / "run", device="cpu")


# --- Stopping and watching -------------------------------------------------------------------------------------------


def scripted(monkeypatch, scores):
    """The monitor Dice of every epoch as we say, and the validation Dice after the last."""
    scores = iter(scores)

    def together(*_):
        return pd.DataFrame({"dice": [next(scores)], "iou": 0.5, "boundary_f1": 0.5, "report_dice": 0.5, "loss": 0.5})

    monkeypatch.setattr(training, "_evaluate_together", together)


SCORES = [0.5, 0.7, 0.6, 0.65, 0.69, 0.9]  # the best of the first five is the second


@pytest.mark.parametrize(("patience", "epochs"), [(0, 6), (1, 3), (2, 4), (3, 5), (4, 6)])
def test_patience(config, patience, epochs, tmp_path, monkeypatch):
    scripted(monkeypatch, [*SCORES, 1.0])
    done = train(replace(config, limit=4, epochs=6, patience=patience), tmp_path / "run", device="cpu")
    assert done.metrics["val_dice"].tolist() == SCORES[:epochs]
    summary = json.loads((done.folder / "summary.json").read_text())
    assert summary["best_epoch"] == np.argmax(SCORES[:epochs])


def test_patience_goes_on_counting_after_resume(config, tmp_path, monkeypatch):
    config = replace(config, limit=4, epochs=6, patience=3)

    def power_cut(history, _):
        if len(history) == 4:
            raise KeyboardInterrupt

    scripted(monkeypatch, SCORES)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", device="cpu", watch=power_cut)
    scripted(monkeypatch, [*SCORES[4:], 1.0])
    again = train(config, tmp_path / "run", resume=True, device="cpu")
    assert again.metrics["val_dice"].tolist() == SCORES[:5]
    scripted(monkeypatch, [1.0])
    done = train(config, tmp_path / "run", resume=True, device="cpu")
    assert len(done.metrics) == 5, "a run that has stopped stays stopped"


def test_watch_sees_every_epoch_after_its_checkpoint(config, tmp_path):
    seen = []

    def watch(history, segmenter):
        saved = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
        assert history.to_dict("records") == saved["history"]
        assert torch.equal(segmenter.network.head.weight, saved["model"]["head.weight"])
        seen.append(len(history))

    train(config, tmp_path / "run", device="cpu", watch=watch)
    assert seen == [1, 2]


def test_watch_that_fails_does_not_lose_the_run(config, tmp_path):
    calls = []

    def watch(history, segmenter):
        calls.append(len(history))
        raise TypeError("no such figure")

    with pytest.warns(UserWarning, match="watch failed .TypeError: no such figure.; the run goes on without it"):
        done = train(config, tmp_path / "run", device="cpu", watch=watch)
    assert calls == [1] and len(done.metrics) == 2


# --- Schedules and precision -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("warmup", [0.05, 0.3])
def test_cosine_rises_in_a_line_and_falls_in_half_a_cosine(config, warmup):
    config = replace(config, schedule="cosine", warmup=warmup, learning_rate=0.01)
    optimizer, schedule = training.build_optimizer(config, torch.nn.Linear(1, 1), 100)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    top = int(np.argmax(rates))
    assert top == round(100 * warmup) and rates[top] == pytest.approx(0.01)
    assert np.allclose(np.diff(rates[: top + 1]), rates[0]) and rates[0] > 0
    half = (100 + top) // 2
    assert rates[half] == pytest.approx(0.005, rel=0.05) and rates[-1] < 1e-4
    assert np.all(np.diff(rates[top:]) < 0)


@pytest.mark.parametrize(("accumulate", "steps"), [(1, 8), (2, 4), (3, 4)])  # four batches an epoch, two epochs
def test_schedule_moves_once_a_step(config, accumulate, steps, tmp_path):
    config = replace(config, limit=16, accumulate=accumulate)
    done = train(config, tmp_path / "run", device="cpu")
    state = torch.load(done.folder / "last.pt", weights_only=True)
    assert state["schedule"]["last_epoch"] == steps
    assert {float(part["step"]) for part in state["optimizer"]["state"].values()} == {steps}


def test_precision_can_be_chosen_run_by_run(config, tmp_path, monkeypatch):
    """Also one after the other in one process, where accelerate would keep the first one's."""
    seen = []
    monkeypatch.setattr(torch.nn.Conv2d, "forward", _noting(seen, torch.nn.Conv2d.forward))
    for precision, word, dtype in (("float32", "no", torch.float32), ("bf16", "bf16", torch.bfloat16)):
        seen.clear()
        done = train(replace(config, limit=4, epochs=1, precision=precision), tmp_path / precision, device="cpu")
        assert json.loads((done.folder / "summary.json").read_text())["precision"] == word
        assert seen[0] == dtype and seen[-1] == torch.float32, "scores are always those of float32"


def _noting(seen, forward):
    def noted(self, x):
        y = forward(self, x)
        seen.append(y.dtype)
        return y

    return noted


def test_precision_is_decided_in_one_place(monkeypatch):
    monkeypatch.setattr(device, "has_bf16_units", lambda: True)
    assert device.mixed_precision("cpu") == "bf16" and device.mixed_precision("cpu", "float32") == "no"
    monkeypatch.setattr(device, "has_bf16_units", lambda: False)
    assert device.mixed_precision("cpu") == "no" and device.mixed_precision("cpu", "bf16") == "bf16"
