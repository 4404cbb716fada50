"""Pseudo-labels leave out what resembles a labelled photo, and become a folder that the course reads."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from experiments import duplicates
from experiments.pseudo import run as pseudo
from faceseg_utils.config import TrainConfig
from faceseg_utils.data.catalog import DATASETS, IGNORE
from faceseg_utils.data.images import read_image
from faceseg_utils.data.layout import Item
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.training import train


@pytest.fixture
def photos(tmp_path):
    """Unlabelled photos: one of noise, the same a little brighter, and one of other noise."""
    items, info = [], DATASETS["picsart"]
    for name, seed, shift in (("900", 1, 0), ("901", 1, 8), ("902", 0, 0)):
        path = tmp_path / f"{name}.png"
        noise = np.random.default_rng(seed).integers(0, 200, (20, 15, 3)) + shift
        Image.fromarray(noise.astype(np.uint8)).resize((150, 200)).save(path)
        items.append(Item(name, path, None, info, info.views["person"]))
    return items


def test_near_duplicates_of_labelled_photos_are_left_out(photos):
    labelled, unlabelled = photos[:1], photos[1:]
    assert [item.stem for item in duplicates.new_photos(unlabelled, labelled)] == ["902"]


def test_bits_are_counted():
    a, b = np.zeros((2, 256), bool), np.zeros((1, 256), bool)
    a[1, :7] = True
    assert duplicates.bits_apart(a, b).tolist() == [[0], [7]]


def test_what_is_written_is_a_dataset_of_the_course(photos, tmp_path):
    masks = [np.tri(200, 150, dtype=np.uint8)] * 3
    masks[0] = np.where(np.tri(200, 150, -20), IGNORE, masks[0])  # in doubt
    pseudo.write(tmp_path / "pseudo", photos, masks, [1, 0.97, 0.96])
    data = PortraitDataset(tmp_path / "pseudo", "all")
    assert sorted(data.stems) == ["900", "901", "902"]
    assert (data.read(0)[1] == masks[0]).all() and (data.read(0)[0] == read_image(data.items[0].image)).all()
    pseudo.write(tmp_path / "pseudo", photos[1:], masks[1:], [0.97, 0.96])  # made again, with fewer photos
    assert len(PortraitDataset(tmp_path / "pseudo", "all")) == 2


def test_a_folder_with_something_else_is_not_overwritten(photos, tmp_path):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FileExistsError, match="was not made by this command"):
        pseudo.write(tmp_path, photos, [np.tri(200, 150, dtype=np.uint8)] * 3, [1, 1, 1])
    assert sorted(tmp_path.iterdir()) == before


class Model:
    """Sure of a person on the left, sure of none on the right, 0.5 between; a little unsure in the topmost row."""

    def predict(self, photo):
        probability = np.repeat([1.0, 0.5, 0.0], 4)[None].repeat(6, 0)
        probability[0, :4] = 0.85
        return probability.astype(np.float32)


class Even(Model):
    """The same whether it sees the photo or its mirror image."""

    def predict(self, photo):
        found = super().predict(photo)
        return found if photo[0, 0, 0] else found[:, ::-1]


def test_pixels_in_doubt_are_left_open():
    photo = np.zeros((6, 12, 3), np.uint8)
    photo[:, 0] = 1  # the left side
    answer = pseudo.answer(Even(), photo)
    assert (answer[1:] == np.repeat([1, IGNORE, 0], 4)).all()
    assert (answer[0] == np.repeat([IGNORE, IGNORE, 0], 4)).all(), "0.85 is no certainty"
    assert (pseudo.answer(Model(), photo) == IGNORE).all(), "the photo and its mirror image contradict each other"


@pytest.fixture
def models(make_dataset, tmp_path, small_network):
    """The weights of two runs: one that kept to train, one that learned from train and exam."""
    config = TrainConfig(model="unet", pretrained=False, dataset=str(make_dataset("own", 14)), size=(32, 32), epochs=1)
    for name, split in (("honest-s0", "train"), ("saw-s0", "train+exam")):
        train(dataclasses.replace(config, train_on=split), tmp_path / "runs" / name, device="cpu")
    return {name: str(tmp_path / "runs" / name / "model") for name in ("honest-s0", "saw-s0")}


def test_a_model_that_saw_the_exam_draws_no_masks(models, tmp_path):
    assert pseudo.teacher(models["honest-s0"], tmp_path).classes == ("background", "person")
    for name in (models["saw-s0"], "saw-s0"):  # by folder, by name
        with pytest.raises(ValueError, match="cannot draw masks: saw-s0 learned from the exam photos") as error:
            pseudo.teacher(name, tmp_path)
        assert "\n" not in str(error.value)


def test_a_model_of_which_nobody_knows_what_it_learned_from_draws_none(tmp_path):
    with pytest.raises(ValueError, match="the weights of 'somebodys': the run that they come from is neither"):
        pseudo.teacher("somebodys", tmp_path)


class Bright:
    """Finds the light ellipses of the made-up portraits."""

    def predict(self, photo):
        return (photo[..., 0] > 130).astype(np.float32)


def test_the_command_writes_a_folder_to_learn_from(named, tmp_path, monkeypatch):
    named("picsart", count=14)
    monkeypatch.setattr(pseudo, "teacher", lambda model: Bright())
    monkeypatch.setattr(duplicates, "NEAR", -1)  # these portraits are all alike
    pseudo.main(["--model", "bright", "--out", str(tmp_path / "out")])
    data = PortraitDataset(tmp_path / "out", "all")
    assert data.stems == ["15", "16", "17"]
    for photo, mask in data:
        assert (mask == (photo[..., 0] > 130)).all()


@pytest.mark.slow
def test_the_near_duplicates_of_picsart_are_found(real_photos):
    test = PortraitDataset("picsart", "test").items
    assert len(test) - len(duplicates.new_photos(test, PortraitDataset("picsart", "all").items)) == 254
