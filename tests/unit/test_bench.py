"""The benchmark times what `train` does: the real step, the real loader, the real way from a photo to its mask."""

import statistics
import time

import pytest
import torch

from faceseg_utils import dataset, model, training
from faceseg_utils.probes.bench import bench, training_flops


@pytest.fixture(scope="module", autouse=True)
def small(small_network):
    """Every network is small and takes one thread."""


@pytest.fixture(autouse=True)
def own_photos(portraits, monkeypatch):
    monkeypatch.setenv("FACESEG_DATASET", str(portraits))


def slower(monkeypatch, owner, name: str, seconds: float) -> list:
    """Plant a pause into a function; answers a list that grows with every call."""
    real, calls = getattr(owner, name), []

    def slow(*arguments, **options):
        calls.append(name)
        time.sleep(seconds)
        return real(*arguments, **options)

    monkeypatch.setattr(owner, name, slow)
    return calls


def test_ratios_are_those_of_the_seconds(capsys):
    result = bench("unet", size=(64, 64), batch=2, rounds=3)
    for part, other, ours in (("training", "plain", "ours"), ("photo", "torch", "onnx")):
        seconds = result[part]["seconds"]
        assert len(seconds[other]) == len(seconds[ours]) == 3 and min(seconds[other] + seconds[ours]) > 0
        lowest, highest = min(seconds[other]) / max(seconds[ours]), max(seconds[other]) / min(seconds[ours])
        assert lowest <= result[part]["ratio"] <= highest
    assert 0 < result["training"]["data_share"] < 1 and result["training"]["peak_share"] > 0
    out = capsys.readouterr().out
    assert f"{result['training']['ratio']:.2f} times as fast as the plain loop" in out
    assert f"{result['photo']['ratio']:.2f} times as fast in ONNX Runtime" in out


def test_flops_of_a_depthwise_convolution_are_those_of_its_own_weights():
    network = torch.nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False)
    assert training_flops(network, torch.zeros(2, 16, 8, 8)) == 3 * 2 * 2 * 8 * 8 * 16 * 9


def test_the_step_is_that_of_training(monkeypatch):
    calls = slower(monkeypatch, training, "train_step", 0.5)
    result = bench("unet", size=(32, 32), batch=2, rounds=2)["training"]
    assert len(calls) == 3  # one of them warms up
    assert min(result["seconds"]["ours"]) > 0.5 > statistics.median(result["seconds"]["plain"])
    assert result["ratio"] < 1


def test_photos_come_from_the_loader_of_training(monkeypatch):
    slower(monkeypatch, dataset.PortraitDataset, "__getitem__", 0.1)
    result = bench("unet", size=(32, 32), batch=2, rounds=2)["training"]
    assert min(result["seconds"]["waiting"]) > 0.2  # two photos per batch
    assert min(result["seconds"]["ours"] + result["seconds"]["plain"]) > 0.2
    assert result["data_share"] > 0.5


def test_both_networks_learn(monkeypatch):
    """A loop that forgets the step of its optimizer would be the faster one."""
    networks, real = [], training.new_segmenter

    def remember(*arguments):
        segmenter = real(*arguments)
        networks.append((segmenter.network, {name: w.clone() for name, w in segmenter.network.state_dict().items()}))
        return segmenter

    monkeypatch.setattr(training, "new_segmenter", remember)
    bench("unet", size=(32, 32), batch=2, rounds=1)
    ours, plain = networks[:2]
    for network, before in (ours, plain):
        weights = {name: w for name, w in network.state_dict().items() if name.endswith("weight")}
        assert all((before[name] != w).any() for name, w in weights.items())


def test_one_photo_goes_from_file_to_mask_in_torch(monkeypatch):
    calls = slower(monkeypatch, model.Segmenter, "classify", 0.5)
    result = bench("unet", size=(32, 32), batch=2, rounds=2)["photo"]
    assert len(calls) == 3 and min(result["seconds"]["torch"]) > 0.5 and result["ratio"] > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch": 0}, "batch_size=0: must be above 0"),
        ({"batch": -1}, "batch_size=-1"),
        ({"batch": 10**20}, "batch_size=100000000000000000000"),
        ({"batch": 10**6}, "batch=1000000: .* has only 20 photos to train on"),
        ({"rounds": 0}, "rounds=0: from 1 to 1000"),
        ({"rounds": 10**20}, "from 1 to 1000"),
        ({"size": (0, 64)}, r"size=\(0, 64\)"),
        ({"size": (2048, 2048), "batch": 20}, "too much for the 8 GB of free memory"),
        ({"size": (10**20, 64)}, "size="),
        ({"size": (60, 64)}, "not divisible by 32"),
        ({"name": "resnt34"}, "unknown model 'resnt34'.*resnet34"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(arguments, message, monkeypatch):
    monkeypatch.setattr("faceseg_utils.probes.bench.free_memory", lambda: 8 * 10**9)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match=message) as caught:
        bench(**{"name": "unet", "size": (64, 64), "batch": 2, "rounds": 1, **arguments})
    assert "\n" not in str(caught.value)
