"""The scoreboard: one function for all kinds of answers, scores of other photos apart, the same output each time."""

import numpy as np
import pandas as pd
import pytest

from faceseg_utils import dice
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.evaluation import evaluate
from faceseg_utils.model import Segmenter, build_model
from faceseg_utils.network.saved import ModelConfig
from faceseg_utils.paths import experiments_folder
from faceseg_utils.play import memory, scoreboard
from faceseg_utils.statistics import bootstrap_mean

TO_COME = {"U-Net": "notebook 02", "pretrained": "notebook 03", "MediaPipe": "scored on the PicsArt photos only"}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("FACESEG_BETS", str(tmp_path))
    yield tmp_path
    memory._unwritten.clear()


@pytest.fixture(scope="module")
def val():
    return PortraitDataset("sample", "val", "person").subset(range(6))


@pytest.fixture(scope="module")
def masks(val):
    """Wrong by three rows each."""
    return [np.roll(mask, 3, axis=0) for _, mask in val]


def test_the_score_is_that_of_every_photo_with_an_interval_over_people(val, masks):
    found = scoreboard.score(masks, val)
    each = [dice.photo_scores(mask, truth) for mask, (_, truth) in zip(masks, val)]
    table = pd.DataFrame(each)
    assert len(set(val.people)) < len(val), "some people are on two photos"
    assert found.dice == bootstrap_mean(table["dice"], people=val.people) != bootstrap_mean(table["dice"])
    assert found.dice.value == pytest.approx(table["dice"].mean())
    assert found.boundary_f1 == pytest.approx(table["boundary_f1"].mean())


def test_all_kinds_of_answers_get_the_same_score(val):
    settings = ModelConfig("lite0", ("background", "person"), (64, 64), (0.5,) * 3, (0.5,) * 3)
    segmenter = Segmenter(build_model("lite0"), settings)

    def mask_of(photo):
        return (segmenter.logits(photo)[0] > 0).cpu().numpy()

    table = evaluate(segmenter, val)
    scores = [
        scoreboard.score(answers, val)
        for answers in (segmenter, mask_of, [mask_of(photo) for photo, _ in val], table, table.iloc[::-1])
    ]
    assert all(each == scores[0] for each in scores)


def test_other_photos_are_refused(val, masks):
    with pytest.raises(ValueError, match="split 'train', 2 classes: the scoreboard takes the validation photos"):
        scoreboard.score(masks, PortraitDataset("sample", "train", "person"))
    with pytest.raises(ValueError, match="split 'val', 6 classes"):
        scoreboard.score(masks, PortraitDataset("sample", "val", "face"))
    with pytest.raises(ValueError, match="5 masks for 6 photos"):
        scoreboard.score(masks[1:], val)
    table = pd.DataFrame({"dice": [1.0], "boundary_f1": [1.0]}, index=["elsewhere"])
    with pytest.raises(ValueError, match="a table of 1 photos"):
        scoreboard.score(table, val)
    with pytest.raises(ValueError, match=r"no row 'U-net': .*Did you mean 'U-Net'\?"):
        scoreboard.add("U-net", masks, val)
    assert memory.load("scoreboard") == {}


def test_rows_are_remembered_best_first_and_those_to_come_are_empty(val, masks, place):
    assert scoreboard.rows(val)["dice"].isna().all() and list(scoreboard.rows(val).index) == list(scoreboard.ROWS)
    scoreboard.add("nobody", lambda photo: np.zeros(photo.shape[:2], np.uint8), val)
    added = scoreboard.add("GrabCut", masks, val)
    assert (place / "scoreboard.json").is_file()
    table = scoreboard.rows(val)
    assert list(table.index[:2]) == ["GrabCut", "nobody"] and table["dice"].notna().sum() == 2
    assert tuple(table.loc["GrabCut", ["dice", "low", "high", "boundary_f1"]]) == (*added.dice, added.boundary_f1)
    assert table["note"][TO_COME.keys()].to_dict() == TO_COME and table.loc["nobody", "note"] == ""
    better = scoreboard.add("GrabCut", [mask for _, mask in val], val)
    assert better.dice.value == 1 == scoreboard.rows(val).loc["GrabCut", "dice"], (
        "a later score replaces an earlier one"
    )


def test_scores_of_other_photos_stay_apart(val, masks):
    scoreboard.add("GrabCut", masks, val)
    fewer = val.subset(range(4))
    assert scoreboard.rows(fewer)["dice"].isna().all()
    scoreboard.add("nobody", masks[:4], fewer)
    assert scoreboard.rows(val)["dice"].notna().sum() == 1


def test_a_row_that_the_course_no_longer_has_is_left_out(val, masks):
    scoreboard.add("GrabCut", masks, val)
    ((key, board),) = memory.load("scoreboard").items()
    memory.save("scoreboard", {key: board | {"an old row": board["GrabCut"]}})
    assert set(scoreboard.rows(val).index) == set(scoreboard.ROWS)


def test_the_same_scores_are_shown_alike(val, masks, monkeypatch):
    shown = []
    monkeypatch.setattr(scoreboard, "display", lambda bundle, raw: shown.append(bundle))
    for _ in range(2):
        scoreboard.add("your U-Net", masks, val)
        scoreboard.show(val)
    assert shown[0] == shown[1] and set(shown[0]) == {"text/html", "text/plain"}
    page, text = shown[0].values()
    score = scoreboard.score(masks, val).dice
    for part in (f"{score.value:.3f}", f"{score.low:.3f} to {score.high:.3f}", "6 validation photos", "notebook 03"):
        assert part in page and part in text
    assert " nan" not in text and ">nan" not in page


def test_on_picsart_the_record_and_mediapipe_come_from_the_log(real_photos):
    val = PortraitDataset("picsart", "val")
    table = scoreboard.rows(val)
    assert table["dice"].notna().sum() == 2 and set(table.index[:2]) == {"record", "MediaPipe"}
    peers = pd.read_csv(experiments_folder() / "peers" / "peers.csv", index_col="peer")
    assert table.loc["MediaPipe", "dice"] == pytest.approx(peers.loc["mediapipe-general", "dice"], abs=1e-5)
    assert table.loc["MediaPipe", "boundary_f1"] == pytest.approx(
        peers.loc["mediapipe-general", "boundary_f1"], abs=1e-5
    )
    assert scoreboard.rows(val.subset(range(10)))["dice"].isna().all(), "part of the photos is another board"
