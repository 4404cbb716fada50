"""Masks and cut-outs from files: nothing is lost, overwritten or passed over in silence."""

import io
import os
import resource
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from faceseg_utils.__main__ import main
from faceseg_utils.data.catalog import FACE, PALETTES, PERSON
from faceseg_utils.deploy import files
from faceseg_utils.deploy.files import cut_out, predict_files
from faceseg_utils.model import Segmenter, UNet
from faceseg_utils.network.saved import ModelConfig


def tiny(classes=PERSON) -> Segmenter:
    config = ModelConfig("unet", classes, (64, 64), (0.5,) * 3, (0.5,) * 3, {"width": 4, "depth": 2})
    return Segmenter(UNet(classes=config.channels, **config.options).eval(), config)


class Brightness(Segmenter):
    """Its probability of person is how bright a pixel is: what comes out can be worked out by hand."""

    def predict(self, photo):
        return photo.mean(-1, dtype=np.float32) / 255


def bright() -> Segmenter:
    model = tiny()
    return Brightness(model.network, model.config)


def photo(seed=0, size=(40, 30)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def save(path, array, **options):
    """Write a photo; answers its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def read(path, mode=None) -> np.ndarray:
    with Image.open(path) as file:
        return np.asarray(file.convert(mode) if mode else file)


def tree(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def mask_of(array) -> np.ndarray:
    return (array.mean(-1) / 255 > 0.5) * 255


# --- What is written --------------------------------------------------------------------------------------------------


def test_mask_and_cutout_have_the_photos_size(tmp_path):
    segmenter, path = tiny(), save(tmp_path / "me.png", photo())
    done = predict_files(segmenter, [path], tmp_path / "out")
    assert done.written == {path: [tmp_path / "out" / "me_mask.png", tmp_path / "out" / "me_cutout.png"]}
    assert (done.skipped, done.left_out) == ({}, [])
    assert (read(tmp_path / "out" / "me_mask.png") == segmenter.classify(photo()) * 255).all()
    assert read(tmp_path / "out" / "me_cutout.png").shape == (40, 30, 4)


def test_masks_of_several_classes_hold_class_numbers_and_show_colours(tmp_path):
    segmenter, path = tiny(FACE), save(tmp_path / "me.png", photo())
    predict_files(segmenter, [path], tmp_path / "out")
    assert tree(tmp_path / "out") == ["me_areas.csv", "me_colours.png", "me_mask.png"]
    classes, mask = segmenter.classify(photo()), tmp_path / "out" / "me_mask.png"
    assert (read(mask) == classes).all()
    colours = np.array(PALETTES[FACE])[classes]
    assert (read(mask, "RGB") == colours).all()
    shown = read(tmp_path / "out" / "me_colours.png")
    assert shown.shape == (40, 30, 3) and abs(shown - (photo() / 2 + colours / 2)).max() <= 1
    areas = pd.read_csv(tmp_path / "out" / "me_areas.csv", index_col="class")
    assert areas["pixels"].to_dict() == {name: (classes == c).sum() for c, name in enumerate(FACE)}
    assert areas["share"].tolist() == pytest.approx(areas["pixels"] / 1200, abs=1e-6)
    predict_files(segmenter, [path], tmp_path / "masks", mask_only=True)
    assert tree(tmp_path / "masks") == ["me_mask.png"]


def test_opacity_leaves_no_ghosts_and_hidden_pixels_no_photo():
    probability = np.array([[0.0, 0.09, 0.3, 0.5, 0.7, 0.91, 1.0]], np.float32)
    picture = np.full((1, 7, 3), 200, np.uint8)
    soft, hard = (np.asarray(cut_out(picture, probability, hard=hard)) for hard in (False, True))
    assert soft[0, :, 3].tolist() == [0, 0, 64, 128, 191, 255, 255]
    assert hard[0, :, 3].tolist() == [0, 0, 0, 0, 255, 255, 255]
    for cut in (soft, hard):
        assert (cut[cut[..., 3] == 0] == 0).all() and (cut[cut[..., 3] > 0][:, :3] == 200).all()


def test_mask_only_and_hard(tmp_path):
    path = save(tmp_path / "me.png", photo())
    predict_files(bright(), [path], tmp_path / "masks", mask_only=True)
    assert tree(tmp_path / "masks") == ["me_mask.png"]
    predict_files(bright(), [path], tmp_path / "hard", hard=True)
    assert (read(tmp_path / "hard" / "me_cutout.png")[..., 3] == read(tmp_path / "hard" / "me_mask.png")).all()


@pytest.mark.parametrize(("name", "colour"), [("white", (255, 255, 255)), ("#102030", (16, 32, 48))])
def test_a_colour_as_background(tmp_path, name, colour):
    picture = np.zeros((40, 30, 3), np.uint8)
    picture[:20] = (255, 250, 245)
    predict_files(bright(), [save(tmp_path / "me.png", picture)], tmp_path / "out", background=name)
    result = read(tmp_path / "out" / "me_cutout.png")
    assert result.shape == (40, 30, 3) and (result[:20] == picture[:20]).all() and (result[20:] == colour).all()


def test_a_picture_as_background_covers_the_photo(tmp_path):
    """A landscape behind a portrait: scaled to its height, the sides cropped evenly."""
    landscape = np.zeros((20, 100, 3), np.uint8)
    landscape[:, 45:55] = (0, 200, 0)
    ground = save(tmp_path / "ground.png", landscape)
    path = save(tmp_path / "me.png", np.zeros((40, 20, 3), np.uint8))  # nobody: all of the ground is seen
    predict_files(bright(), [path], tmp_path / "out", background=str(ground))
    result = read(tmp_path / "out" / "me_cutout.png")
    assert result.shape == (40, 20, 3) and (result[:, 5:-5] == (0, 200, 0)).all()


def test_blur_keeps_the_person_sharp_and_out_of_the_background(tmp_path):
    """White person, ground of black and dark blue stripes: the blurred ground is dark blue without a white halo."""
    picture = np.zeros((200, 200, 3), np.uint8)
    picture[:, ::2] = (0, 0, 60)
    picture[60:140, 60:140] = 255
    predict_files(bright(), [save(tmp_path / "me.png", picture)], tmp_path / "out", background="blur")
    result = read(tmp_path / "out" / "me_cutout.png").astype(int)
    person = np.zeros((200, 200), bool)
    person[60:140, 60:140] = True
    assert (result[person] == 255).all()
    ground = result[~person]
    assert (ground[:, :2] == 0).all() and 15 < ground[:, 2].min() and ground[:, 2].max() < 45


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"background": "wite"}, "neither transparent, blur, a colour nor a picture file. Did you mean 'white'"),
        ({"background": "white", "mask_only": True}, "mask_only writes none"),
        ({"hard": True, "mask_only": True}, "mask_only writes none"),
    ],
)
def test_options_that_have_no_effect_are_refused(tmp_path, options, message):
    path = save(tmp_path / "me.png", photo())
    with pytest.raises(ValueError, match=message):
        predict_files(bright(), [path], tmp_path / "out", **options)
    with pytest.raises(ValueError, match="a model of 6 classes makes none"):
        predict_files(tiny(FACE), [path], tmp_path / "out", hard=True)
    assert not (tmp_path / "out").exists()


# --- No photo is passed over ------------------------------------------------------------------------------------------


def test_folders_are_searched_with_their_subfolders_in_every_format(tmp_path):
    folder = tmp_path / "in"
    for name in ("a.jpg", "b.JPEG", "c.png", "sub/d.bmp", "sub/deep/e.webp"):
        save(folder / name, photo())
    save(folder / ".hidden.jpg", photo())
    save(folder / ".folder" / "x.jpg", photo())
    predict_files(bright(), [folder], tmp_path / "out", mask_only=True)
    assert tree(tmp_path / "out") == [f"{name}_mask.png" for name in ("a", "b", "c", "sub/d", "sub/deep/e")]


def test_what_is_no_photo_is_named(tmp_path, capsys):
    folder = tmp_path / "in"
    save(folder / "a.jpg", photo())
    save(folder / "b.tif", photo())
    save(folder / "results" / "old_mask.png", photo())
    (folder / "c.heic").write_bytes(b"heic")
    (folder / "link").symlink_to(tmp_path, target_is_directory=True)  # followed, it would go round in circles
    done = predict_files(bright(), [folder], folder / "results", mask_only=True)
    assert [path.name for path in done.left_out] == ["b.tif", "c.heic", "link", "results"]
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and all(name in out for name in ("left out 4", "b.tif", "c.heic", "link", "results"))
    assert list(done.written) == [folder / "a.jpg"]


def test_a_file_that_is_no_photo_is_skipped_and_the_others_go_on(tmp_path, capsys):
    folder = tmp_path / "in"
    good = save(folder / "z.png", photo())
    (folder / "a.jpg").write_text("no image")
    os.mkfifo(folder / "b.jpg")  # reading a pipe would wait for ever
    (folder / "c.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (folder / "d.jpg").write_bytes(b"")
    done = predict_files(tiny(), [folder], tmp_path / "out")
    assert list(done.written) == [good] and sorted(path.name for path in done.skipped) == [f"{n}.jpg" for n in "abcd"]
    out = capsys.readouterr().out
    assert out.count("\n") == 4
    for path, reason in done.skipped.items():
        assert f"skipped {path}: {reason}" in out and "in/" not in reason and out.count(str(path)) == 1


def test_nothing_done_leaves_no_folder(tmp_path):
    (tmp_path / "a.jpg").write_text("no image")
    done = predict_files(tiny(), [tmp_path / "a.jpg"], tmp_path / "out")
    assert not done.written and done.skipped and not (tmp_path / "out").exists()


def test_the_command_fails_when_a_photo_was_skipped_or_none_was_there(tmp_path, capsys):
    tiny().save(tmp_path / "model")
    save(tmp_path / "in" / "a.png", photo())
    command = ["predict", "--model", str(tmp_path / "model"), "--mask-only", "--overwrite", "--out"]
    assert main([*command, str(tmp_path / "out"), str(tmp_path / "in")]) == 0
    (tmp_path / "in" / "b.jpg").write_text("no image")
    assert main([*command, str(tmp_path / "out"), str(tmp_path / "in")]) == 1
    assert "1 photo done, 1 skipped" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    assert main([*command, str(tmp_path / "out"), str(tmp_path / "empty")]) == 1


def test_missing_input_is_named_before_anything_is_written(tmp_path):
    good = save(tmp_path / "a.png", photo())
    with pytest.raises(FileNotFoundError, match="gone.jpg: no such file or folder"):
        predict_files(tiny(), [good, tmp_path / "gone.jpg"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_of_any_bytes_do_not_stop_the_batch(tmp_path, monkeypatch, encoding):
    """Where the terminal takes strict UTF-8, or ASCII alone."""
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in ("z", os.fsdecode(b"caf\xe9"), "ü"):
        save(folder / f"{name}.png", photo())
    (folder / os.fsdecode(b"\xff\n.jpg")).write_text("no image")
    terminal = io.TextIOWrapper(io.BytesIO(), encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", terminal)
    done = predict_files(bright(), [folder], out, mask_only=True)
    terminal.flush()
    assert len(done.written) == 3 and len(done.skipped) == 1 and (out / os.fsdecode(b"caf\xe9_mask.png")).is_file()
    assert terminal.buffer.getvalue().count(b"skipped") == terminal.buffer.getvalue().count(b"\n") == 1


def test_a_name_that_is_too_long_for_its_mask_is_skipped(tmp_path):
    folder = tmp_path / "in"
    long, good = save(folder / f"{'a' * 245}.png", photo()), save(folder / "z.png", photo())
    done = predict_files(bright(), [folder], tmp_path / "out")
    assert list(done.written) == [good] and "name is too long" in done.skipped[long]


# --- No file is lost --------------------------------------------------------------------------------------------------


def test_photos_of_one_name_keep_their_suffix(tmp_path):
    folder = tmp_path / "in"
    save(folder / "p.bmp", np.full((9, 9, 3), 250, np.uint8))
    save(folder / "p.png", np.full((9, 9, 3), 5, np.uint8))
    predict_files(bright(), [folder], tmp_path / "out", mask_only=True)
    assert tree(tmp_path / "out") == ["p.bmp_mask.png", "p.png_mask.png"]
    assert (read(tmp_path / "out" / "p.bmp_mask.png") == 255).all()
    assert (read(tmp_path / "out" / "p.png_mask.png") == 0).all()


def test_photos_of_two_folders_stay_apart(tmp_path):
    one, two = save(tmp_path / "a" / "me.bmp", photo(1)), save(tmp_path / "b" / "me.bmp", photo(2))
    done = predict_files(bright(), [tmp_path / "a", tmp_path / "b"], tmp_path / "out", mask_only=True)
    assert tree(tmp_path / "out") == ["a/me_mask.png", "b/me_mask.png"]
    for given in (one, two):
        assert (read(done.written[given][0]) == mask_of(read(given))).all()


@pytest.mark.parametrize(
    "names",
    [
        ("a/me.png", "b/me.png"),
        ("a/ME.png", "b/me.png"),  # one name on some file systems
        ("a/caf\u00e9.png", "a/cafe\u0301.png"),  # the same letters
        ("p.bmp", "p.png", "p.bmp.png"),
    ],
)
def test_photos_that_would_share_a_result_are_refused_before_anything_is_written(tmp_path, names):
    given = [save(tmp_path / name, photo()) for name in names]
    with pytest.raises(ValueError, match="would share .*_mask.png: rename one") as error:
        predict_files(bright(), given, tmp_path / "out")
    assert not (tmp_path / "out").exists() and str(given[0]) in str(error.value) and "\n" not in str(error.value)


def test_a_photo_that_is_named_twice_is_done_once(tmp_path, monkeypatch):
    path = save(tmp_path / "in" / "me.png", photo())
    monkeypatch.chdir(tmp_path)
    done = predict_files(bright(), ["in/me.png", path, "in", "in/../in/me.png"], "out", mask_only=True)
    assert len(done.written) == 1 and tree(tmp_path / "out") == ["me_mask.png"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_photo_is_never_overwritten(tmp_path, overwrite):
    folder = tmp_path / "in"
    save(folder / "0001.png", photo(1))
    mask = save(folder / "0001_mask.png", photo(2))
    before = mask.read_bytes()
    for inputs in ([folder], [folder / "0001.png", mask]):
        with pytest.raises(FileExistsError, match="0001_mask.png is itself a photo to be read"):
            predict_files(bright(), inputs, folder, overwrite=overwrite)
    assert mask.read_bytes() == before and tree(folder) == ["0001.png", "0001_mask.png"]


def test_what_was_there_is_replaced_only_on_demand(tmp_path):
    path, out = save(tmp_path / "me.png", photo()), tmp_path / "out"
    out.mkdir()
    (out / "me_cutout.png").write_text("mine")
    with pytest.raises(FileExistsError, match=r"me_cutout.png is there already: .*--overwrite"):
        predict_files(bright(), [path], out)
    assert (out / "me_cutout.png").read_text() == "mine" and tree(out) == ["me_cutout.png"]
    predict_files(bright(), [path], out, overwrite=True)
    assert read(out / "me_cutout.png").shape == (40, 30, 4)


def test_links_in_the_results_are_not_written_through(tmp_path):
    path, out, other = save(tmp_path / "in" / "sub" / "me.png", photo()), tmp_path / "out", tmp_path / "other"
    out.mkdir(), other.mkdir()
    (other / "diary.txt").write_text("mine")
    (out / "me_mask.png").symlink_to(other / "diary.txt")
    with pytest.raises(FileExistsError, match="me_mask.png is there already"):
        predict_files(bright(), [path], out)
    predict_files(bright(), [path], out, overwrite=True)
    assert (other / "diary.txt").read_text() == "mine" and not (out / "me_mask.png").is_symlink()
    (out / "sub").symlink_to(other, target_is_directory=True)
    with pytest.raises(ValueError, match="sub leads out of .*out"):
        predict_files(bright(), [tmp_path / "in"], out, overwrite=True)
    assert tree(other) == ["diary.txt"]


def test_a_file_in_place_of_the_folder_is_named(tmp_path):
    path = save(tmp_path / "me.png", photo())
    with pytest.raises(ValueError, match="me.png is a file: choose a folder"):
        predict_files(bright(), [path], path)


def test_full_disk_names_the_file_and_leaves_the_old_one_whole(tmp_path):
    """No file may grow beyond 8 KB: enough for the mask, not for the cut-out."""
    path, out = save(tmp_path / "me.png", photo(size=(200, 200)) // 2 + 128), tmp_path / "out"
    predict_files(bright(), [path], out)
    before = {name: (out / name).read_bytes() for name in tree(out)}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(OSError, match=r"me_cutout.png: could not be written \(File too large\)"):
            predict_files(bright(), [path], out, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {name: (out / name).read_bytes() for name in tree(out)} == before


def test_a_huge_photo_says_that_it_was_scaled_down(tmp_path, monkeypatch, capsys):
    """The limit is lowered to 1,200 pixels; the photo has 4,800 and lies on its side: 60 x 80 upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "huge.png", photo(size=(80, 60)), exif=exif)
    monkeypatch.setattr(files, "LARGEST", 1200)
    predict_files(bright(), [path], tmp_path / "out")
    assert read(tmp_path / "out" / "huge_mask.png").shape == (60, 80)
    assert read(tmp_path / "out" / "huge_cutout.png").shape == (30, 40, 4)
    assert "huge.png: 60 x 80 (height x width) pixels were scaled down to 30 x 40" in capsys.readouterr().out
