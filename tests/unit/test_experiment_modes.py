"""The scores in eval and in train mode belong to the logged runs, and scoring in train mode changes no network."""

import pandas as pd
import pytest
import torch
from torchvision.transforms.functional import normalize, to_tensor

from experiments import modes
from faceseg_utils.config import TrainConfig
from faceseg_utils.dice import report_dice
from faceseg_utils.log.runs import ExperimentLog
from faceseg_utils.model import Segmenter, build_model
from faceseg_utils.network.saved import ModelConfig
from faceseg_utils.transforms import letterbox


def test_the_scores_in_eval_mode_are_those_of_the_log():
    table = pd.read_csv(modes.FILE, dtype={"id": str}).set_index("id")
    log = ExperimentLog()
    for name, scores in table.groupby("run"):
        assert set(scores.index) == set(log[name].val_scores.index)
        assert scores["eval"].mean() == pytest.approx(log[name].summary["report_dice"], abs=1e-4)
        assert scores[list(modes.MODES)].stack().between(0, 1).all()


@pytest.fixture
def scored(make_dataset):
    """A network of random weights and five validation photos as the report would score them."""
    torch.manual_seed(0)
    network = build_model("resnet34").eval()
    config = TrainConfig(dataset=str(make_dataset("own", 50)), size=(64, 64), padding="ignore")
    saved = ModelConfig("resnet34", ("background", "person"), config.size, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    return network, modes.validation(config, Segmenter(network, saved))


def test_the_padded_square_is_scored_whole(scored):
    network, val = scored
    scores = modes.report_scores(network, val, False, 8)
    for (photo, mask), score in zip(val.with_transform(None), scores):
        boxed = letterbox((64, 64), padding=0)(image=photo, mask=mask)
        x, y = normalize(to_tensor(boxed["image"]), [0.5] * 3, [0.5] * 3), torch.from_numpy(boxed["mask"])
        assert y.shape == (64, 64) and set(y.unique().tolist()) == {0, 1}
        with torch.no_grad():
            assert score == pytest.approx(report_dice(network(x[None]), y[None]), abs=1e-6)


def test_train_mode_depends_on_the_neighbours_and_changes_nothing(scored):
    network, val = scored
    before = {name: value.clone() for name, value in network.state_dict().items()}
    scores = {mode: modes.report_scores(network, val, *how) for mode, how in modes.MODES.items()}
    assert {len(column) for column in scores.values()} == {len(val)} and len(val) == 5
    assert scores["train, batch 8"] != scores["train, alone"]
    assert not network.training and all(torch.equal(before[name], v) for name, v in network.state_dict().items())
    assert scores["eval"] == modes.report_scores(network, val, False, 2), "in eval mode the batch does not matter"
