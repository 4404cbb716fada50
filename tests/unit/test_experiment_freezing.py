"""A pretrained encoder frozen, slower or at the full rate: what the experiment changes, and what its file holds."""

from dataclasses import replace

import pandas as pd
import torch

from experiments import freezing
from experiments.plan import PLAN
from faceseg_utils import training
from faceseg_utils.config import TrainConfig
from faceseg_utils.log.runs import ExperimentLog

TINY = TrainConfig(size=(64, 64), limit=8, epochs=1, pretrained=False, holdout=0.01)


def start_and_end(share, monkeypatch):
    """Encoder and decoder weights before and after a tiny run."""
    begun, new = [], training.new_segmenter

    def noted(*given):
        segmenter = new(*given)
        begun.append({name: weight.clone() for name, weight in segmenter.network.named_parameters()})
        return segmenter

    monkeypatch.setattr(training, "new_segmenter", noted)
    after = dict(freezing.train(TINY, share).segmenter.network.named_parameters())
    moved = {name: not torch.equal(weight, after[name]) for name, weight in begun[0].items()}
    return [any(moved[name] for name in moved if name.startswith("encoder.") == inside) for inside in (True, False)]


def test_a_frozen_encoder_keeps_its_weights_and_the_decoder_learns(monkeypatch):
    assert start_and_end(0.0, monkeypatch) == [False, True]
    assert start_and_end(0.1, monkeypatch) == [True, True]


def test_the_rates_are_the_configured_one_and_its_share():
    network = training.new_segmenter(TINY, ("background", "person")).network
    optimizer, schedule = freezing.optimizer_with(0.1)(TINY, network, 50)
    highest = [0.0, 0.0]
    for _ in range(49):
        optimizer.step()
        schedule.step()
        highest = [max(pair) for pair in zip(highest, (group["lr"] for group in optimizer.param_groups))]
    assert abs(highest[0] - 1e-3) < 1e-6 and abs(highest[1] - 1e-4) < 1e-7
    count = sum(len(group["params"]) for group in optimizer.param_groups)
    assert count == len(list(network.parameters()))


def test_at_the_full_rate_nothing_changes(tmp_path):
    plain = training.train(replace(TINY, seed=3), tmp_path / "run")
    assert freezing.train(replace(TINY, seed=3), 1.0).val_scores.equals(plain.val_scores)


def test_the_file_has_five_seeds_of_each_and_the_full_rate_is_that_of_the_log():
    runs = pd.read_csv(freezing.FILE)
    assert runs.groupby("encoder", sort=False)["seed"].apply(list).to_dict() == {
        name: [0, 1, 2, 3, 4] for name in freezing.SHARES
    }
    logged = [ExperimentLog()[f"short-base-s{seed}"].summary["dice"] for seed in range(5)]
    full = runs[runs["encoder"] == "full rate"].sort_values("seed")["dice"].tolist()
    assert full == logged and PLAN["short-base-s0"].pretrained
