"""The peers' tables are complete, agree with each other, and what can be recomputed here comes out the same."""

import numpy as np
import pandas as pd
import pytest

from experiments.peers import run as peers
from faceseg_utils.catalog import course_root
from faceseg_utils.dataset import PortraitDataset, every_tenth

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
    assert list(scores.columns) == list(peers.SCORES) and scores.stack().between(0, 1).all()
    assert np.allclose(scores["iou"], scores["dice"] / (2 - scores["dice"]), atol=1e-5)


@pytest.mark.parametrize("peer", peers.PEERS)
def test_the_summary_is_the_mean_of_the_photos(peer):
    scores, said = scores_of(peer), SUMMARY.loc[peer]
    for name in peers.SCORES:
        assert said[name] == pytest.approx(scores[name].mean(), abs=1e-6)
    assert said["photos"] == len(scores) and said["cpu"] and said["ms"] >= 0
    assert bool(said["version"]) == (peer not in ("mean-mask", "all-person"))


def test_nothing_but_text_is_kept():
    assert {path.suffix for path in FOLDER.rglob("*") if path.is_file() and path.parent.name != "__pycache__"} == {
        ".csv", ".md", ".py", ".txt",
    }  # fmt: skip


def test_score_knows_right_from_wrong(make_dataset):
    val = PortraitDataset(make_dataset("own", 21), "val")
    right = peers.score([val.read(i)[1] for i in range(len(val))], val)
    assert (right == 1).all(axis=None) and list(right.index) == val.stems
    assert (peers.score([1 - val.read(i)[1] for i in range(len(val))], val)["dice"] == 0).all()


@pytest.mark.slow
def test_the_peers_that_need_no_tool_are_recomputed(real_photos):
    mean = peers.mean_mask(PortraitDataset("picsart", "train"))
    val = PortraitDataset("picsart", "val")
    for peer in ("mean-mask", "all-person"):
        again = peers.score([peers.constant_mask(peer, mean)] * len(val), val)
        pd.testing.assert_frame_equal(again, scores_of(peer).loc[again.index], check_exact=False, atol=2e-6)
