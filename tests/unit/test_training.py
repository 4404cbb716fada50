"""Training on a folder of small made-up portraits: learns, repeats, resumes, refuses."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from faceseg_utils import batches, catalog, checkpoint, guardrails, training
from faceseg_utils.model import Segmenter
from faceseg_utils.training import PRESETS, TrainConfig, train

RUN = """
import json, sys, torch
from faceseg_utils.training import TrainConfig, train
torch.set_num_threads(1)
config = TrainConfig(**json.loads(sys.argv[1]))
if __name__ == "__main__":
    done = train(config, sys.argv[2], resume="resume" in sys.argv, device="cpu")
"""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Sums have the same order in every process that a test compares; and small nets are no slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty "portraits" of 40 x 48 pixels: a light ellipse on a dark ground, as images/ and masks/."""
    root = tmp_path_factory.mktemp("portraits")
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:48, :40]
    for name in ("images", "masks"):
        (root / name).mkdir()
    for i in range(20):
        y, x, height, width = random.uniform((20, 15, 12, 8), (30, 25, 20, 14))
        mask = ((rows - y) / height) ** 2 + ((columns - x) / width) ** 2 < 1
        photo = np.where(mask[..., None], (220, 170, 140), (40, 60, 90)) + random.normal(0, 12, (48, 40, 3))
        Image.fromarray(photo.clip(0, 255).astype(np.uint8)).save(root / "images" / f"{i:02d}.png")
        Image.fromarray(mask.astype(np.uint8) * 255).save(root / "masks" / f"{i:02d}.png")
    return root


@pytest.fixture
def config(folder):
    return TrainConfig(
        model="lite0", pretrained=False, dataset=str(folder), size=(64, 64), batch_size=4, epochs=2, ema=0.9,
    )  # fmt: skip


def weights(run) -> dict:
    return torch.load(run / "last.pt", weights_only=True)["model"]


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def numbers(run) -> pd.DataFrame:
    return pd.read_csv(run / "metrics.csv").drop(columns="seconds")


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    """A run of two epochs that nobody disturbed: what resumed and repeated runs are compared with."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    config = TrainConfig(
        model="lite0", pretrained=False, dataset=str(folder), size=(64, 64), batch_size=4, epochs=2, ema=0.9,
    )  # fmt: skip
    return train(config, run, device="cpu")


def stop_after(monkeypatch, epochs: int, error=KeyboardInterrupt):
    """Stop as Ctrl-C would, in the middle of the epoch after `epochs` whole ones."""
    whole, done = training._train_epoch, []

    def interrupted(*args):
        if len(done) == epochs:
            raise error
        done.append(1)
        return whole(*args)

    monkeypatch.setattr(training, "_train_epoch", interrupted)


# --- Configuration ----------------------------------------------------------------------------------------------------


def test_config_survives_json(config):
    again = TrainConfig(**json.loads(json.dumps(asdict(config))))
    assert again == config and again.size == (64, 64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": "hinge"}, "loss='hinge': choose one of bce, dice, bce\\+dice"),
        ({"schedule": "linear"}, "schedule='linear': choose one of constant, one-cycle, cosine"),
        ({"batch_size": 0}, "batch_size=0: must be above 0"),
    ],
)
def test_config_refuses(config, change, message):
    with pytest.raises(ValueError, match=message):
        replace(config, **change)


def test_presets_of_the_report():
    default, tuned = PRESETS["report-default"], PRESETS["report-tuned"]
    assert (default.batch_size, default.learning_rate, default.epochs, default.size) == (4, 1e-3, 150, (320, 320))
    assert (tuned.batch_size, tuned.learning_rate, tuned.epochs) == (8, 3e-4, 100)
    for preset in (default, tuned):
        assert (preset.optimizer, preset.schedule, preset.loss, preset.holdout) == ("adam", "constant", "bce", 0)


# --- Photos -----------------------------------------------------------------------------------------------------------


def test_no_photo_is_in_two_parts(config):
    train_data, monitor, val = (set(part.stems) for part in training.datasets(config))
    assert len(train_data) + len(monitor) + len(val) == 20 and monitor
    assert not train_data & monitor and not train_data & val and not monitor & val


def test_holdout_is_the_same_for_every_seed_and_limit(config):
    _, monitor, _ = training.datasets(config)
    few, other, _ = training.datasets(replace(config, seed=5, limit=4))
    assert monitor.stems == other.stems and len(few) == 4


def test_photos_of_one_person_are_held_out_together(config, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "own")
    people = [i // 4 for i in range(20)]
    table = pd.DataFrame({"id": [f"{i:02d}" for i in range(20)], "seed": people})
    table.to_csv(tmp_path / "own" / "portraits.csv", index=False)
    train_data, monitor, _ = training.datasets(replace(config, dataset=str(tmp_path / "own"), holdout=0.3))
    learned, held = ({people[int(stem)] for stem in part.stems} for part in (train_data, monitor))
    assert held and not learned & held


def test_without_holdout_validation_chooses(config):
    train_data, monitor, val = training.datasets(replace(config, holdout=0.0))
    assert monitor.stems == val.stems and len(train_data) == 18


def test_only_training_photos_are_augmented(config):
    train_data, monitor, val = training.datasets(config)
    for part, moves in ((train_data, True), (monitor, False), (val, False)):
        first = part[0][0]
        part.epoch = 1
        assert torch.equal(first, part[0][0]) != moves


# --- A run ------------------------------------------------------------------------------------------------------------


def test_run_folder(finished, config):
    run = finished.folder
    assert {p.name for p in run.iterdir()} == {
        "config.json", "metrics.csv", "last.pt", "model", "val_scores.csv", "summary.json",
    }  # fmt: skip
    assert TrainConfig(**json.loads((run / "config.json").read_text())) == config
    table = pd.read_csv(run / "metrics.csv")
    assert table["epoch"].tolist() == [0, 1]
    assert {"train_loss", "train_dice", "val_loss", "val_dice", "learning_rate", "seconds"} <= set(table)
    scores = pd.read_csv(run / "val_scores.csv", dtype={"id": str})
    assert scores["id"].tolist() == ["00", "10"] and len(finished.val_scores) == 2
    summary = json.loads((run / "summary.json").read_text())
    assert summary["dice"] == pytest.approx(finished.dice, abs=1e-6)
    assert summary["best_epoch"] == table["val_dice"].idxmax()
    assert summary["photos"] == {"train": 16, "val": 2}


def test_saved_model_gives_the_reported_scores(finished, config):
    _, _, val = training.datasets(config)
    scores = training.evaluate(Segmenter.load(finished.folder / "model"), val, batch_size=1)
    assert np.allclose(scores["dice"], finished.val_scores["dice"])


def test_it_learns(config, tmp_path):
    done = train(replace(config, pretrained=True, epochs=6, ema=0.0), tmp_path / "run", device="cpu")
    assert done.dice > 0.8
    assert done.metrics["train_loss"].iloc[-1] < 0.7 * done.metrics["train_loss"].iloc[0]


def test_same_seed_same_numbers(finished, config, tmp_path):
    again = train(config, tmp_path / "again", device="cpu")
    assert same(weights(finished.folder), weights(again.folder))
    pd.testing.assert_frame_equal(numbers(finished.folder), numbers(again.folder))


def test_seed_decides_weights_order_and_augmentation(config):
    first, other = config, replace(config, seed=1)
    a, b, c = (training.new_segmenter(x, ("background", "person")) for x in (first, first, other))
    states = [segmenter.network.state_dict() for segmenter in (a, b, c)]
    assert same(*states[:2]) and not same(*states[1:])
    orders = [batches.epoch_order(50, x.seed, 0) for x in (first, first, other)]
    assert orders[0] == orders[1] != orders[2] and sorted(orders[0]) == list(range(50))
    photos = [training.datasets(x)[0][0][0] for x in (first, first, other)]
    assert torch.equal(*photos[:2]) and not torch.equal(*photos[1:])


def test_existing_run_is_not_overwritten(finished, config):
    before = weights(finished.folder)
    with pytest.raises(FileExistsError, match="holds a run already: resume=True goes on with it"):
        train(config, finished.folder, device="cpu")
    assert same(before, weights(finished.folder))


@pytest.mark.parametrize("steps", [1, 4, 5, 100])  # torch's OneCycleLR alone divides by zero at 5
def test_one_cycle_of_any_length(config, steps):
    optimizer, schedule = training.build_optimizer(config, torch.nn.Linear(1, 1), steps)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    if steps == 100:
        assert np.argmax(rates) == 19 and max(rates) == pytest.approx(config.learning_rate)
        assert rates[0] < config.learning_rate / 20 and rates[-1] < config.learning_rate / 1000


# --- Evaluation -------------------------------------------------------------------------------------------------------


def test_evaluation_leaves_the_network_as_it_was(finished, config):
    _, _, val = training.datasets(config)
    segmenter = finished.segmenter
    before = {key: value.clone() for key, value in segmenter.network.state_dict().items()}
    segmenter.network.train()
    first = training.evaluate(segmenter, val)
    assert same(before, segmenter.network.state_dict())
    pd.testing.assert_frame_equal(first, training.evaluate(segmenter, val))


def test_evaluation_is_at_native_resolution(finished, config):
    _, _, val = training.datasets(config)
    scores = training.evaluate(finished.segmenter, val)
    for i, stem in enumerate(val.stems):
        photo, mask = val.read(i)
        prediction = finished.segmenter.classify(photo)
        assert prediction.shape == mask.shape == (48, 40)
        both = (prediction & mask).sum()
        assert scores.loc[stem, "dice"] == pytest.approx(2 * both / (prediction.sum() + mask.sum()), abs=0.01)


def test_nothing_to_evaluate(finished, config):
    _, _, val = training.datasets(config)
    with pytest.raises(ValueError, match="no photos to evaluate"):
        training.evaluate(finished.segmenter, val.subset([]))


# --- Resume -----------------------------------------------------------------------------------------------------------


def test_interrupted_run_resumes_bit_for_bit(finished, config, tmp_path, monkeypatch):
    stop_after(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", device="cpu")
    assert len(numbers(tmp_path / "run")) == 1
    monkeypatch.undo()
    train(config, tmp_path / "run", resume=True, device="cpu")
    assert same(weights(finished.folder), weights(tmp_path / "run"))
    pd.testing.assert_frame_equal(numbers(finished.folder), numbers(tmp_path / "run"))
    for file in ("val_scores.csv", "model/model.safetensors"):
        assert (finished.folder / file).read_bytes() == (tmp_path / "run" / file).read_bytes()


def test_run_stopped_before_its_first_checkpoint_starts_over(finished, config, tmp_path, monkeypatch):
    stop_after(monkeypatch, 0)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", device="cpu")
    monkeypatch.undo()
    train(config, tmp_path / "run", resume=True, device="cpu")
    assert same(weights(finished.folder), weights(tmp_path / "run"))


@pytest.mark.slow
def test_killed_run_resumes_bit_for_bit(finished, config, tmp_path):
    """kill -9, which no program can prepare for, once the first epoch is on disk."""
    (tmp_path / "run.py").write_text(RUN)
    run = tmp_path / "run"
    command = [sys.executable, tmp_path / "run.py", json.dumps(asdict(config)), run]
    process = subprocess.Popen([*map(str, command)], env=_environment(), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (run / "metrics.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    assert not (run / "summary.json").exists() and len(numbers(run)) == 1

    train(config, run, resume=True, device="cpu")
    assert same(weights(finished.folder), weights(run))
    pd.testing.assert_frame_equal(numbers(finished.folder), numbers(run))


@pytest.mark.parametrize("rest", [0, 100, 100_000])
def test_damaged_checkpoint_is_refused(finished, config, tmp_path, rest):
    run = shutil.copytree(finished.folder, tmp_path / "run")
    (run / "last.pt").write_bytes((run / "last.pt").read_bytes()[:rest])
    with pytest.raises(ValueError, match="last.pt: damaged, or not a checkpoint .*train again") as error:
        train(config, run, resume=True, device="cpu")
    assert "\n" not in str(error.value)


def test_foreign_checkpoint_is_refused(finished, config, tmp_path):
    run = shutil.copytree(finished.folder, tmp_path / "run")
    torch.save({"weights": torch.zeros(3)}, run / "last.pt")
    with pytest.raises(ValueError, match="last.pt: damaged, or not a checkpoint of this course"):
        train(config, run, resume=True, device="cpu")


def test_checkpoint_that_would_run_code_is_refused(config, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    (tmp_path / "run").mkdir()
    torch.save({"format": 1, "evil": Evil()}, tmp_path / "run" / "last.pt")
    with pytest.raises(ValueError, match="not a checkpoint"):
        train(config, tmp_path / "run", resume=True, device="cpu")
    assert not (tmp_path / "owned").exists()


def test_checkpoint_of_another_format_is_refused(finished, config, tmp_path):
    run = shutil.copytree(finished.folder, tmp_path / "run")
    state = torch.load(run / "last.pt", weights_only=True)
    torch.save(state | {"format": 99}, run / "last.pt")
    with pytest.raises(ValueError, match="checkpoint format 99, this version of the course reads 1"):
        train(config, run, resume=True, device="cpu")


def test_resume_with_another_configuration_is_refused(finished, config):
    with pytest.raises(ValueError, match="saved with learning_rate=0.001, asked for learning_rate=0.1"):
        train(replace(config, learning_rate=0.1), finished.folder, resume=True, device="cpu")


def test_full_disk_keeps_the_last_whole_file(tmp_path, monkeypatch):
    checkpoint.write_whole(tmp_path / "file", "old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(OSError, match=r"file: could not be written \(No space left on device\); free some space"):
        checkpoint.write_whole(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["file"]


# --- Guard rails ------------------------------------------------------------------------------------------------------


def test_loss_that_is_no_number_names_the_photos(config, tmp_path, monkeypatch):
    monkeypatch.setitem(training.dice.LOSSES, "bce+dice", lambda logits, y: logits.sum() * float("nan"))
    with pytest.raises(FloatingPointError, match=r"loss is nan in epoch 1 on the photos (\d\d\.png, ){3}\d\d\.png:"):
        train(config, tmp_path / "run", device="cpu")


def test_overfit_one_batch(config):
    table = guardrails.overfit_one_batch(replace(config, pretrained=True), steps=16, device="cpu")
    assert len(table) == 16 and table["dice"].iloc[-3:].min() > 0.95
    assert table["loss"].iloc[-1] < table["loss"].iloc[0] / 3


def test_overfit_one_batch_shows_masks_that_do_not_belong(config, monkeypatch):
    """Masks of noise cannot be learnt in a few steps: the guard rail must not look green then."""
    read = batches.PortraitDataset.read
    noise = np.random.default_rng(0)

    def wrong(self, index):
        photo, mask = read(self, index)
        return photo, noise.integers(0, 2, mask.shape, dtype=np.uint8)

    monkeypatch.setattr(batches.PortraitDataset, "read", wrong)
    assert guardrails.overfit_one_batch(config, steps=8, device="cpu")["dice"].max() < 0.9


def test_lr_range_test_rises_and_stops(config):
    table = guardrails.lr_range_test(replace(config, clip=0.0), lowest=1e-5, highest=100, steps=12, device="cpu")
    assert table["learning_rate"].is_monotonic_increasing and table["learning_rate"].iloc[0] == pytest.approx(1e-5)
    assert len(table) < 12, "at a learning rate of 100 the loss runs away"


# --- More than one process --------------------------------------------------------------------------------------------


def _environment() -> dict:
    root = str(catalog.course_root())
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": root, "TQDM_DISABLE": "1"}


@pytest.mark.slow
def test_two_processes(finished, config, tmp_path):
    """The same number of steps on the same batches, every photo scored once, one writer."""
    (tmp_path / "run.py").write_text(RUN)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [tmp_path / "run.py", json.dumps(asdict(config)), tmp_path / "run"]
    done = subprocess.run([*map(str, command)], env=_environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[:3000]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["processes"] == 2 and summary["photos"] == {"train": 16, "val": 2}
    one, two = numbers(finished.folder), numbers(tmp_path / "run")
    assert one["learning_rate"].tolist() == pytest.approx(two["learning_rate"].tolist())
    # Batch normalisation sees half a batch in each process, so that losses are near, not equal.
    assert two["train_loss"].tolist() == pytest.approx(one["train_loss"].tolist(), rel=0.2)
    assert done.stdout.count("epoch   1") == 1, "one process reports"
