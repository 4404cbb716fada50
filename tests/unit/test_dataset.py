"""Reading photos and masks, the split, the check-list: every layout, and one clear line for every fault."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceseg_utils import catalog
from faceseg_utils.catalog import DATASETS, FACE, IGNORE, PARTS
from faceseg_utils.dataset import (
    PortraitDataset,
    check_list,
    every_photo,
    every_tenth,
    list_items,
    read_image,
    read_mask,
)
from faceseg_utils.transforms import Pipeline


@pytest.fixture
def own(make_dataset):
    return make_dataset("own")


@pytest.fixture
def named(make_dataset, tmp_path, monkeypatch):
    """`named(name)` puts a made-up dataset where the catalog looks for that name."""

    def put(name, layout=None, count=12):
        monkeypatch.setenv("FACESEG_DATA_DIR", str(tmp_path / "data"))
        monkeypatch.setattr(catalog, "course_root", lambda: tmp_path)
        return make_dataset(layout or name, count, tmp_path / "data" / name)

    return put


# --- Faults: what is damaged, what the message must name, which question of the check-list fails --------------------


def photo_without_mask(root):
    (root / "masks" / "03.png").unlink()
    return "images/03.jpg: no mask of this name in", "masks; add 03.* there or remove it"


def mask_without_photo(root):
    (root / "images" / "03.jpg").unlink()
    return "masks/03.png: no photo of this name in", "images; add 03.* there or remove it"


def two_photos_of_one_name(root):
    shutil.copy(root / "images" / "03.jpg", root / "images" / "03.jpeg")
    return "images/03.jpg", "rename or remove one"


def empty_folder(root):
    shutil.rmtree(root / "images")
    (root / "images").mkdir()
    return "images: no images here", "NAME.jpg"


def no_folder(root):
    shutil.rmtree(root / "masks")
    return "masks: no such folder", "data/README.md"


def too_few(root):
    for file in root.glob("*/*"):
        if file.stem != "00":
            file.unlink()
    return "images: 1 photos are too few", "split 'train'"


def different_sizes(root):
    with Image.open(root / "masks" / "03.png") as file:
        file.crop((0, 0, 40, 47)).save(root / "masks" / "03.png")
    return "masks/03.png: mask is 40 x 47 but its photo 03.jpg is 40 x 48", "same size"


def truncated_jpeg(root):
    file = root / "images" / "03.jpg"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return "images/03.jpg: cannot be read as an image", "fetch the file again or remove it"


def no_image_at_all(root):
    (root / "images" / "03.jpg").write_text("<html>404</html>")
    return "images/03.jpg: cannot be read as an image", "fetch the file again"


def truncated_mask(root):
    file = root / "masks" / "03.png"
    file.write_bytes(file.read_bytes()[:60])
    return "masks/03.png: cannot be read as a mask", "fetch the file again"


def stray_values(root):
    file = root / "masks" / "03.png"
    mask = np.array(Image.open(file))
    mask[0, 0], mask[5, 5] = 7, 254
    Image.fromarray(mask).save(file)
    return "masks/03.png: mask holds the values 7, 254 but may hold only 0 (background) and 255", "saved as JPEG"


def nobody(root):
    Image.fromarray(np.zeros((48, 40), np.uint8)).save(root / "masks" / "03.png")
    return "03.png", ""


PAIRED, READ, SIZE, VALUES, EMPTY, SPLITS = (
    "every photo has its mask, every mask its photo",
    "every file can be read",
    "photo and mask have the same size",
    "masks hold only the values they may",
    "no mask is empty",
    "no photo is in two splits",
)
IN_THE_FOLDER = [photo_without_mask, mask_without_photo, two_photos_of_one_name, empty_folder, no_folder, too_few]
IN_A_FILE = [
    (different_sizes, SIZE), (truncated_jpeg, READ), (no_image_at_all, READ), (truncated_mask, READ),
    (stray_values, VALUES),
]  # fmt: skip


def assert_names(message, parts, root):
    assert "\n" not in message
    for part in parts:
        assert part in message.replace(str(root) + "/", ""), message


@pytest.mark.parametrize("damage", IN_THE_FOLDER)
def test_a_faulty_folder_is_refused_at_once(own, damage):
    parts = damage(own)
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        PortraitDataset(own)
    assert_names(str(error.value), parts, own)


@pytest.mark.parametrize("damage", [damage for damage, _ in IN_A_FILE])
def test_a_faulty_file_is_refused_when_it_is_read(own, damage):
    parts = damage(own)
    data = PortraitDataset(own)
    at = data.stems.index("03")
    with pytest.raises(ValueError) as error:
        data[at]
    assert_names(str(error.value), parts, own)
    data[at - 1]  # the others are as good as before


@pytest.mark.parametrize(
    "damage, question", [(damage, PAIRED) for damage in IN_THE_FOLDER] + IN_A_FILE + [(nobody, EMPTY)]
)
def test_the_check_list_fails_on_the_fault_and_on_nothing_else(own, damage, question):
    parts = damage(own)
    failed = [check for check in check_list(own) if not check.passed]
    assert [check.question for check in failed] == [question]
    assert_names(str(failed[0]), parts, own)
    assert str(failed[0]).startswith("FAIL")


def test_the_check_list_counts_further_faults(own):
    stray_values(own)
    shutil.copy(own / "masks" / "03.png", own / "masks" / "04.png")
    (check,) = [check for check in check_list(own) if not check.passed]
    assert check.detail.endswith("(and 1 more)")


@pytest.mark.parametrize("name, layout", [(n, n) for n in ("sample", "picsart", "fasseg")] + [("picsart", "report")])
def test_the_check_list_passes_on_good_data(named, name, layout):
    named(name, layout)
    checks = check_list(name)
    assert [check.question for check in checks] == [PAIRED, READ, SIZE, VALUES, EMPTY, SPLITS]
    assert all(check.passed for check in checks), "\n".join(map(str, checks))


def test_the_check_list_sees_a_photo_in_two_splits(named, monkeypatch):
    named("picsart")
    monkeypatch.setattr("faceseg_utils.dataset._split_stems", lambda info, root, split, stems: set(stems))
    assert [check.question for check in check_list("picsart") if not check.passed] == [SPLITS]


def test_unknown_classes_of_an_index_mask_are_named(named):
    file = named("sample") / "masks" / "0001.png"
    mask = np.array(Image.open(file))
    mask[0, 0] = len(PARTS)
    Image.fromarray(mask).save(file)
    data = PortraitDataset("sample")
    with pytest.raises(ValueError, match=r"0001.png: mask holds the values 13 but may hold class indices 0 to 12"):
        data[data.stems.index("0001")]
    assert [check.question for check in check_list("sample") if not check.passed] == [VALUES]


def test_a_table_that_does_not_fit_the_photos_is_named(named):
    root = named("sample")
    (root / "images" / "0003.jpg").unlink()
    (root / "masks" / "0003.png").unlink()
    with pytest.raises(ValueError, match="portraits.csv: '0003' is not both here and in images/"):
        PortraitDataset("sample")


# --- Split ---------------------------------------------------------------------------------------------------------


def test_every_tenth_of_the_names_sorted_as_strings():
    stems = [str(n) for n in range(1, 31)]
    # As strings: 1 10 11 12 13 14 15 16 17 18 | 19 2 20 ... 27 | 28 29 3 30 4 5 6 7 8 9
    assert every_tenth(stems) == {"1", "19", "28"}
    assert every_tenth(stems[::-1]) == {"1", "19", "28"}


def test_the_split_of_the_report_on_the_real_photos(real_photos, monkeypatch):
    monkeypatch.setenv("FACESEG_DATA_DIR", str(real_photos.parent))
    train, val, test = (PortraitDataset("picsart", split) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (1341, 150, 2177)
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


def test_fasseg_has_a_folder_for_each_split(named):
    named("fasseg", count=3)
    train, val = PortraitDataset("fasseg", "train"), PortraitDataset("fasseg", "val")
    assert train.stems == val.stems == ["1", "2", "3"]
    assert train.items[0].image.parent.name == "Train_RGB" and val.items[0].image.parent.name == "Test_RGB"


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
    assert (mask[:6] == hair).all() and set(np.unique(mask[6:])) == {0, skin}
    _, person = PortraitDataset("fasseg", view="person")[0]
    assert ((person == 1) == (mask > 0)).all()


@pytest.mark.parametrize("colour, name", zip(DATASETS["fasseg"].colours, FACE))
def test_each_colour_of_fasseg_is_its_class(tmp_path, colour, name):
    Image.new("RGB", (2, 2), colour).save(tmp_path / "m.bmp")
    assert (read_mask(tmp_path / "m.bmp", DATASETS["fasseg"]) == FACE.index(name)).all()


def test_zero_and_one_will_do_for_zero_and_255(own):
    file = own / "masks" / "03.png"
    mask = np.array(Image.open(file))
    Image.fromarray(mask // 255).save(file)
    assert (read_mask(file, catalog.own_folder(own)) == mask // 255).all()


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "LA"])
def test_masks_are_read_in_any_mode(tmp_path, mode):
    mask = np.zeros((4, 4), np.uint8)
    mask[1:3] = 255
    picture = Image.fromarray(mask)
    if mode == "P":  # a palette of black and white
        picture = Image.fromarray(mask // 255)
        picture.putpalette([0, 0, 0, 255, 255, 255])
    picture.convert(mode).save(tmp_path / "m.png")
    assert (read_mask(tmp_path / "m.png", DATASETS["picsart"]) == mask // 255).all()


def test_grey_and_turned_photos_are_read_as_one_sees_them(tmp_path):
    Image.new("L", (4, 6), 9).save(tmp_path / "grey.png")
    assert read_image(tmp_path / "grey.png").shape == (6, 4, 3)
    exif = Image.Exif()
    exif[274] = 6  # "turn me by 90 degrees", as phones write it
    Image.new("RGB", (8, 4)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").shape == (8, 4, 3)


def test_what_macos_leaves_behind_is_no_photo(own):
    for name in ("images/._00.jpg", "images/.DS_Store", "masks/._00.png", "images/Thumbs.db", "masks/notes.txt"):
        (own / name).write_text("x")
    assert len(list_items(catalog.own_folder(own), own, "train")) == 10


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
    data._decoded = {i: data.read(0) for i in range(len(data))}  # the same picture under every number
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
    part.transform = Pipeline((32, 32))
    assert data.transform is None


def test_a_photo_is_decoded_once(own, monkeypatch):
    reads = []
    monkeypatch.setattr("faceseg_utils.dataset.read_image", lambda path: reads.append(path) or read_image(path))
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


def test_datasets_of_different_encodings_are_joined(own, make_dataset, named, monkeypatch):
    named("sample")
    seen = []
    ours = PortraitDataset(own, "train", transform=lambda image, mask, seed: seen.append(seed) or (image, mask))
    both = ours.joined(PortraitDataset("sample", "val", "person"))
    assert len(both) == len(ours) + 3 and len(ours) == 10  # `ours` itself stays as it was
    image, mask = both[len(ours)]  # class indices there, 0 and 255 here: both become 0 and 1
    assert image.shape == (48, 40, 3) and set(np.unique(mask)) == {0, 1} and len(seen) == 1
    assert both.subset([len(ours), 0]).read(0)[1].max() == 1
    assert list(both.table.index) == both.stems


def test_joining_needs_the_same_classes_and_other_names(own, named):
    named("sample")
    ours = PortraitDataset(own)
    with pytest.raises(ValueError, match="classes differ: background, person here, background, skin"):
        ours.joined(PortraitDataset("sample", view="face"))
    with pytest.raises(ValueError, match="'01' is a photo of both"):
        ours.joined(PortraitDataset(own))


def test_every_photo_has_all_splits(own):
    assert sorted(every_photo(own).stems) == [f"{i:02d}" for i in range(12)]
