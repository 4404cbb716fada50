"""Pseudo-labels leave out what resembles a labelled photo, and become a folder that the course reads."""

import numpy as np
import pytest
from PIL import Image

from experiments.pseudo import run as pseudo
from faceseg_utils.data.catalog import DATASETS
from faceseg_utils.data.images import read_image
from faceseg_utils.data.layout import Item
from faceseg_utils.dataset import PortraitDataset


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
    assert [item.stem for item in pseudo.new_photos(unlabelled, labelled)] == ["902"]


def test_bits_are_counted():
    a, b = np.zeros((2, 256), bool), np.zeros((1, 256), bool)
    a[1, :7] = True
    assert pseudo.bits_apart(a, b).tolist() == [[0], [7]]


def test_what_is_written_is_a_dataset_of_the_course(photos, tmp_path):
    masks = [np.tri(200, 150, dtype=np.uint8)] * 3
    pseudo.write(tmp_path / "pseudo", photos, masks, [1, 0.97, 0.96])
    data = PortraitDataset(tmp_path / "pseudo", "all")
    assert sorted(data.stems) == ["900", "901", "902"]
    assert (data.read(0)[1] == masks[0]).all() and (data.read(0)[0] == read_image(data.items[0].image)).all()
    pseudo.write(tmp_path / "pseudo", photos[1:], masks[1:], [0.97, 0.96])  # made again, with fewer photos
    assert len(PortraitDataset(tmp_path / "pseudo", "all")) == 2


def test_a_folder_with_something_else_is_not_overwritten(photos, tmp_path):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FileExistsError, match="holds something other than pseudo-labels"):
        pseudo.write(tmp_path, photos, [np.tri(200, 150, dtype=np.uint8)] * 3, [1, 1, 1])
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_the_near_duplicates_of_picsart_are_found(real_photos):
    test = PortraitDataset("picsart", "test").items
    assert len(test) - len(pseudo.new_photos(test, PortraitDataset("picsart", "all").items)) == 254
