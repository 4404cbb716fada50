"""The letterbox and its inverse, padding that counts nowhere, and augmentation that a seed fixes."""

import numpy as np
import pytest
import torch

from faceseg_utils.config import AUGMENTATIONS
from faceseg_utils.data.catalog import IGNORE
from faceseg_utils.model import Segmenter
from faceseg_utils.network.saved import ModelConfig
from faceseg_utils.transforms import Pipeline, augmentations, letterbox

NATIVES = [(320, 240), (240, 320), (64, 64), (100, 37), (37, 100), (480, 640), (33, 500)]
SIZES = [(64, 64), (128, 96), (96, 128)]


def smooth(native):
    """A photo that survives scaling: slow ramps, uint8 [H, W, 3]."""
    rows, columns = np.mgrid[: native[0], : native[1]]
    ramp = 60 + 130 * np.stack([rows / native[0], columns / native[1], (rows + columns) / sum(native)], -1)
    return ramp.astype(np.uint8)


def disk(native):
    rows, columns = np.mgrid[: native[0], : native[1]]
    return (((rows / native[0] - 0.5) ** 2 + (columns / native[1] - 0.5) ** 2) < 0.1).astype(np.uint8)


def place_in(box):
    """The one rectangle of a mask in which all is True: (top, left, height, width)."""
    rows, columns = (box.any(axis).nonzero()[0] for axis in (1, 0))
    assert box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].sum() == box.sum() == len(rows) * len(columns)
    return rows[0], columns[0], len(rows), len(columns)


def unpad(scores, native):
    settings = ModelConfig("unet", ("background", "person"), scores.shape[-2:], (0.5,) * 3, (0.5,) * 3)
    return Segmenter(torch.nn.Identity(), settings).unpad(scores, native)


@pytest.mark.parametrize("native", [*NATIVES, (1000, 1)])
@pytest.mark.parametrize("size", SIZES)
def test_the_letterbox_keeps_the_shape_and_touches_the_box(native, size):
    _, mask = Pipeline(size).fit(smooth(native), disk(native))
    top, left, height, width = place_in(mask != IGNORE)
    assert height == size[0] or width == size[1]
    assert 0 <= top <= size[0] - height and 0 <= left <= size[1] - width
    assert abs(top - (size[0] - height - top)) <= 1 and abs(left - (size[1] - width - left)) <= 1  # centred
    assert width == 1 or abs(height - native[0] * width / native[1]) <= max(0.5, 0.5 * native[0] / native[1]) + 1e-9


def test_unpad_takes_all_of_the_photo_and_nothing_else_whatever_its_size():
    random = np.random.default_rng(1)
    for _ in range(300):
        native, size = random.integers(1, 900, 2).tolist(), (32 * random.integers(1, 14, 2)).tolist()
        mask = letterbox(size)(image=np.zeros((*native, 3), np.uint8), mask=np.zeros(native, np.uint8))["mask"]
        padding = torch.from_numpy(mask == IGNORE)
        assert not unpad(padding[None, None].float(), native).any(), (native, size)
        top, left, height, width = place_in(mask != IGNORE)
        frame = torch.zeros(size)
        frame[[top, top + height - 1], left : left + width] = frame[top : top + height, [left, left + width - 1]] = 1
        back = unpad(frame[None, None], native)[0, 0]
        assert all(side.all() for side in (back[0], back[-1], back[:, 0], back[:, -1])), (native, size)


@pytest.mark.parametrize("native", NATIVES)
def test_what_is_letterboxed_stays_as_it_is(native):
    """A dataset keeps the letterboxed photo; what is made of it is the same as from the file."""
    pipeline = Pipeline((128, 96), augment="portrait")
    photo, mask = smooth(native), disk(native)
    kept = pipeline.fit(photo, mask)
    assert all((a == b).all() for a, b in zip(pipeline.fit(*kept), kept))
    assert all(torch.equal(a, b) for a, b in zip(pipeline(*kept, 3), pipeline(photo, mask, 3)))


@pytest.mark.parametrize("native", NATIVES)
@pytest.mark.parametrize("size", SIZES)
def test_unpad_undoes_the_letterbox(native, size):
    photo = smooth(native)
    image, mask = Pipeline(size).arrays(photo, disk(native))
    assert image.shape == (*size, 3) and mask.shape == size
    back = unpad(torch.from_numpy(image).permute(2, 0, 1)[None].float(), native)
    assert back.shape == (1, 3, *native)
    difference = np.abs(back[0].permute(1, 2, 0).numpy() - photo)
    assert difference.mean() < 3, "grey levels: a shift of the crop would show on the ramps"


def test_unpad_undoes_it_to_the_pixel_where_nothing_is_scaled():
    photo = np.random.default_rng(0).integers(0, 256, (320, 240, 3), dtype=np.uint8)
    image, _ = Pipeline((320, 256)).arrays(photo, disk((320, 240)))
    back = unpad(torch.from_numpy(image).permute(2, 0, 1)[None], (320, 240))
    assert (back[0].permute(1, 2, 0).numpy() == photo).all()


@pytest.mark.parametrize("native", NATIVES)
def test_padding_is_255_in_the_mask_and_0_in_the_photo_and_nothing_else_is(native):
    size = (128, 96)
    image, mask = Pipeline(size).arrays(np.full((*native, 3), 99, np.uint8), disk(native))
    inside = mask != IGNORE
    assert max(np.divide(place_in(inside)[2:], size)) == 1
    assert (image[~inside] == 0).all() and (image[inside] == 99).all()
    _, mask = Pipeline(size, padding=0).arrays(np.full((*native, 3), 99, np.uint8), np.ones(native, np.uint8))
    assert (mask == inside).all()


def test_what_augmentation_moves_in_is_padding_too():
    photo, mask = np.full((128, 96, 3), 99, np.uint8), np.ones((128, 96), np.uint8)
    seen = [Pipeline((128, 96), augment="portrait", padding=0).arrays(photo, mask, seed)[1] for seed in range(8)]
    assert set(np.concatenate(seen, axis=None)) == {0, 1}


@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_masks_get_no_new_classes(augment):
    mask = np.zeros((80, 60), np.uint8)
    mask[20:60, 15:45] = 12  # a blend of 0 and 12, or of 12 and 255, would be another number
    pipeline = Pipeline((64, 64), augment=augment)
    seen = [np.unique(pipeline.arrays(smooth(mask.shape), mask, seed)[1]) for seed in range(30)]
    assert set(np.concatenate(seen)) == {0, 12, IGNORE}


@pytest.mark.parametrize("size, fits", [((100, 96), (128, 96)), ((320, 240), (320, 256)), ((0, 0), (32, 32))])
def test_a_size_that_does_not_fit_comes_with_one_that_does(size, fits):
    with pytest.raises(ValueError) as error:
        Pipeline(size)
    assert str(error.value) == f"size {size} is not divisible by 32: take {fits}, the letterbox pads to it"
    Pipeline(fits)


def test_augmentations_by_name():
    assert augmentations("none") == []
    assert [type(step).__name__ for step in augmentations("report")] == ["Transpose", "HorizontalFlip", "VerticalFlip"]
    assert "VerticalFlip" not in [type(step).__name__ for step in augmentations("portrait")]
    with pytest.raises(ValueError, match="unknown augmentation 'portrit': choose one of none, report, portrait"):
        augmentations("portrit")
    with pytest.raises(ValueError, match=r"transposes, so \(64, 32\) must be square: take \(64, 64\)"):
        Pipeline((64, 32), augment="report")


def test_report_is_the_eight_ways_to_lay_down_a_square():
    photo = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    ways = {a.tobytes() for k in range(4) for a in (np.rot90(photo, k), np.rot90(photo.transpose(1, 0, 2), k))}
    pipeline = Pipeline((32, 32), augment="report")
    mask = photo[..., 0] // 64
    seen = set()
    for seed in range(60):
        image, label = pipeline.arrays(photo, mask, seed)
        seen.add(image.tobytes())
        assert (image[..., 0] // 64 == label).all(), "photo and mask move together"
    assert seen == ways


def test_steps_decide_independently_of_each_other():
    """albumentations' own seeding gives every step the same draws: whatever is flipped would also be tinted."""
    photo = np.zeros((32, 32, 3), np.uint8)
    photo[:, :16] = (250, 0, 0)
    pipeline = Pipeline((32, 32), augment="report")
    met = [tuple(pipeline.arrays(photo, photo[..., 0], seed)[0][[0, 0, -1], [0, -1, 0], 0] > 0) for seed in range(200)]
    # The red half on the left, right, top, bottom, each about 50 times in 200.
    counts = [met.count(way) for way in [(1, 0, 1), (0, 1, 0), (1, 1, 0), (0, 0, 1)]]
    assert sum(counts) == 200 and min(counts) > 25, counts


def test_zoom_out_shrinks_people_in_proportion_and_what_it_adds_does_not_count():
    photo, person = np.full((96, 96, 3), 99, np.uint8), disk((96, 96))
    smallest = {}
    for augment in ("portrait", "zoom-out"):
        seen = [Pipeline((96, 96), augment=augment).arrays(photo, person, seed)[1] for seed in range(80)]
        smallest[augment] = min((label == 1).sum() / person.sum() for label in seen)
    assert 0.4**2 * 0.9 < smallest["zoom-out"] < 0.25 < 0.5 < smallest["portrait"]  # areas, so squares of the scale
    tiny = min(seen, key=lambda label: (label == 1).sum())
    assert set(np.unique(tiny)) == {0, 1, IGNORE} and (tiny == IGNORE).mean() > 0.5
    height, width = (np.ptp(place) + 1 for place in np.nonzero(tiny == 1))
    assert 0.85 < height / width < 1.15, "a disk stays a disk, but for a little shear"


def test_photo_and_mask_move_together_under_portrait():
    native = (96, 96)
    mask = disk(native)
    photo = np.repeat(mask[..., None] * 255, 3, -1)
    pipeline = Pipeline((96, 96), augment="portrait")
    for seed in range(20):
        image, label = pipeline.arrays(photo, mask, seed)
        light = image.astype(float).mean(-1)
        lit = light > (light.max() + light.min()) / 2
        both = (lit & (label == 1)).sum()
        assert 2 * both / (lit.sum() + (label == 1).sum()) > 0.9


def test_the_seed_alone_decides():
    photo, mask = smooth((80, 60)), disk((80, 60))
    one, other = (Pipeline((64, 64), augment="portrait") for _ in range(2))
    other.arrays(photo, mask, 5)  # a different past
    assert (one.arrays(photo, mask, 7)[0] == other.arrays(photo, mask, 7)[0]).all()
    assert (one.arrays(photo, mask, 7)[0] != one.arrays(photo, mask, 8)[0]).any()
    one.arrays(photo, mask, 2**40 + 3)  # any integer will do


def test_tensors_are_normalised_as_asked():
    photo = np.zeros((32, 64, 3), np.uint8)
    photo[0, 0] = (255, 128, 0)
    tensor, _ = Pipeline((32, 64), (0.5, 0.25, 0.0), (0.5, 0.25, 2.0))(photo, photo[..., 0])
    assert tensor.dtype == torch.float32 and tensor.shape == (3, 32, 64)
    assert tensor[:, 0, 0].tolist() == pytest.approx([1.0, (128 / 255 - 0.25) / 0.25, 0.0])
    assert tensor[:, 1, 1].tolist() == pytest.approx([-1.0, -1.0, 0.0])


def test_the_pipeline_answers_what_a_network_takes():
    x, y = Pipeline((64, 32), augment="portrait")(smooth((80, 60)), disk((80, 60)), seed=0)
    assert (x.dtype, x.shape, y.dtype, y.shape) == (torch.float32, (3, 64, 32), torch.int64, (64, 32))
