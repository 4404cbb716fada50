"""The ONNX file: it says how it is to be used, agrees with torch, and works without torch as README says."""

import json
import os
import re
import resource
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from faceseg_utils import paths
from faceseg_utils.data.catalog import FACE, PERSON
from faceseg_utils.data.images import read_image
from faceseg_utils.deploy.onnx import export_onnx
from faceseg_utils.dice import dice_score
from faceseg_utils.model import Segmenter, UNet, build_model
from faceseg_utils.network.saved import ModelConfig

onnx = pytest.importorskip("onnx", reason="the extra `export` is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")


def small(classes=PERSON, size=(64, 96)) -> Segmenter:
    torch.manual_seed(0)
    config = ModelConfig("unet", classes, size, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    return Segmenter(UNet(classes=config.channels, width=4, depth=2).eval(), config)


@pytest.mark.parametrize("classes", [PERSON, FACE])
def test_the_file_says_how_it_is_used(tmp_path, classes):
    assert export_onnx(small(classes), tmp_path / "sub" / "model.onnx") < 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "sub" / "model.onnx"))
    channels = 1 if classes == PERSON else 6
    (given,), (answer,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape) == ("photo", ["batch", 3, 64, 96])
    assert (answer.name, answer.shape) == ("probability", ["batch", channels, 64, 96])
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["size"]) == [64, 96] and json.loads(about["classes"]) == list(classes)
    assert json.loads(about["mean"]) == [0.5, 0.4, 0.3] and json.loads(about["std"]) == [0.2, 0.3, 0.4]
    assert "0 to 255" in about["input"] and "pad with 0" in about["letterbox"]
    assert "part of the model" in about["normalisation"] and ("'person'" in about["output"]) == (classes == PERSON)


@pytest.mark.parametrize("name", ["lite0", "resnet34"])
def test_the_file_agrees_with_torch_for_any_batch_and_export_makes_no_noise(tmp_path, name, capfd):
    torch.manual_seed(0)
    config = ModelConfig(name, PERSON, (64, 64), (0.5,) * 3, (0.5,) * 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # smp's, about the name of an encoder
        network = build_model(name).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_onnx(Segmenter(network, config), tmp_path / "model.onnx")
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    photos = torch.randint(0, 256, (5, 3, 64, 64), generator=torch.Generator().manual_seed(9)).float()
    with torch.inference_mode():
        wanted = network((photos / 255 - 0.5) / 0.5).sigmoid().numpy()
    for n in (1, 5):
        assert np.abs(session.run(None, {"photo": photos[:n].numpy()})[0] - wanted[:n]).max() < 1e-4


def test_the_segmenter_stays_as_it_was(tmp_path):
    """Export moves a copy to the CPU: a network on a GPU is played by one that refuses to be moved or called."""
    segmenter = small()
    segmenter.network.train()

    def refuse(*_, **__):
        raise AssertionError("the network itself was moved or run")

    class OnAnotherDevice(UNet):
        def __deepcopy__(self, memo):
            plain = UNet(classes=1, width=4, depth=2)
            plain.load_state_dict(self.state_dict())
            return plain

        to = cpu = eval = forward = refuse

    segmenter.network.__class__ = OnAnotherDevice
    before = {name: value.clone() for name, value in segmenter.network.state_dict().items()}
    export_onnx(segmenter, tmp_path / "model.onnx")
    assert segmenter.network.training
    assert all((value == before[name]).all() for name, value in segmenter.network.state_dict().items())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_network_on_a_gpu_stays_there(tmp_path):
    segmenter = small().to("cuda")
    assert export_onnx(segmenter, tmp_path / "model.onnx") < 1e-3 and segmenter.device.type == "cuda"


def test_full_disk_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "model.onnx"
    export_onnx(small(), path)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(OSError, match=r"model.onnx: could not be written \(File too large\)"):
            export_onnx(small(FACE), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["model.onnx"]


def test_a_file_that_disagrees_takes_no_ones_place(tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_text("the old one")
    monkeypatch.setattr("faceseg_utils.deploy.onnx.TOLERANCE", -1.0)
    with pytest.raises(RuntimeError, match="ONNX and torch disagree"):
        export_onnx(small(), path)
    assert path.read_text() == "the old one" and os.listdir(tmp_path) == ["model.onnx"]


def test_another_suffix_is_refused(tmp_path):
    (tmp_path / "photo.jpg").write_text("mine")
    with pytest.raises(ValueError, match=r"photo.jpg: the name of an ONNX file ends in .onnx"):
        export_onnx(small(), tmp_path / "photo.jpg")
    assert (tmp_path / "photo.jpg").read_text() == "mine"


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named_with_the_command_that_brings_it(tmp_path, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(RuntimeError, match=f"export needs {missing}: pip install onnx onnxruntime$"):
        export_onnx(small(), tmp_path / "model.onnx")


BLOCKED = """
import sys
for name in ("torch", "faceseg_utils", "albumentations", "cv2", "scipy", "timm"):
    sys.modules[name] = None
"""


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """The model of record, and a folder with its ONNX file."""
    segmenter, folder = Segmenter.load("picsart-lite0-record-s0").to("cpu"), tmp_path_factory.mktemp("onnx")
    export_onnx(segmenter, folder / "person.onnx")
    return segmenter, folder


@pytest.mark.parametrize("size", [(600, 300), (200, 310), (120, 100)])
def test_the_lines_of_readme_work_without_torch(record, size):
    """A photo larger, wider and smaller than the network's input, lying on its side as phones store it."""
    readme = (paths.course_root() / "README.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- onnx -->(.*)<!-- /onnx -->", readme, re.DOTALL).group(1)
    (code,) = re.findall(r"```python\n(.*?)```", block, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 16
    segmenter, folder = record
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(paths.course_root() / "data" / "sample" / "images" / "0000.jpg") as portrait:
        portrait.resize(size[::-1]).rotate(90, expand=True).save(folder / "photo.jpg", exif=exif, quality=95)
    result = subprocess.run([sys.executable, "-I", "-c", BLOCKED + code], cwd=folder, capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    wanted = segmenter.classify(read_image(folder / "photo.jpg"))
    with Image.open(folder / "mask.png") as file:
        mask = np.asarray(file.convert("L"))
    assert mask.shape == wanted.shape == size and set(np.unique(mask)) == {0, 255}
    assert 0.1 < wanted.mean() < 0.9 and dice_score(mask // 255, wanted) > 0.995
