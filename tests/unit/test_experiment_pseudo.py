"""Pseudo-labels leave out what resembles a labelled photo, and become a folder that the course reads."""

import numpy as np
import pytest
from PIL import Image

from experiments.pseudo import run as pseudo
from faceseg_utils.dataset import PortraitDataset, every_photo, read_image


@pytest.fixture
def photos(tmp_path):
    """Unlabelled items: one photo of noise, and the same a little brighter."""
    rng = np.random.default_rng(0)
    items = []
    for name, shift in (("900", 0), ("901", 8)):
        path = tmp_path / f"{name}.png"
        noise = np.random.default_rng(1).integers(0, 200, (20, 15, 3)) + shift
        Image.fromarray(noise.astype(np.uint8)).resize((150, 200)).save(path)
        items.append(pseudo.Item(name, path, None))
    path = tmp_path / "902.png"
    Image.fromarray(rng.integers(0, 255, (20, 15, 3), dtype=np.uint8)).resize((150, 200)).save(path)
    return [*items, pseudo.Item("902", path, None)]


def test_near_duplicates_of_labelled_photos_are_left_out(photos):
    labelled, unlabelled = photos[:1], photos[1:]
    assert [item.stem for item in pseudo.new_photos(unlabelled, labelled)] == ["902"]


def test_bits_are_counted():
    a, b = np.zeros((2, 256), bool), np.zeros((1, 256), bool)
    a[1, :7] = True
    assert pseudo.bits_apart(a, b).tolist() == [[0], [7]]


def test_what_is_written_is_a_dataset_of_the_course(photos, tmp_path):
    masks = [np.tri(200, 150, dtype=np.uint8)] * 3
    pseudo.write(tmp_path / "pseudo", photos, masks, [1, 0.97, 0.96])
    data = every_photo(tmp_path / "pseudo")
    assert sorted(data.stems) == ["900", "901", "902"]
    assert (data.read(0)[1] == masks[0]).all() and (data.read(0)[0] == read_image(data.items[0].image)).all()


@pytest.mark.slow
def test_the_near_duplicates_of_picsart_are_found(real_photos):
    test = PortraitDataset("picsart", "test").items
    assert len(test) - len(pseudo.new_photos(test, every_photo("picsart").items)) == 254
