"""Training on a folder of small made-up portraits: learns, repeats, refuses; and how it is scored.

The network is a U-Net of 8,000 weights, so that a run takes a second.
"""

import json
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from faceseg_utils import training
from faceseg_utils.config import TrainConfig
from faceseg_utils.data import layout
from faceseg_utils.dataset import Batch, PortraitDataset
from faceseg_utils.dice import photo_scores
from faceseg_utils.engine import loader
from faceseg_utils.engine.device import new_accelerator
from faceseg_utils.evaluation import evaluate
from faceseg_utils.losses import LOSSES
from faceseg_utils.model import Segmenter, UNet
from faceseg_utils.network.saved import ModelConfig
from faceseg_utils.probes import guardrails
from faceseg_utils.training import train, train_step

pytestmark = pytest.mark.usefixtures("small_network")
VALIDATION = ["00", "10", "20"]  # of 25 portraits every tenth, sorted as strings


def settings(portraits):
    return TrainConfig(
        model="unet", pretrained=False, dataset=str(portraits), size=(64, 64), batch_size=4, epochs=2, ema=0.9,
        learning_rate=0.02,
    )  # fmt: skip


@pytest.fixture
def config(portraits):
    return settings(portraits)


@pytest.fixture(scope="module")
def finished(portraits, small_network, tmp_path_factory):
    """A run of two epochs that nobody disturbed."""
    return train(settings(portraits), tmp_path_factory.mktemp("runs") / "whole", device="cpu")


@pytest.fixture
def val(portraits):
    return PortraitDataset(str(portraits), "val")


def weights(run) -> dict:
    return torch.load(run / "last.pt", weights_only=True)["model"]


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def numbers(run) -> pd.DataFrame:
    return pd.read_csv(run / "metrics.csv").drop(columns="seconds")


# --- Photos -----------------------------------------------------------------------------------------------------------


def test_no_photo_is_in_two_parts(config):
    train_data, monitor, val = (set(part.stems) for part in loader.datasets(config))
    assert (len(train_data), len(monitor), len(val)) == (20, 2, 3)
    assert len(train_data | monitor | val) == 25


def test_holdout_is_the_same_for_every_seed_and_limit(config):
    _, monitor, _ = loader.datasets(config)
    few, other, _ = loader.datasets(replace(config, seed=5, limit=4))
    assert monitor.stems == other.stems and len(few) == 4


@pytest.mark.parametrize("photos, count", [(20, 5), (7, 3)])
def test_every_person_judges_in_one_fold_and_teaches_in_the_others(photos, count):
    people = [f"{i // 2}" for i in range(2 * photos)]  # two photos each
    pairs = loader.folds(people, count)
    assert sorted(sum((judges for _, judges in pairs), [])) == list(range(2 * photos))
    for numbers, judges in pairs:
        assert sorted(numbers + judges) == list(range(2 * photos))
        assert not {people[i] for i in numbers} & {people[i] for i in judges}
    firsts = [numbers[0] for numbers, _ in pairs]
    assert len(set(firsts)) == count, "who takes the first photo of every fold takes five different ones"
    with pytest.raises(ValueError, match="3 people for 5 folds: take at most 3"):
        loader.folds(["a", "b", "c"])


def test_a_class_that_no_training_photo_shows_is_named(named):
    named("fasseg", count=10)
    run = TrainConfig(dataset="fasseg", view="face", size=(64, 64), holdout=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loader.datasets(run)
    root = named("sample")
    with pytest.warns(UserWarning, match="no photo to learn from shows nose, mouth, eyes: the model cannot learn it"):
        loader.datasets(replace(run, dataset="sample"))
    assert root.is_dir()


def test_photos_of_one_person_are_held_out_together(config, copy_of, portraits):
    own, people = copy_of(portraits), [i // 4 for i in range(25)]
    pd.DataFrame({"id": [f"{i:02d}" for i in range(25)], "seed": people}).to_csv(own / "portraits.csv", index=False)
    train_data, monitor, _ = loader.datasets(replace(config, dataset=str(own), holdout=0.3))
    learned, held = ({people[int(stem)] for stem in part.stems} for part in (train_data, monitor))
    assert held and not learned & held


def test_without_holdout_validation_chooses(config):
    train_data, monitor, val = loader.datasets(replace(config, holdout=0.0))
    assert monitor.stems == val.stems == VALIDATION and len(train_data) == 22


def test_extra_photos_are_learned_from_and_never_judge(config, make_dataset, tmp_path):
    extra = make_dataset("own", 6, tmp_path / "extra")
    for file in sorted(extra.glob("*/*")):
        file.rename(file.with_stem(f"more{file.stem}"))
    before, after = loader.datasets(config), loader.datasets(replace(config, extra=str(extra)))
    assert sorted(after[0].stems) == sorted([*before[0].stems, *(f"more{i:02d}" for i in range(6))])
    assert [part.stems for part in after[1:]] == [part.stems for part in before[1:]]
    x, y = after[0][len(before[0])]
    assert x.shape == (3, 64, 64) and set(y.unique().tolist()) <= {0, 1, 255}
    two = make_dataset("own", 4, tmp_path / "two")
    for file in sorted(two.glob("*/*")):
        file.rename(file.with_stem(f"two{file.stem}"))
    both = loader.datasets(replace(config, extra=f"{extra} + {two}"))[0]
    assert both.stems == [*after[0].stems, *(f"two{i:02d}" for i in range(4))]
    for folder in ("images", "masks"):
        file = next((extra / folder).glob("more00.*"))
        file.rename(file.with_stem(VALIDATION[0]))
    with pytest.raises(ValueError, match=f"holds the photo '{VALIDATION[0]}', which has to judge"):
        loader.datasets(replace(config, extra=str(extra)))


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_photos_are_refused_before_anything_is_written(config, count, make_dataset, tmp_path):
    """Not learned from none, with a loss of NaN and exit code 0."""
    own = make_dataset("own", count)
    with pytest.raises(ValueError, match="add photos") as error:
        train(replace(config, dataset=str(own)), tmp_path / "run", device="cpu")
    assert str(own) in str(error.value) and "\n" not in str(error.value) and not (tmp_path / "run").exists()
    if count == 2:
        assert len(loader.datasets(replace(config, dataset=str(own), holdout=0.0))[0]) == 1


def test_a_view_without_a_name_is_no_view(config, tmp_path):
    with pytest.raises(ValueError, match="has no view ''"):
        train(replace(config, view=""), tmp_path / "run", device="cpu")


def test_padding_may_count_as_background(config):
    tall = replace(config, size=(96, 64))  # the photos do not fill it
    for padding, values in (("ignore", {0, 1, 255}), ("background", {0, 1})):
        photos, _, _ = loader.datasets(replace(tall, padding=padding, augment="none"))
        assert set(torch.cat([mask.flatten() for _, mask in photos]).tolist()) == values


def test_only_training_photos_are_augmented(config):
    train_data, monitor, val = loader.datasets(config)
    first = train_data[0][0]
    train_data.epoch = 1
    assert not torch.equal(first, train_data[0][0])
    assert monitor.transform is None and val.transform is None


# --- One step ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def step():
    """`take(batch, clip=0.0)`: a step of a network by SGD; with the network, and what the network was before."""
    accelerator = new_accelerator("cpu", "float32")
    network = UNet(width=4, depth=2)
    model, optimizer = accelerator.prepare(network, torch.optim.SGD(network.parameters(), lr=1.0))
    model.train()

    def take(batch, clip=0.0):
        return train_step(model, batch, LOSSES["bce+dice"], optimizer, accelerator, clip)

    return take, network


def batch(photos=4, share=0.25):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(photos, 3, 16, 16, generator=random)
    return Batch(x, torch.randint(0, 2, (photos, 16, 16), generator=random), [f"{i}.png" for i in range(photos)], share)


def test_a_step_is_gradient_descent_on_the_mean_loss(step):
    take, network = step
    other = UNet(width=4, depth=2)
    other.load_state_dict(network.state_dict())
    logits, losses = take(batch())
    expected = LOSSES["bce+dice"](other(batch().x), batch().y)
    torch.testing.assert_close(losses, expected.detach())
    assert logits.shape == (4, 1, 16, 16) and not logits.requires_grad and not losses.requires_grad
    expected.mean().backward()
    for mine, theirs in zip(network.parameters(), other.parameters()):
        torch.testing.assert_close(mine, theirs - theirs.grad)
        assert mine.grad is None, "the next step begins afresh"


def test_a_step_is_clipped_and_a_batch_without_a_share_moves_nothing(step):
    take, network = step
    before = [parameter.detach().clone() for parameter in network.parameters()]
    take(batch(share=0.0))
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters()))
    take(batch(share=100.0), clip=0.5)
    moved = sum((a - b).square().sum() for a, b in zip(before, network.parameters())).sqrt()
    assert moved.item() == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_names_the_photos_before_any_weight_is_touched(step, value):
    take, network = step
    before = {key: tensor.clone() for key, tensor in network.named_parameters()}
    spoilt = batch()
    with torch.no_grad():
        network.head.bias.fill_(value)
    with pytest.raises(FloatingPointError, match="the loss is (nan|inf) on the photos 0.png, 1.png, 2.png, 3.png: "):
        take(spoilt)
    with torch.no_grad():
        network.head.bias.copy_(before["head.bias"])
    assert same(before, dict(network.named_parameters()))


def test_a_photo_at_fault_is_named(config, tmp_path, monkeypatch):
    def spoilt(logits, y):
        losses = logits.mean((1, 2, 3))
        return torch.where(torch.arange(len(y)) == 1, float("nan"), losses)

    monkeypatch.setitem(training.LOSSES, "bce+dice", spoilt)
    with pytest.raises(FloatingPointError, match=r"loss is nan on the photos \d\d\.jpg: lower the learning rate"):
        train(config, tmp_path / "run", device="cpu")


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
    assert scores["id"].tolist() == VALIDATION and len(finished.val_scores) == 3
    summary = json.loads((run / "summary.json").read_text())
    assert summary["dice"] == pytest.approx(finished.dice, abs=1e-6)
    assert summary["best_epoch"] == table["val_dice"].idxmax()
    assert summary["photos"] == {"train": 20, "val": 3}


def test_every_epoch_says_where_and_by_which_code_it_was_trained(finished):
    table = pd.read_csv(finished.folder / "metrics.csv")
    summary = json.loads((finished.folder / "summary.json").read_text())
    for name in ("device", "precision", "processes", "revision"):
        assert table[name].nunique() == 1 and str(table[name][0]) == str(summary[name])
    assert summary["device"].startswith("CPU (1 thread, ") and summary["processes"] == 1


def test_saved_model_gives_the_reported_scores(finished, val):
    scores = evaluate(Segmenter.load(finished.folder / "model"), val)
    assert np.allclose(scores["dice"], finished.val_scores["dice"])


def test_it_learns(config, tmp_path):
    done = train(replace(config, epochs=8, ema=0.0), tmp_path / "run", device="cpu")
    assert done.dice > 0.9
    assert done.metrics["train_loss"].iloc[-1] < 0.5 * done.metrics["train_loss"].iloc[0]


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
    before = {file: file.read_bytes() for file in finished.folder.rglob("*.*")}
    line = r"holds a run already: resume=True \(on the command line: --resume\) goes on with it"
    with pytest.raises(FileExistsError, match=line):
        train(config, finished.folder, device="cpu")
    assert {file: file.read_bytes() for file in finished.folder.rglob("*.*")} == before


def test_training_goes_on_from_saved_weights(finished, config):
    saved = str(finished.folder / "model")
    begun = training.new_segmenter(replace(config, weights=saved, size=(96, 96), seed=7), finished.segmenter.classes)
    assert same(begun.network.state_dict(), finished.segmenter.network.state_dict())
    assert begun.config.size == (96, 96)


@pytest.mark.parametrize("change", [{"model": "resnet34"}, {"normalise": "unit"}])
def test_weights_of_another_network_are_refused(finished, config, change):
    config = replace(config, weights=str(finished.folder / "model"), **change)
    with pytest.raises(ValueError, match="belong to .*model='unet'"):
        training.new_segmenter(config, finished.segmenter.classes)


# --- Evaluation -------------------------------------------------------------------------------------------------------


def test_evaluation_leaves_the_network_as_it_was(finished, val):
    segmenter = finished.segmenter
    before = {key: value.clone() for key, value in segmenter.network.state_dict().items()}
    segmenter.network.train()
    first = evaluate(segmenter, val)
    assert same(before, segmenter.network.state_dict()) and segmenter.network.training
    pd.testing.assert_frame_equal(first, evaluate(segmenter, val))


def test_evaluation_is_at_native_resolution(finished, val):
    scores = evaluate(finished.segmenter, val)
    assert scores.index.tolist() == VALIDATION and list(scores) == ["dice", "iou", "boundary_f1"]
    for (photo, mask), stem in zip(val, val.stems):
        prediction = finished.segmenter.classify(photo)
        assert prediction.shape == mask.shape == (48, 40)
        assert scores.loc[stem].to_dict() == photo_scores(prediction, mask)


def test_evaluation_of_several_classes(named):
    named("sample")
    photos = PortraitDataset("sample", "val", "parts")
    torch.manual_seed(0)
    config = ModelConfig("unet", photos.classes, (64, 64), (0.5,) * 3, (0.5,) * 3)
    segmenter = Segmenter(UNet(classes=13, width=4, depth=2), config)
    torch.nn.init.zeros_(segmenter.network.head.bias)  # so that the answer has several classes
    scores = evaluate(segmenter, photos, LOSSES["bce+dice"])
    for (photo, mask), (_, row) in zip(photos, scores.iterrows()):
        assert row.drop("loss").to_dict() == pytest.approx(photo_scores(segmenter.classify(photo), mask, 13), abs=0.01)
    assert 0 < scores["dice"].min() < scores["dice"].max() < 1


def test_evaluation_with_a_loss_has_a_column_of_it(finished, val):
    scores = evaluate(finished.segmenter, val, LOSSES["bce"])
    for (photo, mask), found in zip(val, scores["loss"]):
        logits, target = finished.segmenter.logits(photo)[None], torch.from_numpy(mask)[None].long()
        assert found == pytest.approx(LOSSES["bce"](logits, target).item())


def test_what_cannot_be_evaluated(finished, val, config, named):
    with pytest.raises(ValueError, match="no photos to evaluate"):
        evaluate(finished.segmenter, val.subset([]))
    with pytest.raises(ValueError, match=r"photos have a transform: take photos.with_transform\(None\)"):
        evaluate(finished.segmenter, loader.datasets(config)[0])
    named("picsart")
    with pytest.raises(ValueError, match="the split 'test' of 'picsart' has no masks to compare with"):
        evaluate(finished.segmenter, PortraitDataset("picsart", "test"))


# --- Guard rails ------------------------------------------------------------------------------------------------------


def test_overfit_one_batch(config):
    table = guardrails.overfit_one_batch(config, steps=24, device="cpu")
    assert len(table) == 24 and table["dice"].iloc[-3:].min() > 0.95
    assert table["loss"].iloc[-1] < table["loss"].iloc[0] / 3


def test_overfit_one_batch_shows_masks_that_do_not_belong(config, monkeypatch):
    """Masks of noise cannot be learned in a few steps: the guard rail must not look green then."""
    read, noise = layout.Item.read, np.random.default_rng(0)

    def wrong(item):
        photo, mask = read(item)
        return photo, noise.integers(0, 2, mask.shape, dtype=np.uint8)

    monkeypatch.setattr(layout.Item, "read", wrong)
    assert guardrails.overfit_one_batch(config, steps=24, device="cpu")["dice"].max() < 0.9


def test_first_steps_are_those_of_a_run_and_timed(config):
    table = guardrails.first_steps(config, steps=3, device="cpu")
    assert list(table) == ["learning_rate", "loss", "dice", "seconds"] and (table["seconds"] > 0).all()
    assert set(table["learning_rate"]) == {config.learning_rate} and table["loss"].nunique() == 3


def test_lr_range_test_rises_and_stops(config):
    table = guardrails.lr_range_test(replace(config, clip=0.0), lowest=1e-5, highest=1e8, steps=24, device="cpu")
    assert table["learning_rate"].is_monotonic_increasing and table["learning_rate"].iloc[0] == pytest.approx(1e-5)
    assert len(table) < 24, "at such learning rates the loss runs away"


@pytest.mark.parametrize("error", [KeyboardInterrupt, FloatingPointError])
def test_guard_rails_learn_after_a_training_that_ended_within_a_step(config, error, tmp_path, monkeypatch):
    """accelerate remembers across runs that the optimizer has to wait: then every step of the next one is nothing."""
    before = guardrails.overfit_one_batch(config, steps=8, device="cpu")

    def broken(logits, y):
        raise error

    with monkeypatch.context() as patch:
        patch.setitem(training.LOSSES, "bce+dice", broken)
        with pytest.raises(error):
            train(replace(config, accumulate=4), tmp_path / "run", device="cpu")
    after = guardrails.overfit_one_batch(config, steps=8, device="cpu")
    pd.testing.assert_frame_equal(before.drop(columns="seconds"), after.drop(columns="seconds"))
    assert after["loss"].iloc[-1] < 0.9 * after["loss"].iloc[0]
