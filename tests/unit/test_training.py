"""Training on a folder of small made-up portraits: learns, repeats, resumes, refuses."""

import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from faceseg_utils import evaluation, training
from faceseg_utils.engine import loader
from faceseg_utils.probes import guardrails
from faceseg_utils.model import Segmenter
from faceseg_utils.config import PRESETS, TrainConfig
from faceseg_utils.training import train


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
    assert default.padding == tuned.padding == "background"
    for preset in (default, tuned):
        assert (preset.optimizer, preset.schedule, preset.loss, preset.holdout) == ("adam", "constant", "bce", 0)


# --- Photos -----------------------------------------------------------------------------------------------------------


def test_no_photo_is_in_two_parts(config):
    train_data, monitor, val = (set(part.stems) for part in loader.datasets(config))
    assert len(train_data) + len(monitor) + len(val) == 20 and monitor
    assert not train_data & monitor and not train_data & val and not monitor & val


def test_holdout_is_the_same_for_every_seed_and_limit(config):
    _, monitor, _ = loader.datasets(config)
    few, other, _ = loader.datasets(replace(config, seed=5, limit=4))
    assert monitor.stems == other.stems and len(few) == 4


def test_photos_of_one_person_are_held_out_together(config, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "own")
    people = [i // 4 for i in range(20)]
    table = pd.DataFrame({"id": [f"{i:02d}" for i in range(20)], "seed": people})
    table.to_csv(tmp_path / "own" / "portraits.csv", index=False)
    train_data, monitor, _ = loader.datasets(replace(config, dataset=str(tmp_path / "own"), holdout=0.3))
    learned, held = ({people[int(stem)] for stem in part.stems} for part in (train_data, monitor))
    assert held and not learned & held


def test_without_holdout_validation_chooses(config):
    train_data, monitor, val = loader.datasets(replace(config, holdout=0.0))
    assert monitor.stems == val.stems and len(train_data) == 18


def test_extra_photos_are_learned_from_and_never_judge(config, make_dataset, tmp_path):
    extra = make_dataset("own", 6, tmp_path / "extra")
    for file in sorted(extra.glob("*/*")):
        file.rename(file.with_stem(f"more{file.stem}"))
    before, after = loader.datasets(config), loader.datasets(replace(config, extra=str(extra)))
    assert sorted(after[0].stems) == sorted([*before[0].stems, *(f"more{i:02d}" for i in range(6))])
    assert [part.stems for part in after[1:]] == [part.stems for part in before[1:]]
    x, y = after[0][len(before[0])]
    assert x.shape == (3, 64, 64) and set(y.unique().tolist()) <= {0, 1, 255}
    (extra / "images" / "more00.jpg").rename(extra / "images" / f"{before[2].stems[0]}.jpg")
    (extra / "masks" / "more00.png").rename(extra / "masks" / f"{before[2].stems[0]}.png")
    with pytest.raises(ValueError, match=f"holds the photo '{before[2].stems[0]}', which has to judge"):
        loader.datasets(replace(config, extra=str(extra)))


def test_padding_may_count_as_background(config):
    tall = replace(config, size=(96, 64))  # the photos do not fill it
    for padding, values in (("ignore", {0, 1, 255}), ("background", {0, 1})):
        for part in loader.datasets(replace(tall, padding=padding)):
            assert set(torch.cat([mask.flatten() for _, mask in part]).tolist()) == values


def test_training_goes_on_from_saved_weights(finished, config):
    saved = str(finished.folder / "model")
    begun = training.new_segmenter(replace(config, weights=saved, size=(96, 96), seed=7), finished.segmenter.classes)
    assert same(begun.network.state_dict(), finished.segmenter.network.state_dict()) and begun.card.size == (96, 96)


@pytest.mark.parametrize("change", [{"model": "resnet34"}, {"normalise": "unit"}])
def test_weights_of_another_network_are_refused(finished, config, change):
    config = replace(config, weights=str(finished.folder / "model"), **change)
    with pytest.raises(ValueError, match="belong to .*model='lite0'"):
        training.new_segmenter(config, finished.segmenter.classes)


def test_only_training_photos_are_augmented(config):
    train_data, monitor, val = loader.datasets(config)
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
    _, _, val = loader.datasets(config)
    scores = evaluation.evaluate(Segmenter.load(finished.folder / "model"), val, batch_size=1)
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
    orders = [loader.epoch_order(50, x.seed, 0) for x in (first, first, other)]
    assert orders[0] == orders[1] != orders[2] and sorted(orders[0]) == list(range(50))
    photos = [loader.datasets(x)[0][0][0] for x in (first, first, other)]
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
    _, _, val = loader.datasets(config)
    segmenter = finished.segmenter
    before = {key: value.clone() for key, value in segmenter.network.state_dict().items()}
    segmenter.network.train()
    first = evaluation.evaluate(segmenter, val)
    assert same(before, segmenter.network.state_dict())
    pd.testing.assert_frame_equal(first, evaluation.evaluate(segmenter, val))


def test_evaluation_is_at_native_resolution(finished, config):
    _, _, val = loader.datasets(config)
    scores = evaluation.evaluate(finished.segmenter, val)
    for i, stem in enumerate(val.stems):
        photo, mask = val.read(i)
        prediction = finished.segmenter.classify(photo)
        assert prediction.shape == mask.shape == (48, 40)
        both = (prediction & mask).sum()
        assert scores.loc[stem, "dice"] == pytest.approx(2 * both / (prediction.sum() + mask.sum()), abs=0.01)


def test_nothing_to_evaluate(finished, config):
    _, _, val = loader.datasets(config)
    with pytest.raises(ValueError, match="no photos to evaluate"):
        evaluation.evaluate(finished.segmenter, val.subset([]))


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
    read = loader.PortraitDataset.read
    noise = np.random.default_rng(0)

    def wrong(self, index):
        photo, mask = read(self, index)
        return photo, noise.integers(0, 2, mask.shape, dtype=np.uint8)

    monkeypatch.setattr(loader.PortraitDataset, "read", wrong)
    assert guardrails.overfit_one_batch(config, steps=8, device="cpu")["dice"].max() < 0.9


def test_lr_range_test_rises_and_stops(config):
    table = guardrails.lr_range_test(replace(config, clip=0.0), lowest=1e-5, highest=100, steps=12, device="cpu")
    assert table["learning_rate"].is_monotonic_increasing and table["learning_rate"].iloc[0] == pytest.approx(1e-5)
    assert len(table) < 12, "at a learning rate of 100 the loss runs away"
