"""Made-up datasets of a few tiny portraits, in every layout that the course reads."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from faceseg_utils import paths
from faceseg_utils.data import catalog

HEIGHT, WIDTH = 48, 40  # pixels; the real photos have 320 x 240


def portrait(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A light ellipse on a dark ground, uint8 [48, 40, 3], and where it is, bool [48, 40]."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    y, x, height, width = random.uniform((20, 15, 12, 8), (30, 25, 20, 14))
    person = ((rows - y) / height) ** 2 + ((columns - x) / width) ** 2 < 1
    photo = np.where(person[..., None], (220, 170, 140), (40, 60, 90)) + random.normal(0, 12, (HEIGHT, WIDTH, 3))
    return photo.clip(0, 255).astype(np.uint8), person


def save(path, array) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path)


def _binary(root, images, masks, names):
    for name in names:
        photo, person = portrait(int(name))
        save(root / images / f"{name}.jpg", photo)
        save(root / masks / f"{name}.png", person * 255)


def _picsart(root, count):
    _binary(root, "train", "train_mask", map(str, range(1, count + 1)))
    for name in range(count + 1, count + 4):
        save(root / "test" / f"{name}.jpg", portrait(name)[0])


def _report(root, count):
    _binary(root, "train/images", "train/masks", map(str, range(1, count + 1)))


def _own(root, count):
    _binary(root, "images", "masks", [f"{i:02d}" for i in range(count)])


def _sample(root, count):
    rows = ["id,split"]
    for i in range(count):
        photo, person = portrait(i)
        mask = person * catalog.PARTS.index("skin")
        mask[:6] = catalog.PARTS.index("hair")
        mask[-6:] = catalog.PARTS.index("clothes")
        save(root / "images" / f"{i:04d}.jpg", photo)
        save(root / "masks" / f"{i:04d}.png", mask)
        rows.append(f"{i:04d},{'val' if i % 4 == 0 else 'train'}")
    (root / "portraits.csv").write_text("\n".join(rows) + "\n")


def _fasseg(root, count):
    colours = np.array(catalog.DATASETS["fasseg"].colours)
    for part in ("Train", "Test"):
        for i in range(1, count + 1):
            photo, person = portrait(i)
            classes = person * catalog.FACE.index("skin")
            classes[:6] = catalog.FACE.index("hair")
            classes[-1, :3] = [catalog.FACE.index(name) for name in ("nose", "mouth", "eyes")]
            strays = np.random.default_rng(i).integers(-18, 19, (HEIGHT, WIDTH, 3))  # as resampling leaves them
            save(root / "V2" / f"{part}_RGB" / f"{i}.bmp", photo)
            save(root / "V2" / f"{part}_Labels" / f"{i}.bmp", (colours[classes] + strays).clip(0, 255))


LAYOUTS = {"picsart": _picsart, "report": _report, "own": _own, "sample": _sample, "fasseg": _fasseg}


@pytest.fixture
def make_dataset(tmp_path):
    """`make_dataset(layout, count=12, root=None)` writes that many portraits and returns the dataset's folder.

    Layouts: "picsart", "report" (train/images, train/masks), "own" (images, masks), "sample" (class indices and
    portraits.csv) and "fasseg" (colours; that many in each of Train and Test).
    """

    def make(layout, count=12, root=None):
        root = root or tmp_path / layout
        LAYOUTS[layout](root, count)
        return root

    return make


@pytest.fixture
def own(make_dataset):
    """A folder of one's own: 12 portraits, 00 to 11."""
    return make_dataset("own")


@pytest.fixture
def named(make_dataset, tmp_path, monkeypatch):
    """`named(name, layout=None, count=12)` puts a made-up dataset where the catalog looks for that name."""

    def put(name, layout=None, count=12):
        monkeypatch.setenv("FACESEG_DATA_DIR", str(tmp_path / "data"))
        monkeypatch.setattr(paths, "course_root", lambda: tmp_path)
        return make_dataset(layout or name, count, tmp_path / "data" / name)

    return put


@pytest.fixture(scope="session")
def portraits(tmp_path_factory):
    """A folder of 25 portraits to train on: 20 in train, 2 of its people held out, 3 in validation."""
    root = tmp_path_factory.mktemp("portraits")
    _own(root, 25)
    return root


@pytest.fixture(scope="module")
def small_network():
    """Every network that is built is a U-Net of 8,000 weights, and torch uses one thread: a run takes a second.

    With one thread sums have the same order in every process that a test compares.
    """
    import torch

    from faceseg_utils import model, training

    def tiny(name, classes=1, pretrained=False, **options):
        return model.UNet(3, classes, 4, 2)

    threads, build = torch.get_num_threads(), model.build_model
    torch.set_num_threads(1)
    model.build_model = training.build_model = tiny
    yield
    torch.set_num_threads(threads)
    model.build_model = training.build_model = build


def without_batch_statistics(name, classes=1, pretrained=False, **options):
    """In place of `build_model`: the logits of a photo do not depend on the other photos of its batch."""
    import torch

    from faceseg_utils import model

    network = model.UNet(3, classes, 4, 2)
    for block in list(network.modules()):
        for part, layer in list(block.named_children()):
            if isinstance(layer, torch.nn.BatchNorm2d):
                setattr(block, part, torch.nn.GroupNorm(2, layer.num_features))
    return network


@pytest.fixture
def no_batch_statistics(monkeypatch):
    """Every network that is built has group in place of batch normalisation."""
    from faceseg_utils import model, training

    monkeypatch.setattr(model, "build_model", without_batch_statistics)
    monkeypatch.setattr(training, "build_model", without_batch_statistics)


@pytest.fixture(scope="session")
def real_photos():
    """The folder of the real PicsArt photos; the test is skipped where there are none."""
    folder = paths.data_root() / "picsart"
    if not (folder / "train").is_dir():
        given = os.environ.get("FACESEG_DATA_DIR")
        pytest.skip(f"no PicsArt photos at {folder}: FACESEG_DATA_DIR is {given or 'not set'} (or run `make data`)")
    return folder


@pytest.fixture
def copy_of(tmp_path):
    """`copy_of(folder)`: a copy to damage."""
    return lambda folder: shutil.copytree(folder, tmp_path / f"copy of {folder.name}")
