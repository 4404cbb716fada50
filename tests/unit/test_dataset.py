"""Photos and masks by number: the split, the pixels of every layout, order and seeds, subsets and sums."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceseg_utils.data import images
from faceseg_utils.data.catalog import FACE, IGNORE, PARTS
from faceseg_utils.data.layout import every_tenth
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.transforms import Pipeline

# --- Split ---------------------------------------------------------------------------------------------------------


def test_every_tenth_of_the_names_sorted_as_strings():
    stems = [str(n) for n in range(1, 31)]
    # As strings: 1 10 11 12 13 14 15 16 17 18 | 19 2 20 ... 27 | 28 29 3 30 4 5 6 7 8 9
    assert every_tenth(stems) == {"1", "19", "28"}
    assert every_tenth(stems[::-1]) == {"1", "19", "28"}


def test_the_split_of_the_report_on_the_real_photos(real_photos, monkeypatch):
    monkeypatch.setenv("FACESEG_DATA_DIR", str(real_photos.parent))
    train, val, test = (PortraitDataset("picsart", split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (1191, 150, 2177)
    everything = sorted(path.stem for path in (real_photos / "train").iterdir())
    assert val.stems == everything[::10] and not set(train.stems) & set(val.stems)
    photo, mask = val[0]
    assert photo.shape == (320, 240, 3) and mask.shape == (320, 240) and set(np.unique(mask)) == {0, 1}


def test_a_folder_of_ones_own_is_split_the_same_way(own):
    assert PortraitDataset(own, "val").stems == ["00", "10"]
    assert len(PortraitDataset(own, "train")) == 10


def test_the_sample_is_split_by_its_table(named):
    named("sample")
    assert PortraitDataset("sample", "val").stems == ["0000", "0004", "0008"]
    assert len(PortraitDataset("sample", "train")) == 9


def test_fasseg_is_learned_from_one_folder_and_examined_on_the_other(named):
    named("fasseg", count=20)
    parts = {split: PortraitDataset("fasseg", split) for split in ("train", "val", "all", "exam")}
    assert {split: len(part) for split, part in parts.items()} == {"train": 16, "val": 4, "all": 20, "exam": 20}
    assert parts["val"].stems == ["1", "14", "19", "5"], "every fifth of the names sorted as strings"
    for split, part in parts.items():
        assert {item.image.parent.name for item in part.items} == {"Test_RGB" if split == "exam" else "Train_RGB"}
    assert set(parts["train"].stems) | set(parts["val"].stems) == set(parts["all"].stems)


def test_an_unknown_split_or_view_comes_with_the_choices(own):
    with pytest.raises(ValueError, match="has no split 'valid': it has train, val"):
        PortraitDataset(own, "valid")
    with pytest.raises(ValueError, match="has no view 'face': it has person"):
        PortraitDataset(own, view="face")


# --- Pixels --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, layout", [("picsart", "picsart"), ("picsart", "report"), ("sample", "sample")])
def test_layouts_give_photo_and_mask_alike(named, name, layout):
    named(name, layout)
    photo, mask = PortraitDataset(name)[0]
    assert photo.dtype == np.uint8 and photo.shape == (48, 40, 3)
    assert mask.dtype == np.uint8 and mask.shape == (48, 40) and set(np.unique(mask)) == {0, 1}


def test_the_person_is_where_the_photo_is_light(own):
    photo, mask = PortraitDataset(own)[2]
    red = photo[..., 0].astype(float)  # 220 on the person, 40 on the ground
    assert ((red > 130) == (mask == 1)).mean() > 0.95


def test_photos_without_masks_come_as_not_labelled(named):
    named("picsart", count=5)
    photo, mask = PortraitDataset("picsart", "test")[0]
    assert (mask == IGNORE).all() and mask.shape == photo.shape[:2]


def test_views_rename_the_classes_of_the_sample(named):
    named("sample")
    parts, face, person = (PortraitDataset("sample", view=view)[0][1] for view in ("parts", "face", "person"))
    assert set(np.unique(parts)) <= {PARTS.index(name) for name in ("background", "skin", "hair", "clothes")}
    for name in ("skin", "hair"):
        assert (face[parts == PARTS.index(name)] == FACE.index(name)).all() and (parts == PARTS.index(name)).any()
    assert (face[parts == PARTS.index("clothes")] == 0).all()
    assert ((person == 1) == (parts > 0)).all()
    assert PortraitDataset("sample", view="parts").classes == PARTS


def test_stray_colours_take_the_nearest_class(named):
    named("fasseg", count=2)
    _, mask = PortraitDataset("fasseg")[0]
    hair, skin = FACE.index("hair"), FACE.index("skin")
    assert (mask[:6] == hair).all() and set(np.unique(mask[6:-1])) == {0, skin}
    assert mask[-1, :3].tolist() == [FACE.index(name) for name in ("nose", "mouth", "eyes")]
    _, person = PortraitDataset("fasseg", view="person")[0]
    assert ((person == 1) == (mask > 0)).all()


def test_photos_of_sixteen_bits_are_not_white(own):
    Image.fromarray(np.full((48, 40), 60 * 256, np.uint16)).save(own / "images" / "01.png")
    (own / "images" / "01.jpg").unlink()
    data = PortraitDataset(own)
    assert (data[data.stems.index("01")][0] == 60).all()


# --- Files that lie about ------------------------------------------------------------------------------------------


def test_what_file_managers_leave_behind_is_no_photo(own):
    for name in ("images/._00.jpg", "images/.DS_Store", "masks/._00.png", "images/Thumbs.db", "masks/notes.txt"):
        (own / name).write_text("x")
    (own / "images" / "old").mkdir()
    assert len(PortraitDataset(own)) == 10


def put_pipe(folder):
    os.mkfifo(folder / "12.jpg")
    return "12.jpg: a pipe or device, not a file; remove it"


def put_folder(folder):
    (folder / "12.jpg").mkdir()
    return "12.jpg: a folder, not a file; remove it"


def put_link_to_nowhere(folder):
    (folder / "12.jpg").symlink_to("nowhere.jpg")
    return "12.jpg: a link to nowhere; remove it"


def put_tiff(folder):
    shutil.copy(folder / "00.jpg", folder / "12.tif")
    return "12.tif: .tif files are not read; convert it to JPEG or PNG"


def put_name_without_characters(folder):
    shutil.copy(folder / "00.jpg", os.fsdecode(os.fsencode(folder) + b"/caf\xe9.jpg"))
    return r"caf\udce9.jpg: its name is not valid text (UTF-8); rename the file"


@pytest.mark.parametrize("put", [put_pipe, put_folder, put_link_to_nowhere, put_tiff, put_name_without_characters])
def test_a_photo_that_cannot_be_read_is_not_left_out_in_silence(own, put):
    part = put(own / "images")
    with pytest.raises(ValueError) as error:
        PortraitDataset(own)
    assert f"images/{part}" in str(error.value) and str(error.value).isprintable()


@pytest.mark.parametrize(
    "content, part",
    [
        (b"", "cannot be read as a table"),
        (b"name,split\n00,train\n", "needs a column 'id'"),
        (b"id,split\n00,train\n00,val\n", "needs a column 'id' that names each photo once"),
        (b"id,split\n00,train\n01,val,3,4\n", "cannot be read as a table"),
        (b"id,split\n\xff\xfe00,train\n", "cannot be read as a table"),
        (b'id,split\n"00,train\n', "cannot be read as a table"),
    ],
)
@pytest.mark.parametrize("split", ["train", "all"])
def test_a_table_that_is_none_gets_one_line(own, content, part, split):
    (own / "portraits.csv").write_bytes(content)
    with pytest.raises(ValueError) as error:
        len(PortraitDataset(own, split).table)
    message = str(error.value)
    assert f"portraits.csv: {part}" in message.replace(f"{own}/", "") and message.isprintable()


# --- Order, seeds, subsets -----------------------------------------------------------------------------------------


@pytest.fixture
def augmented(own):
    return lambda seed=0: PortraitDataset(own, transform=Pipeline((32, 32), augment="portrait"), seed=seed)


def same(a, b) -> bool:
    return all((x == y).all() for x, y in zip(a, b))


def test_same_seed_and_epoch_same_augmentation_whatever_was_read_before(augmented):
    one, other = augmented(), augmented()
    for i in reversed(range(len(other))):
        other[i]
    assert all(same(one[i], other[i]) for i in range(len(one)))
    assert same(one[0], one[0]), "reading twice gives the same"


def test_another_epoch_seed_or_photo_is_augmented_otherwise(augmented):
    data = augmented()
    before = [data[i] for i in range(len(data))]
    data.epoch = 1
    assert sum(same(before[i], data[i]) for i in range(len(data))) <= 1
    data.epoch = 0
    assert same(before[3], data[3]), "and back again"
    assert sum(same(before[i], augmented(seed=1)[i]) for i in range(len(data))) <= 1
    pair = data._kept.pairs[data.items[0]]
    data._kept.pairs = dict.fromkeys(data.items, pair)  # the same picture under every number
    assert not all(same(data[0], data[i]) for i in range(len(data)))


def test_a_subset_has_these_photos_in_this_order(own):
    data = PortraitDataset(own)
    first = data[5]
    part = data.subset([5, 0, 7])
    assert part.stems == [data.stems[i] for i in (5, 0, 7)] and len(part) == 3
    assert part.read(0)[0] is first[0], "what is decoded is not decoded again"
    for new, old in enumerate((5, 0, 7)):
        assert same(part[new], data[old])
    assert len(data) == 10, "the whole stays whole"
    assert list(part.table.index) == part.stems
    assert part.with_transform(Pipeline((32, 32)))[0][0].shape == (3, 32, 32) and part.transform is None


def test_a_photo_is_decoded_once(own, monkeypatch):
    reads = []
    read = images.read_image
    monkeypatch.setattr(images, "read_image", lambda *args, **options: reads.append(args) or read(*args, **options))
    data = PortraitDataset(own)
    for _ in range(3):
        data[0]
    assert len(reads) == 1


def test_indices_from_the_end_work_and_beyond_it_do_not(own):
    data = PortraitDataset(own)
    assert same(data[-1], data[len(data) - 1])
    for index in (len(data), -len(data) - 1):
        with pytest.raises(IndexError):
            data[index]
    assert len(list(data)) == len(data), "so that a loop ends"


def test_the_table_follows_the_photos(named):
    named("sample")
    data = PortraitDataset("sample", "val")
    assert list(data.table.index) == data.stems and set(data.table["split"]) == {"val"}
    assert list(data.subset([2, 0]).table.index) == ["0008", "0000"]


def test_a_path_may_be_a_string_or_a_path(own):
    assert PortraitDataset(str(own)).stems == PortraitDataset(Path(own)).stems


# --- More photos from elsewhere --------------------------------------------------------------------------------------


def test_datasets_of_different_encodings_are_added(own, named):
    named("sample")
    ours = PortraitDataset(own, "train", transform=Pipeline((32, 32)))
    both = ours + PortraitDataset("sample", "val", "person")
    assert len(both) == len(ours) + 3 and len(ours) == 10  # `ours` itself stays as it was
    assert both[len(ours)][0].shape == (3, 32, 32)
    image, mask = both.read(len(ours))  # class indices there, 0 and 255 here: both become 0 and 1
    assert image.shape == (48, 40, 3) and set(np.unique(mask)) == {0, 1}
    assert both.subset([len(ours), 0]).read(0)[1].max() == 1
    assert list(both.table.index) == both.stems


def test_adding_needs_the_same_classes_and_other_names(own, named):
    named("sample")
    ours = PortraitDataset(own)
    with pytest.raises(ValueError, match="classes differ: background, person here, background, skin"):
        ours + PortraitDataset("sample", view="face")
    with pytest.raises(ValueError, match="'01' is a photo of both"):
        ours + PortraitDataset(own)


ALL = [("sample", "sample", 12), ("picsart", "picsart", 12), ("picsart", "report", 12), ("fasseg", "fasseg", 12)]


@pytest.mark.parametrize("name, kind, count", ALL)
def test_all_has_every_photo_with_a_mask(named, name, kind, count):
    named(name, kind)
    data = PortraitDataset(name, "all")
    exam = set(PortraitDataset(name, "exam").stems) if "exam" in data.info.splits and name == "picsart" else set()
    count -= len(exam)
    assert len(data) == len(set(data.stems)) == count and all(item.mask for item in data.items)
    found = [item for split in ("train", "val") for item in PortraitDataset(name, split).items]
    assert {item.image for item in found if item.stem not in exam} == {item.image for item in data.items}
    data[count - 1]


def test_all_of_a_folder_of_ones_own(own):
    assert PortraitDataset(own, "all").stems == [f"{i:02d}" for i in range(12)]


def test_all_of_a_folder_with_a_split_of_its_own(own):
    rows = [f"{i:02d},{('train', 'val', 'exam')[i % 3]}" for i in range(12)]
    (own / "portraits.csv").write_text("\n".join(["id,split", *rows]))
    data = PortraitDataset(own, "all")
    assert len(data) == 12 and list(data.table["split"][:3]) == ["train", "val", "exam"]
    assert PortraitDataset(own, "val").stems == ["01", "04", "07", "10"]


def test_one_photo_is_enough_for_all(own):
    for file in own.glob("*/*"):
        if file.stem != "00":
            file.unlink()
    assert len(PortraitDataset(own, "all")) == 1
