"""What is measured of a photo for claims about borders, on masks worked out by hand; and the stored rows are whole."""

import numpy as np
import pandas as pd
import pytest

from experiments import borders
from experiments.plan import PLAN
from faceseg_utils.config import TrainConfig
from faceseg_utils.log.runs import ExperimentLog, Run
from faceseg_utils.model import Segmenter, build_model
from faceseg_utils.network.saved import ModelConfig

SKIN, BLUE = (224, 172, 140), (40, 60, 200)


@pytest.fixture
def scene():
    """A square person before a wall that is skin-like on the left half and blue on the right."""
    mask = np.zeros((80, 80), np.uint8)
    mask[30:50, 30:50] = 1
    photo = np.full((80, 80, 3), BLUE, np.uint8)
    photo[:, :40] = SKIN
    return photo, mask


def test_skin_like_is_a_matter_of_colour_not_of_brightness(scene):
    photo, _ = scene
    skin = borders.skin_like(photo)
    assert skin[:, :40].all() and not skin[:, 40:].any()
    assert borders.skin_like((photo * 0.6).astype(np.uint8))[:, :40].all()


def test_errors_are_counted_by_place_colour_and_confidence(scene):
    photo, mask = scene
    probability = mask * 0.98 + 0.01
    probability[30:50, 50:52] = 0.6  # 40 pixels beside the border, unsure
    probability[0:4, 0:5] = 0.99  # 20 pixels far away, on skin-like wall, sure
    probability[0:2, 70:73] = 0.9  # 6 pixels far away, on blue wall, not sure
    row = borders.measure(photo, mask, probability, mask.astype(float))
    assert (row["wrong"], row["near"], row["far"], row["sure"]) == (66, 40, 26, 20)
    assert (row["skin_person"], row["other_person"]) == (20, 6) and row["skin"] > 1000 < row["other"]
    assert row["dice"] == pytest.approx(2 * 400 / (400 + 466)) and row["outline"] == 76
    assert 0.7 < row["sharpest"] < 1.3 and row["length"] > 1
    assert "sharpest" not in borders.measure(photo, mask, probability)


def test_a_mask_through_the_network_is_blurred_by_its_size(scene):
    _, mask = scene
    settings = ModelConfig("lite0", ("background", "person"), (32, 32), (0.5,) * 3, (0.5,) * 3)
    small = borders.at_network_size(mask, Segmenter(build_model("lite0"), settings))
    assert small.shape == mask.shape and small[40, 40] == 1 and small[0, 0] == 0
    assert borders.border_width(small) > borders.border_width(mask.astype(float))


def test_the_short_runs_are_those_of_the_plan():
    assert len(borders.SHORT) == 10 and set(borders.SHORT) <= set(PLAN)
    assert {PLAN[name].loss for name in borders.SHORT} == {"bce", "bce+dice"}


def test_a_planned_run_is_trained_and_scored(make_dataset, monkeypatch, tmp_path):
    config = TrainConfig(dataset=str(make_dataset("own", 20)), size=(32, 32), epochs=1, pretrained=False)
    for name, value in {"PLAN": {"tiny-s0": config}, "SHORT": ["tiny-s0"], "DATASET": config.dataset}.items():
        monkeypatch.setattr(borders, name, value)
    monkeypatch.setattr(borders, "FOLDER", tmp_path / "borders")
    monkeypatch.setattr(borders, "course_root", lambda: tmp_path)
    (tmp_path / "borders").mkdir()
    borders.main(["--short"])
    table = pd.read_csv(tmp_path / "borders" / "tiny-s0.csv", dtype={"id": str})
    run = Run.read(tmp_path / "build" / "runs" / "borders" / "tiny-s0")
    assert len(table) == len(run.val_scores) > 0
    assert np.allclose(table.set_index("id")["dice"], run.val_scores.loc[table["id"], "dice"], atol=1e-4)


@pytest.mark.parametrize("file", sorted(borders.FOLDER.glob("*.csv")), ids=lambda file: file.stem)
def test_stored_rows_are_those_of_the_run(file):
    table = pd.read_csv(file, dtype={"id": str}).set_index("id")
    assert len(table) == 150 and not table.isna().any().any()
    assert (table["near"] + table["far"] <= table["wrong"]).all() and (table["sure"] <= table["wrong"]).all()
    assert (table["skin_person"] + table["other_person"] <= table["far"]).all()
    runs = ExperimentLog().runs
    if file.stem in runs and runs[file.stem].finished and not file.stem.startswith("short-"):  # those are trained anew
        logged = runs[file.stem].val_scores
        assert set(table.index) == set(logged.index)
        assert np.allclose(table["dice"], logged.loc[table.index, "dice"], atol=2e-3)
