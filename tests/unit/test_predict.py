"""Masks, cut-outs and the ONNX file from a model on disk."""

import numpy as np
import pytest
from PIL import Image

from faceseg_utils import predict
from faceseg_utils.model import ModelCard, Segmenter, build_model
from faceseg_utils.predict import export_onnx, predict_files, read_photo


def tiny(classes=("background", "person")):
    card = ModelCard("unet", classes, (64, 64), (0.5,) * 3, (0.5,) * 3)
    return Segmenter(build_model("unet", classes=card.channels, width=32).eval(), card)


def save(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 256, (80, 60, 3), dtype=np.uint8)


def test_predict_writes_mask_and_cutout_at_the_photos_size(tmp_path, photo):
    path = save(tmp_path / "me.png", photo)
    segmenter = tiny()
    assert predict_files(segmenter, [path], tmp_path / "out") == [path]
    mask = np.asarray(Image.open(tmp_path / "out" / "me_mask.png"))
    cutout = np.asarray(Image.open(tmp_path / "out" / "me_cutout.png"))
    probability = segmenter.predict(photo)
    assert mask.shape == (80, 60) and set(np.unique(mask)) <= {0, 255}
    assert ((mask == 255) == (probability > 0.5)).all()
    assert cutout.shape == (80, 60, 4) and (cutout[..., :3] == photo).all()
    assert np.abs(cutout[..., 3] - probability * 255).max() <= 0.5 + 1e-3


def test_a_bad_file_is_named_and_the_others_go_on(tmp_path, photo, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    good = save(folder / "b.png", photo)
    (folder / "a.jpg").write_text("no image")
    assert predict_files(tiny(), [folder], tmp_path / "out") == [good]
    out = capsys.readouterr().out
    assert "a.jpg" in out and "cannot be read" in out and out.count("\n") == 1


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.jpg: no such file or folder"):
        predict_files(tiny(), [tmp_path / "gone.jpg"], tmp_path / "out")


def test_orientation_of_the_camera_is_respected(tmp_path, photo):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees to see it upright
    path = save(tmp_path / "turned.png", photo, exif=exif)
    assert (read_photo(path) == np.rot90(photo, k=-1)).all()


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "LA"])
def test_other_colour_modes_are_converted(tmp_path, photo, mode):
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    Image.fromarray(photo).convert(mode).save(path)
    assert read_photo(path).shape == (80, 60, 3)


def test_sixteen_bits_keep_their_brightness(tmp_path, photo):
    grey = photo[..., 0]
    path = save(tmp_path / "deep.png", grey.astype(np.uint16) << 8)
    assert (read_photo(path) == grey[..., None]).all()


def test_a_huge_photo_is_scaled_down(tmp_path, photo, monkeypatch):
    path = save(tmp_path / "huge.png", photo)
    monkeypatch.setattr(predict, "LARGEST", 1200)  # the photo has 4,800 pixels: sides halve
    assert read_photo(path).shape == (40, 30, 3)


def test_onnx_says_the_same_as_torch(tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    assert export_onnx(tiny(), tmp_path / "person.onnx") < 1e-3
    assert (tmp_path / "person.onnx").stat().st_size > 1000
