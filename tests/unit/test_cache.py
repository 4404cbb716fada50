"""Decoded photos in memory: never more than the limit, and with a transform only at the size that it needs."""

import gc

import numpy as np
import pytest

from faceseg_utils.data import cache, images
from faceseg_utils.data.cache import Kept, free_memory
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.transforms import Pipeline
from tools import bench_memory

NATIVE = 48 * 40 * 4  # bytes of a photo and its mask


@pytest.fixture
def count_reads(monkeypatch):
    """The photos that are decoded from now on."""
    reads, read = [], images.read_image
    monkeypatch.setattr(images, "read_image", lambda path, **options: reads.append(path.stem) or read(path, **options))
    return reads


def limited(dataset, limit):
    dataset._kept = Kept(limit)
    return dataset


def test_photos_that_fit_are_decoded_once_and_the_others_every_time(own, count_reads):
    data = limited(PortraitDataset(own, "all"), 3 * NATIVE)
    whole = PortraitDataset(own, "all")
    for i in range(12):
        assert all((a == b).all() for a, b in zip(data[i], whole[i]))
    assert data._kept.bytes == 3 * NATIVE and [item.stem for item in data._kept.pairs] == ["00", "01", "02"]
    count_reads.clear()
    for _ in range(2):
        for i in range(12):
            data[i]
    assert sorted(count_reads) == sorted(2 * [f"{i:02d}" for i in range(3, 12)])


def test_with_a_transform_photos_are_kept_at_the_size_that_it_needs(own, count_reads):
    data = limited(PortraitDataset(own, "all", transform=Pipeline((32, 32))), 12 * 32 * 32 * 4)
    first = [data[i] for i in range(12)]
    assert {pair[0].shape for pair in data._kept.pairs.values()} == {(32, 32, 3)}
    assert data._kept.bytes == 12 * 32 * 32 * 4 < 12 * NATIVE
    count_reads.clear()
    assert all((a == b).all() for i in range(12) for a, b in zip(first[i], data[i])) and not count_reads


def test_what_is_kept_refers_to_no_larger_array(own):
    data = PortraitDataset(own, "all", transform=Pipeline((32, 32)))
    data[0]
    for array in data._kept.pairs[data.items[0]]:
        while array.base is not None:
            array = array.base
            assert array.nbytes <= 32 * 32 * 3


def test_all_datasets_together_keep_a_quarter_of_the_free_memory(own, monkeypatch):
    gc.collect()
    others = sum(kept.bytes for kept in Kept._filled)  # of datasets that other tests have left
    sets = [PortraitDataset(own, "all") for _ in range(3)]

    def free():  # of a machine on which nothing but these photos takes memory
        return 40 * NATIVE + 3 * others - sum(data._kept.bytes for data in sets)

    monkeypatch.setattr(cache, "free_memory", free)
    for data in sets:
        for i in range(12):
            data[i]
    assert [data._kept.bytes // NATIVE for data in sets] == [10, 0, 0]
    del data
    sets[0] = PortraitDataset(own, "all")
    gc.collect()
    assert sets[1].read(0) and sets[1]._kept.bytes == NATIVE, "what a dataset kept is free once it is gone"


def test_a_part_shares_what_is_kept_and_another_transform_does_not(own):
    data = PortraitDataset(own, "all")
    assert data.subset([3])[0][0] is data[3][0]
    assert data.with_transform(Pipeline((32, 32)))._kept is not data._kept


def test_free_memory_is_that_of_this_machine():
    assert 2**26 < free_memory() < 2**44


@pytest.mark.slow
def test_resident_memory_is_flat_beyond_the_limit(capsys):
    rows = bench_memory.main(["--photos", "40", "--size", "1500", "1000", "--limit", "24"])
    plain, resident, fitted, small = np.array(rows, float).T[1:]
    assert plain[0] == plain[-1] == 24e6 and resident[-1] < 24e6 + 30e6  # all 40 would take 240 MB
    assert resident[-1] - resident[1] < 15e6
    assert fitted[-1] == 40 * 256 * 192 * 4 and small[-1] < 40e6
    assert capsys.readouterr().out.count("\n") == 2 + len(rows)


def test_decoding_ahead_reads_each_photo_once_and_stops_where_the_room_ends(make_dataset, monkeypatch):
    photos, read = PortraitDataset(make_dataset("own", 6), "all"), []
    once = type(photos.items[0]).read
    monkeypatch.setattr(type(photos.items[0]), "read", lambda item: read.append(item.stem) or once(item))
    photos.decode()
    photos.decode()
    assert read == photos.stems, "the second time there is nothing to do"
    photos._kept, size = Kept(limit=2 * sum(array.nbytes for array in photos[0])), len(read)
    photos.decode()
    assert len(photos._kept.pairs) == 2 and len(read) - size == 3
