"""The options of a run, each proven on a network of 8,000 weights: accumulation, stopping, schedules, precision, ..."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from faceseg_utils import training
from faceseg_utils.config import TrainConfig
from faceseg_utils.dataset import Batch
from faceseg_utils.engine import device, loader
from faceseg_utils.engine.loader import cuts, steps_per_epoch
from faceseg_utils.losses import LOSSES
from faceseg_utils.model import UNet
from faceseg_utils.training import train, train_step

pytestmark = pytest.mark.usefixtures("small_network")


@pytest.fixture
def config(portraits):
    return TrainConfig(  # float32: sums are compared, and "auto" would be bf16 on CPUs with matrix units
        model="unet", pretrained=False, dataset=str(portraits), size=(32, 32), batch_size=4, epochs=2, limit=12,
        precision="float32",
    )  # fmt: skip


def weights(run) -> dict:
    return torch.load(run / "last.pt", weights_only=True)["model"]


# --- Batches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("photos", [1, 12, 13, 15, 16])
@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("accumulate", [1, 3])
def test_every_photo_counts_once_in_its_step(config, photos, ranks, accumulate):
    """Whatever the sizes: the shares of a step's photos are equal and add up to what the two divisions take off."""
    config = replace(config, accumulate=accumulate)
    taken = [cuts(photos, config, 0, rank, ranks) for rank in range(ranks)]
    assert {len(batches) for batches in taken} == {math.ceil(photos / 4)}
    steps = {}
    for batches in taken:
        for number, (numbers, share) in enumerate(batches):
            assert numbers, "a process without a photo takes one that counts for nothing"
            if share:
                steps.setdefault(number // accumulate, []).extend((photo, share) for photo in numbers)
    assert len(steps) == steps_per_epoch(photos, config)
    for step in steps.values():
        assert len({share for _, share in step}) == 1
        assert sum(share for _, share in step) == pytest.approx(ranks * accumulate)
    assert sorted(photo for step in steps.values() for photo, _ in step) == list(range(photos))


def test_the_loader_yields_batches_that_know_their_photos(config):
    photos, _, _ = loader.datasets(config)
    batches = cuts(len(photos), config, epoch=3)
    for cut, batch in zip(batches, loader.new_loader(photos, batches, torch.device("cpu")), strict=True):
        assert isinstance(batch, Batch) and batch.share == cut.share
        assert batch.names == [photos.items[i].image.name for i in cut.numbers]
        for i, x, y in zip(cut.numbers, batch.x, batch.y):
            assert torch.equal(x, photos[i][0]) and torch.equal(y, photos[i][1])


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")  # of Python 3.12: what workers are made by
def test_workers_prepare_the_same_photos(config, tmp_path, monkeypatch):
    alone = train(config, tmp_path / "alone", device="cpu")
    monkeypatch.setattr(loader, "data_workers", lambda *_: 2)
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
        (8, 1, "batch_size=4 with accumulate=2, the same photos per step"),
        (6, 2, "batch_size=3 with accumulate=4, the same photos per step"),
        (5, 1, "batch_size=1 with accumulate=5, the same photos per step"),
        (1, 8, "a smaller size"),
    ],
)
def test_too_little_memory_proposes_what_fits(config, batch, accumulate, advice, tmp_path, monkeypatch):
    def full(*_):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setitem(training.LOSSES, "bce+dice", full)
    with pytest.raises(RuntimeError, match=rf"out of GPU memory with batch {batch} at \(32, 32\): try {advice}"):
        train(replace(config, batch_size=batch, accumulate=accumulate), tmp_path / "run", device="cpu")


# --- Stopping and watching -------------------------------------------------------------------------------------------


ONE_PHOTO = pd.Index(["00"], name="id")


def scripted(monkeypatch, scores):
    """The monitor Dice of every epoch as we say, and the validation Dice after the last."""
    scores = iter(scores)

    def together(*_):
        return pd.DataFrame({"dice": [next(scores)], "iou": 0.5, "boundary_f1": 0.5, "loss": 0.5}, ONE_PHOTO)

    monkeypatch.setattr(training, "evaluate_together", together)


def files(run) -> dict:
    """Content and time of every file of a run."""
    return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in run.rglob("*") if file.is_file()}


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
    before = files(tmp_path / "run")
    scripted(monkeypatch, [])
    done = train(config, tmp_path / "run", resume=True, device="cpu")
    assert len(done.metrics) == 5 and files(tmp_path / "run") == before, "a run that has stopped stays stopped"


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


# --- The average of the weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.3, 0.998])
def test_the_average_forgets_faster_in_the_first_steps(config, decay, tmp_path, monkeypatch):
    """It keeps 1 - 9 / (9 + n) of itself, n the steps before this one, and at most `ema`; statistics included."""
    seen, take = [], training.train_step

    def noting(model, *arguments):
        answer = take(model, *arguments)
        seen.append({key: value.clone() for key, value in model.state_dict().items()})
        return answer

    monkeypatch.setattr(training, "train_step", noting)
    done = train(replace(config, ema=decay, epochs=3, learning_rate=0.1), tmp_path / "run", device="cpu")
    found = torch.load(done.folder / "last.pt", weights_only=True)["average"]
    expected = seen[0]
    for n, weights in enumerate(seen):
        keep = min(decay, 1 - 9 / (9 + n))
        expected = {key: keep * expected[key] + (1 - keep) * weights[key] for key in weights}
    assert len(seen) == 9
    for key, value in expected.items():
        value = seen[-1][key] if key.endswith("num_batches_tracked") else value
        torch.testing.assert_close(found[f"module.{key}"], value, rtol=1e-4, atol=1e-5)


# --- Schedules and precision -----------------------------------------------------------------------------------------


def rates(config, steps: int) -> list[float]:
    """The learning rates of that many steps."""
    optimizer, schedule = training.build_optimizer(config, torch.nn.Linear(1, 1), steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("steps", [1, 4, 5, 100])  # torch's OneCycleLR alone divides by zero at 5
def test_one_cycle_of_any_length(config, steps):
    found = rates(config, steps)
    if steps == 100:
        assert np.argmax(found) == 19 and max(found) == pytest.approx(config.learning_rate)
        assert found[0] < config.learning_rate / 20 and found[-1] < config.learning_rate / 1000


@pytest.mark.parametrize("warmup", [0.05, 0.3])
def test_cosine_rises_in_a_line_and_falls_in_half_a_cosine(config, warmup):
    found = rates(replace(config, schedule="cosine", warmup=warmup, learning_rate=0.01), 100)
    top = int(np.argmax(found))
    assert top == round(100 * warmup) and found[top] == pytest.approx(0.01)
    assert np.allclose(np.diff(found[: top + 1]), found[0]) and found[0] > 0
    half = (100 + top) // 2
    assert found[half] == pytest.approx(0.005, rel=0.05) and found[-1] < 1e-4
    assert np.all(np.diff(found[top:]) < 0)


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


def half_precision(*arguments):
    """What `new_accelerator` gives on a GPU without bf16, but on the CPU: fp16 with a scaler of the loss."""
    accelerator = device.new_accelerator("cpu", "float32", *arguments[2:])
    accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    accelerator.native_amp, accelerator.state._mixed_precision = True, "fp16"
    return accelerator


def test_a_step_in_half_precision():
    """The scaled loss moves the weights as the plain one does; a gradient that overflows moves nothing."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 16, 16, generator=random)
    batch = Batch(x, torch.randint(0, 2, (4, 16, 16), generator=random), list("abcd"), 0.25)
    torch.manual_seed(0)
    networks = [UNet(width=4, depth=2)]
    networks.append(UNet(width=4, depth=2))
    networks[1].load_state_dict(networks[0].state_dict())
    start = [parameter.detach().clone() for parameter in networks[0].parameters()]
    for network, new in zip(networks, (half_precision, device.new_accelerator)):
        accelerator = new("cpu", "float32")
        model, optimizer = accelerator.prepare(network, torch.optim.SGD(network.parameters(), lr=0.1))
        logits, losses = train_step(model, batch, LOSSES["bce+dice"], optimizer, accelerator, clip=1.0)
        assert losses.dtype == torch.float32 and losses.isfinite().all()
        if new is half_precision:
            assert logits.abs().max() < 65504 and not optimizer.step_was_skipped
            moved = [parameter.detach().clone() for parameter in network.parameters()]
            accelerator.scaler.update(2.0**40)
            train_step(model, batch, LOSSES["bce+dice"], optimizer, accelerator)
            assert optimizer.step_was_skipped and accelerator.scaler.get_scale() == 2.0**39
            assert all(torch.equal(a, b) for a, b in zip(moved, network.parameters()))
    for a, b, before in zip(moved, networks[1].parameters(), start):
        torch.testing.assert_close(a, b.detach(), rtol=0, atol=2e-3)
        assert (b.numel() < 3) or not torch.equal(a, before)


@pytest.mark.parametrize("first", ["fp16", "float32"])
def test_a_run_goes_on_in_another_precision(config, first, tmp_path, monkeypatch):
    """Begun on one kind of GPU, resumed on another, as happens where machines are lent: the scaler comes or goes."""
    kinds = {"fp16": half_precision, "float32": device.new_accelerator}
    second = "float32" if first == "fp16" else "fp16"

    def lent_for_one_epoch(history, _):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "new_accelerator", kinds[first])
    with pytest.raises(KeyboardInterrupt, match="1 epoch is kept"):
        train(config, tmp_path / "run", device="cpu", watch=lent_for_one_epoch)
    state = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    assert ("scaler" in state) == (first == "fp16")
    monkeypatch.setattr(training, "new_accelerator", kinds[second])
    monkeypatch.setattr(training.checkpoint, "revision", lambda: "0123456789ab")
    done = train(config, tmp_path / "run", resume=True, device="cpu")
    assert done.metrics["precision"].tolist() == ["fp16" if kind == "fp16" else "no" for kind in (first, second)]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["precision"] == done.metrics["precision"].tolist()
    assert summary["revision"] == done.metrics["revision"].tolist() and summary["revision"][1] == "0123456789ab"
    assert isinstance(summary["device"], str), "where nothing changed there is one value"
