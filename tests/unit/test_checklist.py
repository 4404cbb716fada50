"""The check-list and the faults that it looks for: one clear line for each, and masks resized to their photos."""

import shutil

import numpy as np
import pytest
from PIL import Image

from faceseg_utils.data.catalog import DATASETS, PARTS, location
from faceseg_utils.data.checklist import SHOWN, check_list, fix_sizes
from faceseg_utils.dataset import PortraitDataset

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
    return "images: none of the 1 photos is in the split 'train'", "split 'all'"


def different_sizes(root):
    with Image.open(root / "masks" / "03.png") as file:
        file.crop((0, 0, 40, 47)).save(root / "masks" / "03.png")
    return "masks/03.png: mask is 47 x 40 but its photo 03.jpg is 48 x 40 (height x width)", "--fix-sizes"


def lying_mask(root):
    with Image.open(root / "masks" / "03.png") as file:
        file.transpose(Image.Transpose.ROTATE_90).save(root / "masks" / "03.png")
    return "masks/03.png: mask is 40 x 48 but its photo 03.jpg is 48 x 40 (height x width)", "turn it"


def truncated_jpeg(root):
    file = root / "images" / "03.jpg"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return "images/03.jpg: cannot be read as an image", "fetch the file again or remove it"


def no_image_at_all(root):
    (root / "images" / "03.jpg").write_text("<html>404</html>")
    return "images/03.jpg: no image that can be read", "choose a JPEG"


def truncated_mask(root):
    file = root / "masks" / "03.png"
    file.write_bytes(file.read_bytes()[:60])
    return "masks/03.png: cannot be read as an image", "fetch the file again"


def stray_values(root):
    file = root / "masks" / "03.png"
    mask = np.array(Image.open(file))
    mask[0, 0], mask[5, 5] = 7, 254
    Image.fromarray(mask).save(file)
    return "masks/03.png: mask holds the values 7, 254 but may hold only 0 (background) and 255", "saved as JPEG"


def nobody(root):
    Image.fromarray(np.zeros((48, 40), np.uint8)).save(root / "masks" / "03.png")
    return "03.png", ""


def photo_in_two_splits(root):
    (root / "portraits.csv").write_text("id,split\n03,val\n03,train\n")
    return "portraits.csv: '03' is in more than one split", "keep one of its rows"


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
    (different_sizes, SIZE), (lying_mask, SIZE), (truncated_jpeg, READ), (no_image_at_all, READ),
    (truncated_mask, READ), (stray_values, VALUES),
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
    "damage, question",
    [(damage, PAIRED) for damage in IN_THE_FOLDER] + IN_A_FILE + [(nobody, EMPTY), (photo_in_two_splits, SPLITS)],
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
    named(name, layout, 9)  # of PicsArt, number 1 is for validation and 8 for the exam
    checks = check_list(name)
    shown = [SHOWN] if name == "fasseg" else []  # the others are person or background at first sight
    assert [check.question for check in checks] == [PAIRED, READ, SIZE, VALUES, EMPTY, *shown, SPLITS]
    assert all(check.passed for check in checks), "\n".join(map(str, checks))


def test_stray_colours_are_counted(named):
    named("fasseg", count=2)
    (values,) = [check for check in check_list("fasseg") if check.question == VALUES]
    files = [path for folder in ("Train", "Test") for path in location("fasseg").glob(f"V2/{folder}_Labels/*.bmp")]
    known, strays = set(DATASETS["fasseg"].colours), 0
    for file in files:
        strays += sum(tuple(colour) not in known for colour in np.asarray(Image.open(file)).reshape(-1, 3).tolist())
    assert values.detail == f"4 looked at; {strays:,} pixels of other colours took the nearest" and strays > 1000


def test_a_class_that_a_split_never_shows_is_named(named):
    root = named("fasseg", count=6)  # 1 and 6 are for validation
    for number in (1, 6):
        file = root / "V2" / "Train_Labels" / f"{number}.bmp"
        label = np.array(Image.open(file))
        label[-1, :3] = DATASETS["fasseg"].colours[0]
        Image.fromarray(label).save(file)
    failed = [check for check in check_list("fasseg") if not check.passed]
    missing = [f"{name} is in no photo of val" for name in ("nose", "mouth", "eyes")]
    assert [(check.question, check.detail) for check in failed] == [(SHOWN, "; ".join(missing))]


def test_the_check_list_sees_a_photo_in_two_splits(named, monkeypatch):
    named("picsart")
    monkeypatch.setattr("faceseg_utils.data.layout._stems_of_split", lambda info, root, split, stems: set(stems))
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


# --- Masks resized to their photos -----------------------------------------------------------------------------------


def enlarge(root, stem, kind="png", mode="L"):
    """The mask of `stem`, three times as large, in another file format; returns its content."""
    with Image.open(root / "masks" / f"{stem}.png") as file:
        large = file.resize((120, 144), Image.Resampling.NEAREST).convert(mode)
    (root / "masks" / f"{stem}.png").unlink()
    large.save(root / "masks" / f"{stem}.{kind}")
    return (root / "masks" / f"{stem}.{kind}").read_bytes()


def test_masks_are_resized_and_their_originals_kept(own):
    before = {file.name: file.read_bytes() for file in (own / "masks").iterdir()}
    data = PortraitDataset(own, "all")
    wanted = [data.read(i)[1] for i in range(len(data))]
    originals = {"03.png": enlarge(own, "03"), "04.bmp": enlarge(own, "04", "bmp", "RGB")}
    assert fix_sizes(own) == [own / "masks" / "03.png", own / "masks" / "04.png"]
    assert all(check.passed for check in check_list(own))
    data = PortraitDataset(own, "all")
    assert all((data.read(i)[1] == mask).all() for i, mask in enumerate(wanted))
    assert {file.name: file.read_bytes() for file in (own / "masks_original").iterdir()} == originals
    after = {file.name: file.read_bytes() for file in (own / "masks").iterdir()}
    assert after.keys() == before.keys() and all(after[n] == before[n] for n in before if n[:2] not in ("03", "04"))
    assert fix_sizes(own) == [], "a second time there is nothing to do"


def test_masks_in_the_layout_of_the_report_are_resized(make_dataset):
    root = make_dataset("report") / "train"
    original = enlarge(root, "3")
    assert fix_sizes(root.parent) == [root / "masks" / "3.png"]
    assert (root / "masks_original" / "3.png").read_bytes() == original


@pytest.mark.parametrize("damage", [lying_mask, truncated_jpeg, no_image_at_all, truncated_mask, stray_values])
def test_masks_with_other_faults_stay_as_they_are(own, damage):
    damage(own)
    before = {file: file.read_bytes() for file in own.glob("*/*")}
    assert fix_sizes(own) == []
    assert {file: file.read_bytes() for file in own.glob("*/*")} == before


def test_an_original_is_never_replaced(own):
    enlarge(own, "03")
    (own / "masks_original").mkdir()
    (own / "masks_original" / "03.png").write_text("precious")
    before = (own / "masks" / "03.png").read_bytes()
    with pytest.raises(FileExistsError, match="masks_original/03.png is there already and differs .* move it away"):
        fix_sizes(own)
    assert (own / "masks_original" / "03.png").read_text() == "precious"
    assert (own / "masks" / "03.png").read_bytes() == before


def test_a_disk_that_is_full_loses_no_mask(own, monkeypatch):
    original = enlarge(own, "03")

    def full(self, *args, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", full)
        with pytest.raises(OSError, match="03.png: could not be written .No space left on device"):
            fix_sizes(own)
    assert (own / "masks" / "03.png").read_bytes() == original
    assert fix_sizes(own) == [own / "masks" / "03.png"], "and the next try goes on"
    assert (own / "masks_original" / "03.png").read_bytes() == original


@pytest.mark.parametrize("by_path", [False, True])
def test_published_datasets_stay_as_they_are(named, by_path):
    root = named("picsart", "report")
    enlarge(root / "train", "3")
    with pytest.raises(ValueError, match="a published dataset stays as it is"):
        fix_sizes(root if by_path else "picsart")
    assert not (root / "train" / "masks_original").exists()
