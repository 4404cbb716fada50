"""The peers' tables are complete, agree with each other, and come out the same where they can be recomputed here."""

import sys

import numpy as np
import pandas as pd
import pytest

from experiments.peers import run as peers
from faceseg_utils.data.layout import every_tenth
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.log.runs import SCORES
from faceseg_utils.paths import course_root

FOLDER = course_root() / "experiments" / "peers"
SUMMARY = pd.read_csv(FOLDER / "peers.csv", keep_default_na=False).set_index("peer")


def scores_of(peer):
    return pd.read_csv(FOLDER / "scores" / f"{peer}.csv", dtype={"id": str}).set_index("id")


def test_every_peer_has_its_tables():
    assert list(SUMMARY.index) == list(peers.PEERS)
    assert {path.stem for path in (FOLDER / "scores").glob("*.csv")} == set(peers.PEERS)


@pytest.mark.parametrize("peer", peers.PEERS)
def test_scores_are_those_of_the_150_validation_photos(peer):
    scores = scores_of(peer)
    photos = every_tenth([str(number) for number in range(1, 1492)])  # the labelled PicsArt photos are 1 to 1491
    assert scores.index.is_unique and set(scores.index) == photos and len(photos) == 150
    assert list(scores.columns) == SCORES and scores.stack().between(0, 1).all()
    assert np.allclose(scores["iou"], scores["dice"] / (2 - scores["dice"]), atol=1e-5)


@pytest.mark.parametrize("peer", peers.PEERS)
def test_the_summary_is_the_mean_of_the_photos(peer):
    scores, summary = scores_of(peer), SUMMARY.loc[peer]
    for name in SCORES:
        assert summary[name] == pytest.approx(scores[name].mean(), abs=1e-6)
    assert summary["photos"] == len(scores) and summary["cpu"] and summary["ms"] >= 0
    assert bool(summary["version"]) == (peer not in ("mean-mask", "all-person"))


def test_nothing_but_text_is_kept():
    assert {path.suffix for path in FOLDER.rglob("*") if path.is_file() and path.parent.name != "__pycache__"} == {
        ".csv", ".md", ".py", ".txt",
    }  # fmt: skip


def test_right_masks_score_1_and_inverted_ones_0(make_dataset):
    val = PortraitDataset(make_dataset("own", 21), "val")
    right = peers.score([mask for _, mask in val], val)
    assert (right == 1).all(axis=None) and list(right.index) == val.stems and list(right.columns) == SCORES
    assert (peers.score([1 - mask for _, mask in val], val)["dice"] == 0).all()


def test_a_peer_that_fails_is_named(make_dataset, tmp_path):
    photos = [item.image for item in PortraitDataset(make_dataset("own"), "val").items]
    with pytest.raises(RuntimeError, match="predict.py grabcut ended with exit code 1"):
        peers.ask("grabcut", photos, tmp_path / "out.npz", sys.executable, tmp_path / "missing.npy")


@pytest.mark.slow
def test_the_peers_that_need_no_tool_are_recomputed(real_photos):
    mean = peers.mean_mask(PortraitDataset("picsart", "train+exam"))
    val = PortraitDataset("picsart", "val")
    for peer in ("mean-mask", "all-person"):
        again = peers.score([peers.constant_mask(peer, mean)] * len(val), val)
        pd.testing.assert_frame_equal(again, scores_of(peer).loc[again.index], check_exact=False, atol=2e-6)
