"""What each dataset is and where it lies: class names, palette, folders, sources, licence, digest.

Plain data: `layout` lists the files of a split, `images` reads them, `download` fetches them.
"""

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

from faceseg_utils import paths

IGNORE = 255  # mask value of pixels that count neither in a loss nor in a score (padding, unlabelled)

PERSON = ("background", "person")
FACE = ("background", "skin", "hair", "nose", "mouth", "eyes")  # the six classes of FASSEG
PARTS = (
    "background", "skin", "nose", "eyes", "brows", "ears", "lips", "mouth",
    "hair", "facial hair", "glasses", "headwear", "clothes",
)  # fmt: skip

# One colour per class, [R, G, B]. Neighbours on a face differ in lightness too, so that they stay apart in grey.
PALETTES = {
    PERSON: ((24, 26, 37), (240, 160, 48)),
    FACE: ((24, 26, 37), (246, 193, 151), (112, 66, 35), (232, 140, 96), (225, 29, 88), (64, 132, 244)),
    PARTS: (
        (24, 26, 37), (246, 193, 151), (232, 140, 96), (64, 132, 244), (46, 160, 90), (255, 145, 0), (225, 29, 88),
        (255, 255, 255), (112, 66, 35), (128, 128, 20), (30, 210, 200), (240, 210, 60), (150, 95, 220),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class View:
    """One way to name the pixels of a dataset: `lookup[stored class] = class in this view`."""

    classes: tuple[str, ...]
    lookup: tuple[int, ...]

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        return PALETTES[self.classes]


@dataclass(frozen=True)
class Source:
    """One public place of a dataset: an archive, and the folder inside it that becomes the dataset's root."""

    url: str
    root: str = ""


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset of the course.

    `encoding` says how a mask file spells its classes: "binary" (0 and 255), "index" (pixel value = class) or
    "colour" (RGB, nearest colour of `colours`). `splits` maps a split to its folders of images and masks
    (None: no masks); `digest` is the SHA-256 over all file names and contents (`download.folder_digest`).
    Where "train" and "val" share a folder, every `val_every`-th photo is for validation, unless a table says which.
    `exam_digest` is that of the list of exam photos, where they lie among the others: NAME-exam.txt beside this file.
    """

    name: str
    title: str
    encoding: str
    views: dict[str, View]
    splits: dict[str, tuple[str, str | None]]
    colours: tuple[tuple[int, int, int], ...] = ()
    sources: tuple[Source, ...] = ()
    members: tuple[str, ...] = ()  # folders whose files, without sub-folders, a download holds and a digest covers
    digest: str = ""
    licence: str = ""
    val_every: int = 10
    exam_digest: str = ""

    @property
    def default_view(self) -> str:
        return next(iter(self.views))

    @property
    def exam(self) -> frozenset[str]:
        """Stems of the photos that no model learns from and no choice is made by. Raises ValueError if edited."""
        if not self.exam_digest:
            return frozenset()
        names = Path(__file__).with_name(f"{self.name}-exam.txt").read_text(encoding="utf-8").split()
        if hashlib.sha256(" ".join(names).encode()).hexdigest() != self.exam_digest:
            raise ValueError(f"the list of exam photos of '{self.name}' has been changed: take it from the repository")
        return frozenset(names)


def _github(repository: str, commit: str, folder: str = "") -> Source:
    """A folder of a repository as it was at one commit; GitHub puts everything into a folder NAME-COMMIT."""
    url = f"https://github.com/{repository}/archive/{commit}.zip"
    return Source(url, f"{repository.partition('/')[2]}-{commit}{folder}")


RENDERED = {
    "person": View(PERSON, (0,) + (1,) * 12),
    # Brows and facial hair are hair, ears skin, lips mouth; FASSEG has no glasses, headwear or clothes.
    "face": View(FACE, (0, 1, 3, 5, 2, 1, 4, 4, 2, 2, 0, 0, 0)),
    "parts": View(PARTS, tuple(range(len(PARTS)))),
}

DATASETS = {
    info.name: info
    for info in (
        DatasetInfo(
            name="sample",
            title="Rendered portraits that come with the course",
            encoding="index",
            views=RENDERED,
            splits={"train": ("images", "masks"), "val": ("images", "masks")},
            members=(".", "images", "masks"),
            digest="c840a0460cd9223cc26fea26eb2a6957ef2be3eec319b3a63b3fb14f2be814d8",
            licence="CC0 1.0",
        ),
        DatasetInfo(
            name="dials",
            title="Rendered people at six settings of one key each, never trained on",
            encoding="index",
            views=RENDERED,
            splits={"test": ("images", "masks")},  # no train, and so no "all": nothing can learn from them
            members=("images", "masks"),
            digest="b0a6cb1159170952d45320052f9ce1157db8a65c19b94e43b5d657a9e5e8c017",
            licence="CC0 1.0",
        ),
        DatasetInfo(
            name="picsart",
            title="PicsArt AI Hackathon portraits",
            encoding="binary",
            views={"person": View(PERSON, (0, 1))},
            splits={
                **dict.fromkeys(("train", "val", "exam", "train+exam"), ("train", "train_mask")),
                "test": ("test", None),
            },
            sources=(
                Source("https://s3.eu-central-1.amazonaws.com/datasouls/public/picsart_hack_online_data.zip"),
                _github("manaleks/picsart-contest", "bcff7852acaea9647168338c651cced904bf5ac8", "/data"),
            ),
            members=("train", "train_mask", "test"),
            digest="82e76a2db277e519d6f999a5b95efa15aadf3eedd51f7189967500dda83ba300",
            licence="none stated: research and teaching use, no redistribution",
            exam_digest="2ef014c76e8f3e3bf1f40449810fde392544cb837e2ad1825b3844138175606d",
        ),
        DatasetInfo(
            name="fasseg",
            title="FASSEG frontal02: faces with six classes",
            encoding="colour",
            views={"face": View(FACE, tuple(range(len(FACE)))), "person": View(PERSON, (0, 1, 1, 1, 1, 1))},
            splits={  # 20 faces to learn from and to choose by, and the 50 test faces of its papers
                **dict.fromkeys(("train", "val"), ("V2/Train_RGB", "V2/Train_Labels")),
                "exam": ("V2/Test_RGB", "V2/Test_Labels"),
            },
            colours=((255, 0, 0), (255, 255, 0), (127, 0, 0), (0, 255, 255), (0, 255, 0), (0, 0, 255)),
            sources=(_github("massimomauro/FASSEG-repository", "7817f332b68decc858c9e741f8c0b366b9e0289c"),),
            members=("V2/Train_RGB", "V2/Train_Labels", "V2/Test_RGB", "V2/Test_Labels"),
            digest="996579a43963f35ab033d6c018c08b17694fe0aef670d9b5698535249207857a",
            licence="none stated: cite the papers",
            val_every=5,
        ),
    )
}


def own_folder(path: Path) -> DatasetInfo:
    """The description of a reader's own folder: `images/` and `masks/` (0 and 255), or the report's layout.

    In place of `masks/` it may have `trimaps/`: 0 background, 1 person, 2 not known, which counts for nothing.
    """
    masks, encoding, lookup = "masks", "binary", (0, 1)
    if (path / "trimaps").is_dir():
        masks, encoding, lookup = "trimaps", "index", (0, 1, IGNORE)
    splits = dict.fromkeys(("train", "val"), ("images", masks))
    if (path / "train" / "images").is_dir():
        splits = dict.fromkeys(("train", "val"), ("train/images", "train/masks"))
        if (path / "test" / "images").is_dir():
            splits["test"] = ("test/images", None)
    views = {"person": View(PERSON, lookup)}
    return DatasetInfo(name=path.name, title=f"own folder {path}", encoding=encoding, views=views, splits=splits)


def location(name: str) -> Path:
    """Where dataset `name` is looked for. Rendered ones come with the course, whatever `FACESEG_DATA_DIR` says."""
    return (paths.course_root() / "data" if name in ("sample", "dials") else paths.data_root()) / name


def find(name_or_path: str | Path) -> tuple[DatasetInfo, Path]:
    """The description and the folder of a dataset, by name or by the path of one's own folder.

    Raises ValueError for a name that is none, FileNotFoundError for a dataset that is not on this machine.
    """
    name, folder = str(name_or_path), Path(name_or_path).expanduser()
    if name not in DATASETS and folder.is_dir():
        return own_folder(folder), folder
    info, root = described(name), location(name)
    if not root.is_dir():
        raise FileNotFoundError(how_to_get(info, root))
    if name == "picsart" and (root / "train" / "images").is_dir():  # the layout of the report
        splits = own_folder(root).splits
        return replace(info, splits=splits | dict.fromkeys(("exam", "train+exam"), splits["train"])), root
    return info, root


def described(name: str) -> DatasetInfo:
    """The entry of the catalog. Raises ValueError with the nearest name if there is none of this name."""
    if name not in DATASETS:
        hint = paths.did_you_mean(name, DATASETS)
        raise ValueError(f"unknown dataset '{name}': neither one of {', '.join(DATASETS)} nor a folder.{hint}")
    return DATASETS[name]


def how_to_get(info: DatasetInfo, root: Path) -> str:
    """One line for a dataset that is not at `root`."""
    if not info.sources:
        return f"dataset '{info.name}' is not at {root}: it comes with the course, so check out the repository again"
    remedy = f"run `python -m faceseg_utils data {info.name}`, or set FACESEG_DATA_DIR to the folder that holds"
    return f"dataset '{info.name}' is not at {root}: {remedy} {info.name}/"


def default_dataset() -> str:
    """The dataset that the notebooks use: `FACESEG_DATASET`, else the sample, else the PicsArt photos."""
    sample = (location("sample") / "portraits.csv").is_file()
    return os.environ.get("FACESEG_DATASET") or ("sample" if sample else "picsart")
