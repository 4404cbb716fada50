"""The scores in eval and in train mode belong to the logged runs, and scoring in train mode teaches nothing."""

import pandas as pd
import pytest
import torch

from experiments import modes
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.experiment import ExperimentLog
from faceseg_utils.model import build_model
from faceseg_utils.transforms import Pipeline


def test_the_scores_in_eval_mode_are_those_of_the_log():
    table = pd.read_csv(modes.FILE, dtype={"id": str}).set_index("id")
    log = ExperimentLog()
    for name, scores in table.groupby("run"):
        assert set(scores.index) == set(log[name].val_scores.index)
        assert scores["eval"].mean() == pytest.approx(log[name].summary["report_dice"], abs=1e-4)
        assert scores[list(modes.MODES)].stack().between(0, 1).all()


def test_train_mode_looks_at_the_neighbours_and_learns_nothing(make_dataset):
    torch.manual_seed(0)
    network = build_model("resnet34").eval()
    val = PortraitDataset(str(make_dataset("own", 50)), "val", "person", Pipeline((64, 64), padding=0))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    scores = {mode: modes.report_scores(network, val, *how) for mode, how in modes.MODES.items()}
    assert {len(column) for column in scores.values()} == {len(val)} and len(val) == 5
    assert scores["train, batch 8"] != scores["train, alone"]
    assert not network.training and all(torch.equal(before[name], v) for name, v in network.state_dict().items())
    assert scores["eval"] == modes.report_scores(network, val, False, 2), "in eval mode the batch does not matter"
