"""The pocket network is MediaPipe's: the weights that the demo ships give the same answer in torch as in its file."""

import numpy as np
import pytest
import torch

from faceseg_utils import paths
from faceseg_utils.data.images import read_image
from faceseg_utils.model import Segmenter, build_model
from faceseg_utils.network.encoders import normalisation
from faceseg_utils.network.pocket import Conv
from faceseg_utils.network.saved import ModelConfig

onnx = pytest.importorskip("onnx", reason="the extra `export` is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")


@pytest.fixture(scope="module")
def file():
    return paths.demo_folder() / "model.onnx"


@pytest.fixture(scope="module")
def network(file):
    stored = {value.name: onnx.numpy_helper.to_array(value) for value in onnx.load(file).graph.initializer}
    weights = {name.partition("network.")[2]: torch.tensor(value) for name, value in stored.items()}
    weights.pop("")  # mean and std
    network = build_model("pocket").eval()
    network.load_state_dict(weights)
    return network


def test_the_page_holds_these_weights(file, network):
    assert sum(weight.numel() for weight in network.parameters()) == 106_401
    photos = torch.randint(0, 256, (2, 3, 256, 256), generator=torch.Generator().manual_seed(0)).float()
    (expected,) = onnxruntime.InferenceSession(str(file)).run(None, {"photo": photos.numpy()})
    with torch.inference_mode():
        assert np.abs(network(photos / 255).sigmoid().numpy() - expected).max() < 1e-4


def test_any_size_and_number_of_classes(network):
    for size in ((256, 192), (320, 240), (64, 96)):
        assert network(torch.zeros(1, 3, *size)).shape == (1, 1, *size)
    assert build_model("pocket", classes=6)(torch.zeros(1, 3, 64, 64)).shape == (1, 6, 64, 64)


def test_it_finds_the_astronaut_and_can_be_saved(network, tmp_path):
    photo = read_image(paths.demo_folder() / "astronaut.jpg")
    config = ModelConfig("pocket", ("background", "person"), (256, 256), *normalisation("pocket"))
    Segmenter(network, config).save(tmp_path / "pocket", half=True)
    assert (tmp_path / "pocket" / "model.safetensors").stat().st_size < 250_000
    mask = Segmenter.load(tmp_path / "pocket").to("cpu").classify(photo)
    assert (mask == Segmenter(network, config).classify(photo)).mean() > 0.999
    assert mask[100:200, 200:260].mean() > 0.99 and mask[:150, :100].mean() < 0.01  # her face; the wall and the flag


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "seen"),
    [(4, 3, 2, [3, 2]), (5, 3, 2, [2, 3, 2]), (3, 3, 1, [2, 3, 2]), (8, 5, 2, [4, 5, 5, 3])],
)
def test_padding_is_tensorflows(size, kernel, stride, seen):
    """How many pixels of a row each window sees: where the padding is odd, its larger half comes last."""
    conv = Conv(1, 1, kernel, stride, bias=False)
    torch.nn.init.ones_(conv.weight)
    row = torch.zeros(1, 1, size, size)
    row[0, 0, size // 2] = 1  # one row of ones
    assert conv(row).amax(-2).flatten().tolist() == seen


def test_pretrained_is_refused():
    with pytest.raises(ValueError, match="'pocket' has no ImageNet weights"):
        build_model("pocket", pretrained=True)
