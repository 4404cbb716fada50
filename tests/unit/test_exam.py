"""The exam photos: drawn by the rule, seen by no training and no choice, scored once per run, every opening logged."""

import ast
import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from experiments import exam, plan
from faceseg_utils import paths
from faceseg_utils.__main__ import main as faceseg
from faceseg_utils.config import PRESETS, TrainConfig
from faceseg_utils.data import catalog
from faceseg_utils.data.layout import every_tenth
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.engine.loader import datasets
from faceseg_utils.log.runs import ExperimentLog, Run
from faceseg_utils.paths import course_root
from faceseg_utils.training import train

PHOTOS = [str(number) for number in range(1, 1492)]  # the labelled PicsArt photos
EXAM = catalog.DATASETS["picsart"].exam
OURS = {name: config for name, config in {**PRESETS, **plan.PLAN}.items() if config.train_on == "train"}


@pytest.fixture(scope="module")
def picsart_folder(tmp_path_factory):
    """A PicsArt folder with the names of the real one and one picture behind all of them."""
    root = tmp_path_factory.mktemp("data") / "picsart"
    picture = np.zeros((32, 24), np.uint8)
    picture[8:, 6:18] = 255
    for folder, suffix, mode in (("train", "jpg", "RGB"), ("train_mask", "png", "L"), ("test", "jpg", "RGB")):
        (root / folder).mkdir(parents=True)
        names = ["1492"] if folder == "test" else PHOTOS
        one = root / folder / f"{names[0]}.{suffix}"
        Image.fromarray(picture).convert(mode).save(one)
        for name in names[1:]:
            (root / folder / f"{name}.{suffix}").hardlink_to(one)
    return root


@pytest.fixture
def picsart(picsart_folder, monkeypatch):
    monkeypatch.setenv("FACESEG_DATA_DIR", str(picsart_folder.parent))
    return picsart_folder


def split(name: str) -> set[str]:
    return set(PortraitDataset("picsart", name).stems)


def test_150_photos_that_never_chose_an_epoch():
    train = sorted(set(PHOTOS) - every_tenth(PHOTOS))
    chose = {train[i] for i in np.random.default_rng(0).permutation(1341)[:134]}
    assert len(EXAM) == 150 and EXAM <= set(train) - chose


def test_the_parts_are_apart_and_together_everything(picsart):
    assert {name: len(split(name)) for name in ("train", "val", "exam", "all", "train+exam")} == {
        "train": 1191, "val": 150, "exam": 150, "all": 1341, "train+exam": 1341,
    }  # fmt: skip
    assert split("train") | split("val") | split("exam") == set(PHOTOS)
    assert split("all") == split("train") | split("val") and split("train+exam") == split("train") | split("exam")
    assert split("val") == every_tenth(PHOTOS)


@pytest.mark.parametrize("name", OURS)
def test_no_set_up_of_ours_learns_from_them_or_chooses_by_them(name, picsart):
    changes = {"dataset": "picsart", "extra": "", "weights": ""}
    parts = datasets(dataclasses.replace(OURS[name], **changes))
    assert all(not EXAM.intersection(part.stems) for part in parts)


def test_what_is_added_to_train_may_not_hold_them(picsart, tmp_path):
    stem = min(EXAM)
    for source, folder, file in (("train", "images", f"{stem}.jpg"), ("train_mask", "masks", f"{stem}.png")):
        (tmp_path / "more" / folder).mkdir(parents=True)
        shutil.copy(picsart / source / file, tmp_path / "more" / folder)
    with pytest.raises(ValueError, match=f"holds the photo '{stem}', which has to judge"):
        datasets(TrainConfig(dataset="picsart", extra=str(tmp_path / "more")))


def test_the_report_keeps_its_own_split(picsart):
    learned, monitor, val = datasets(PRESETS["report-default"])
    assert len(learned) == 1341 and set(learned.stems) >= EXAM and monitor.stems == val.stems


def test_other_datasets_have_no_exam(make_dataset):
    own = str(make_dataset("own", 14))
    report = dataclasses.replace(PRESETS["report-default"], dataset=own)
    assert datasets(report)[0].stems == datasets(dataclasses.replace(report, train_on="train"))[0].stems
    with pytest.raises(ValueError, match="has no split 'exam'"):
        PortraitDataset(own, "exam")


def test_nothing_else_asks_for_the_split():
    """The word stands in the catalog, in the choices of a run, here, and where near duplicates are looked for."""
    allowed = {"catalog.py", "config.py", "layout.py", "__main__.py", "exam.py", "run.py", "plan.py"}
    named = set()
    for folder in ("faceseg_utils", "experiments", "tools"):
        for file in (course_root() / folder).rglob("*.py"):
            words = (
                node.value
                for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
                if isinstance(node, ast.Constant)
            )
            if {"exam", "train+exam"} & {word for word in words if isinstance(word, str)}:
                named.add(file.name)
    assert named <= allowed


def test_a_changed_list_is_noticed():
    changed = dataclasses.replace(catalog.DATASETS["picsart"], exam_digest="0" * 64)
    with pytest.raises(ValueError, match="list of exam photos of 'picsart' has been changed"):
        len(changed.exam)


def test_the_command_line_does_not_open_it(picsart, capsys):
    assert faceseg(["evaluate", "--dataset", "picsart", "--split", "exam"]) == 1
    assert "opened once per model, and logged: python -m experiments.exam" in capsys.readouterr().err


# --- Draw -------------------------------------------------------------------------------------------------------------


def test_photos_with_a_near_duplicate_are_not_drawn():
    random = np.random.default_rng(0)
    labelled = {str(i): random.random(256) < 0.5 for i in range(400)}
    unlabelled = random.random((20, 256)) < 0.5
    drawn = exam.draw(labelled, unlabelled)
    assert len(drawn) == 150 and not set(drawn) & every_tenth(labelled)
    twin, copied = drawn[0], drawn[1]
    labelled[next(stem for stem in labelled if stem not in drawn)] = labelled[twin]
    unlabelled[0] = labelled[copied]
    unlabelled[0, :10] ^= True  # 10 bits apart is still near
    again = exam.draw(labelled, unlabelled)
    assert not {twin, copied} & set(again) and len(set(drawn) - set(again)) == 2


@pytest.mark.slow
def test_the_stored_names_are_those_of_the_rule(real_photos, monkeypatch):
    monkeypatch.setenv("FACESEG_DATA_DIR", str(real_photos.parent))
    assert exam.is_drawn_by_rule()


# --- Open -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(picsart_folder, tmp_path_factory):
    """experiments/ with two short runs, one of which saw the exam photos."""
    place = tmp_path_factory.mktemp("experiments")
    small = TrainConfig(
        dataset="picsart", model="unet", pretrained=False, size=(32, 32), limit=8, epochs=1, holdout=0.01
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACESEG_DATA_DIR", str(picsart_folder.parent))
        for name, part in (("apart-s0", "train"), ("before-s0", "train+exam")):
            train(dataclasses.replace(small, train_on=part), place / "runs" / name, device="cpu")
    return place


@pytest.fixture
def log(picsart, trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "experiments")


def test_a_run_is_scored_once_and_the_opening_is_logged(log):
    row = exam.open_exam(log / "runs" / "apart-s0", "Ada", log)
    assert row["by"] == "Ada" and row["opened"].startswith("20")
    scores = exam.exam_scores("apart-s0", log)
    assert set(scores.index) == EXAM and row["dice"] == pytest.approx(scores["dice"].mean(), abs=1e-6)
    assert exam.check_exam(log) == []
    beside = exam.optimism(log).loc["apart-s0"]
    assert beside["exam"] == row["dice"] and beside["validation"] == Run.read(log / "runs" / "apart-s0").summary["dice"]

    file = log / "runs" / "apart-s0" / "model" / "model.safetensors"
    file.write_bytes(b"other weights")  # whatever they are now: the exam has been taken
    assert exam.open_exam(log / "runs" / "apart-s0", "Bob", log)["by"] == "Ada"
    assert list(exam.openings(log).index) == ["apart-s0"]


def test_a_run_that_saw_the_photos_has_no_exam(log):
    with pytest.raises(ValueError, match="before-s0 has no exam: before-s0 learned from the exam photos"):
        exam.open_exam(log / "runs" / "before-s0", "Ada", log)
    assert exam.openings(log).empty


def test_nor_has_one_that_began_with_it(log):
    config = log / "runs" / "apart-s0" / "config.json"
    config.write_text(config.read_text().replace('"weights": ""', '"weights": "before-s0"'))
    with pytest.raises(ValueError, match="apart-s0 has no exam: before-s0 learned"):
        exam.open_exam(log / "runs" / "apart-s0", "Ada", log)


def test_a_run_without_weights_says_what_to_do(log):
    shutil.rmtree(log / "runs" / "apart-s0" / "model")
    with pytest.raises(ValueError, match="no weights here; train the run again"):
        exam.open_exam(log / "runs" / "apart-s0", "Ada", log)


def test_faults_of_the_log_are_found(log):
    exam.open_exam(log / "runs" / "apart-s0", "Ada", log)
    file = log / "exam" / "scores" / "apart-s0.csv"
    whole = file.read_text()
    file.write_text(whole.replace(",0.", ",0.9", 1))
    assert "differ" in exam.check_exam(log)[0]
    file.write_text("\n".join(whole.splitlines()[:-1]) + "\n")
    assert "other photos" in exam.check_exam(log)[0]


def test_runs_that_are_older_than_the_exam_count_as_having_seen_it():
    runs = ExperimentLog().runs.values()
    old = [run for run in runs if "train_on" not in (run.folder / "config.json").read_text(encoding="utf-8")]
    assert old and all(run.settings["train_on"] == "train+exam" for run in old)


# --- FASSEG -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def faces(named, tmp_path):
    """experiments/ with one short run on made-up faces, 20 of them for training and 50 for the exam."""
    paths.revision()  # asked once per process: before `named` says that the course lies elsewhere
    named("fasseg", count=50)
    for folder in ("Train_RGB", "Train_Labels"):
        for number in range(21, 51):
            (tmp_path / "data" / "fasseg" / "V2" / folder / f"{number}.bmp").unlink()
    config = TrainConfig(
        dataset="fasseg", view="face", model="unet", pretrained=False, size=(32, 32), limit=8, epochs=1, holdout=0.0
    )  # fmt: skip
    train(config, tmp_path / "experiments" / "runs" / "faces-s0", device="cpu")
    return tmp_path / "experiments"


def test_the_fifty_test_faces_are_an_exam_too(faces):
    learned, monitor, val = datasets(TrainConfig(**Run.read(faces / "runs" / "faces-s0").config))
    assert {item.image.parent.name for part in (learned, monitor, val) for item in part.items} == {"Train_RGB"}
    row = exam.open_exam(faces / "runs" / "faces-s0", "Ada", faces)
    scores = exam.exam_scores("faces-s0", faces)
    assert list(scores.index) == sorted(map(str, range(1, 51)))
    assert row["dice"] == pytest.approx(scores["dice"].mean(), abs=1e-6)
    each = pd.read_csv(faces / "exam" / "classes" / "faces-s0.csv", index_col="class")
    assert list(each.index) == list(catalog.FACE) and each["pixels"].sum() == 50 * 48 * 40
    assert each["macro_dice"].iloc[0] == pytest.approx(each["dice"].iloc[1:].mean(), abs=1e-5)
    assert exam.check_exam(faces) == []
    file = faces / "exam" / "scores" / "faces-s0.csv"
    file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")
    assert "other photos than those of the exam" in exam.check_exam(faces)[0]


def test_a_run_on_photos_without_an_exam_is_refused(faces):
    config = faces / "runs" / "faces-s0" / "config.json"
    config.write_text(config.read_text().replace('"fasseg"', '"sample"'))
    with pytest.raises(ValueError, match="the exam is for finished runs on the PicsArt or FASSEG photos"):
        exam.open_exam(faces / "runs" / "faces-s0", "Ada", faces)
