"""The run clinic: its folders are whole, its answers agree with them, it can be made anew, and the check knows it."""

import json
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from experiments.check import run_folders
from experiments.clinic import make
from faceseg_utils import training
from faceseg_utils.config import TrainConfig
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.dice import dice_score
from faceseg_utils.exercises import CHECKS, grade
from faceseg_utils.exercises.clinic import FAULTS, TESTS, answers, check_clinic
from faceseg_utils.log.runs import ExperimentLog
from faceseg_utils.play import clinic
from faceseg_utils.transforms import Pipeline

RUNS = make.HERE / "runs"
ALL = (clinic.HEALTHY, *clinic.CASES)
RIGHT = {case: (truth["fault"], truth["test"]) for case, truth in answers().items()}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(CHECKS, "clinic", check_clinic)


@pytest.fixture(scope="module")
def val():
    return PortraitDataset("sample", "val")


@pytest.mark.parametrize("name", ALL)
def test_a_case_is_whole_and_its_numbers_are_in_range(name, val):
    found = {path.relative_to(RUNS / name).as_posix() for path in (RUNS / name).rglob("*") if path.is_file()}
    masks = {f"predictions/{stem}.png" for stem in clinic.PORTRAITS}
    assert found == {"config.json", "metrics.csv", "val_scores.csv"} | masks
    assert sum((RUNS / name / mask).stat().st_size for mask in masks) <= 20_000
    asked = json.loads((RUNS / name / "config.json").read_text())
    config = TrainConfig(**{key: asked[key] for key in asked if key != "dropout"})
    case = clinic.load(name)
    assert list(case.curves.index) == list(range(config.epochs)) and not case.curves.isna().any().any()
    assert case.curves[["train_dice", "val_dice"]].stack().between(0, 1).all() and (case.curves >= 0).all().all()
    assert list(case.val_scores.index) == val.stems and case.val_scores.between(0, 1).all()
    assert len({mask.shape for mask in case.predictions.values()}) == 1
    assert all(set(np.unique(mask)) <= {0, 1} for mask in case.predictions.values())


def test_predictions_and_scores_are_of_the_same_weights_and_disagree_only_in_train_mode(val):
    for name in ALL:
        case = clinic.load(name)
        twice = [
            (dice_score(mask, val[val.stems.index(stem)][1]).item(), case.val_scores[stem])
            for stem, mask in case.predictions.items()
        ]
        same = np.allclose(*zip(*twice), atol=2e-6)
        assert same == (RIGHT.get(name, ("none",))[0] != "eval mode forgotten"), name


def test_the_folder_is_light_and_no_log_of_record_takes_it_for_its_own():
    assert sum(path.stat().st_size for path in make.HERE.rglob("*") if path.suffix != ".pyc" and path.is_file()) < 3e5
    assert not any("case-" in run or "clinic" in run for run in ExperimentLog().runs)
    assert not any("clinic" in str(folder) for folder in run_folders())


def test_every_case_has_a_fault_and_a_test_of_its_own_and_two_of_each_are_decoys():
    assert tuple(RIGHT) == clinic.CASES
    for number, listed in enumerate((FAULTS, TESTS)):
        named = {answer[number] for answer in RIGHT.values()}
        assert named < set(listed) and len(named) == len(RIGHT) and len(set(listed)) == len(listed) == len(named) + 2
    assert set(make.PLANTS) == {*(fault for fault, _ in RIGHT.values()), "none"}
    for truth in answers().values():
        assert set(truth["alike"]) <= set(FAULTS) - {truth["fault"]} and truth["evidence"].endswith(".")
        assert truth["fault"] not in truth["evidence"]


def test_the_configuration_is_the_one_that_the_fault_was_planted_in():
    for name in ALL:
        fault = RIGHT[name][0] if name in RIGHT else "none"
        asked = json.loads((RUNS / name / "config.json").read_text())
        for field in fields(TrainConfig):
            if (field.name, fault) != ("seed", "best of twenty seeds"):
                wanted = make.PLANTS[fault][0].get(field.name, getattr(make.BASE, field.name))
                kept = asked.get(field.name, field.default)  # a field may be younger than the run
                assert kept == (list(wanted) if field.name == "size" else wanted), (name, field.name)


def test_the_lucky_seed_is_the_best_of_twenty_and_validation_says_less():
    seeds = pd.read_csv(make.HERE / "answers-seeds.csv", index_col="seed")
    case = next(clinic.load(case) for case, (fault, _) in RIGHT.items() if fault == "best of twenty seeds")
    asked = json.loads((RUNS / case.name / "config.json").read_text())
    assert len(seeds) == make.SEEDS and asked["seed"] == seeds["best epoch"].idxmax()
    assert case.curves["val_dice"].max() == pytest.approx(seeds["best epoch"].max(), abs=1e-5)
    assert seeds["validation"][asked["seed"]] == pytest.approx(case.val_scores.mean(), abs=1e-5)
    assert case.val_scores.mean() < case.curves["val_dice"].max()


def test_a_case_made_anew_has_the_same_numbers(tmp_path):
    tiny = {"size": (64, 64), "limit": 4, "epochs": 1, "batch_size": 4, "pretrained": False, "holdout": 0.01}
    files = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        make.make("case-a", folder, **tiny)
        files.append({path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*.*"))})
    assert files[0] == files[1] and len(files[0]) == 3 + len(clinic.PORTRAITS)


# --- The faults -------------------------------------------------------------------------------------------------------


def test_masks_of_others_and_leak_change_what_is_learned(val):
    train = PortraitDataset("sample", "train").subset(range(12))
    mixed = make.masks_of_others(train, val)
    assert mixed.stems == train.stems and {i.mask for i in mixed.items} == {i.mask for i in train.items}
    assert sum(a.mask != b.mask for a, b in zip(mixed.items, train.items)) > 8
    assert make.leak(train, val).stems == train.stems + val.stems


def test_the_photo_is_turned_and_its_mask_is_not(val):
    pipeline = Pipeline((64, 64), augment="report")
    train = PortraitDataset("sample", "train", transform=pipeline).subset(range(6))
    upright = [pipeline.fit(*train.items[i].read()) for i in range(6)]
    turned = make.photo_turned_alone(train, val)
    photos, masks = zip(*(turned[i] for i in range(6)))
    assert all(np.array_equal(mask, right) for mask, (_, right) in zip(masks, upright))
    same = [np.array_equal((photo * 255).round().permute(1, 2, 0), right) for photo, (right, _) in zip(photos, upright)]
    assert sum(same) < 6


def test_photos_go_in_from_0_to_255_or_the_network_stays_in_train_mode_only_under_the_patch():
    config = TrainConfig(pretrained=False, size=(64, 64))
    with make.normalisation_forgotten():
        forgotten = training.new_segmenter(config, ("background", "person")).config
    assert (forgotten.mean, forgotten.std) == ((0.0,) * 3, (1 / 255,) * 3)
    with make.eval_forgotten():
        forgetful = training.new_segmenter(config, ("background", "person"))
        photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        assert not (forgetful.predict(photo) == forgetful.predict(photo)).all()
    sound = training.new_segmenter(config, ("background", "person"))
    assert (sound.predict(photo) == sound.predict(photo)).all() and sound.config.std == (0.5,) * 3


# --- The check --------------------------------------------------------------------------------------------------------


def test_the_answers_are_accepted_and_open_cases_wait():
    assert grade("clinic", RIGHT).message == "Correct. 8 of 8 cases solved."
    assert grade("clinic", {case: (..., ...) for case in RIGHT}).status == "not attempted"
    part = {case: said if case in ("case-c", "case-f") else (..., ...) for case, said in RIGHT.items()}
    assert grade("clinic", part).message == "Correct. 2 of 8 cases solved."


def test_swapped_answers_are_refused_one_case_at_a_time():
    for case, other in zip(RIGHT, [*list(RIGHT)[1:], "case-a"]):
        swapped = RIGHT | {case: RIGHT[other], other: RIGHT[case]}
        result = grade("clinic", swapped)
        assert result.status == "wrong"
        assert [name for name in RIGHT if name in result.message] == [min(case, other)]


@pytest.mark.parametrize("case", clinic.CASES)
def test_a_wrong_diagnosis_meets_its_evidence_and_a_wrong_test_its_question(case):
    truth = answers()[case]
    for fault in FAULTS:
        result = grade("clinic", {case: (fault, truth["test"])})
        if fault == truth["fault"]:
            assert result.status == "correct"
        else:
            assert result.status == "wrong" and truth["evidence"] in result.message
            assert ("the curves alone do not decide" in result.message) == (fault in truth["alike"])
    for test in set(TESTS) - {truth["test"]}:
        assert "the fault is right" in grade("clinic", {case: (truth["fault"], test)}).message


@pytest.mark.parametrize(
    "answer, words",
    [
        ("case-a", "a dictionary"),
        ({"case-z": ("leak", TESTS[0])}, "No case is called 'case-z'"),
        ({"case-a": "leak"}, "as a pair"),
        ({"case-a": ("leek", TESTS[0])}, "Did you mean 'leak'?"),
        ({"case-a": ("leak", "look")}, "no test of the list"),
    ],
)
def test_an_answer_of_another_form_is_explained(answer, words):
    assert words in grade("clinic", answer).message


def test_a_case_is_drawn_and_a_wrong_name_gets_the_nearest():
    picture = clinic.figure("case-a", "case-b")
    assert [len(row.axes) for row in picture.subfigs] == [7, 7] and len(picture.subfigs[0].axes[0].lines) == 4
    assert picture.subfigs[1].get_suptitle().startswith("case-b: best monitor Dice ")
    assert len(clinic.figure("case-a").subfigs) == 1
    assert len({axis.get_ylim() for row in clinic.figure(*ALL).subfigs for axis in row.axes[1:3]}) == 1
    assert len(clinic.figure(clinic.HEALTHY, "case-e").subfigs[0].axes[0].lines) == 2
    assert "(5 photos)" in clinic.figure("case-e").subfigs[0].get_suptitle()
    assert set(clinic.load(clinic.HEALTHY).differences) == {"healthy"}
    with pytest.raises(ValueError, match="Did you mean 'case-a'"):
        clinic.load("case_a")


def test_the_list_does_not_give_the_answers_away(capsys):
    make.main(["--list"])
    printed = capsys.readouterr().out
    assert all(case in printed for case in ALL) and not any(fault in printed for fault in FAULTS)
    with pytest.raises(ValueError, match="no case is called 'case-z'"):
        make.main(["case-z"])


def test_predictions_are_small_pictures_of_two_colours():
    with Image.open(RUNS / "case-a" / "predictions" / f"{clinic.PORTRAITS[0]}.png") as picture:
        assert picture.mode == "1" and picture.size == (240, 320)
