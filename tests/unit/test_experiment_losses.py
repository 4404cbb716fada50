"""The runs of experiments/losses differ in the loss alone, and their scores are whole."""

import json

import numpy as np
import pandas as pd
import pytest

from experiments.losses import run
from faceseg_utils import losses
from faceseg_utils.config import TrainConfig
from faceseg_utils.data import catalog


def test_outline_length_of_a_comb():
    box = np.zeros((40, 40), np.uint8)
    box[10:30, 10:30] = 1
    comb = box.copy()
    comb[10:20, 11:30:2] = 0  # ten teeth of one pixel each
    assert run.outline_length(box, box) == 1 and run.outline_length(np.zeros_like(box), box) == 0
    around, teeth, under_the_gaps, left, right, below = 4 * 20 - 4, 10 * 10, 10, 10, 9, 18  # pixels
    assert run.outline_length(comb, box) == (teeth + under_the_gaps + left + right + below) / around
    halves = box[:, :25], box[:, :25] * 2  # the frame cuts off, and is no border; 2 is a person too
    assert run.outline_length(*halves) == 1


@pytest.fixture(params=sorted(path.stem for path in run.HERE.glob("*.csv")))
def record(request):
    table = pd.read_csv(run.HERE / f"{request.param}.csv", dtype={"id": str, "person": str})
    return request.param, table, json.loads((run.HERE / f"{request.param}.json").read_text())["runs"]


def test_every_loss_and_seed_scores_the_same_photos(record):
    name, table, runs = record
    seeds = table["seed"].unique()
    photos = {key: tuple(part["id"]) for key, part in table.groupby(["loss", "seed"])}
    assert set(photos) == {(loss, seed) for loss in run.LOSSES for seed in seeds} and len(set(photos.values())) == 1
    assert [(r["config"]["loss"], r["config"]["seed"]) for r in runs] == list(
        dict.fromkeys(zip(table.loss, table.seed))
    )
    assert {r["photos"]["val"] for r in runs} == {len(next(iter(photos.values())))}


def test_the_runs_differ_in_loss_and_seed_alone_and_can_be_made_again(record):
    name, _, runs = record
    assert set(run.LOSSES) <= set(losses.LOSSES)
    for each in runs:
        TrainConfig(**each["config"])
        assert {**each["config"], "loss": "", "seed": 0} == {**runs[0]["config"], "loss": "", "seed": 0}
        assert (each["revision"], each["dataset_digest"]) == (runs[0]["revision"], runs[0]["dataset_digest"])
    assert runs[0]["dataset_digest"] == catalog.DATASETS[name].digest and not runs[0]["revision"].endswith("+")


def test_the_scores_agree_with_each_other(record):
    _, table, _ = record
    assert list(table) == run.COLUMNS and not table.drop(columns="width").isna().any().any()
    assert np.allclose(table["iou"], table["dice"] / (2 - table["dice"]), atol=2e-6)
    assert (table["doubted"] <= table["wrong"]).all() and (table["width"].dropna() > 0.5).all()
