"""The gallery: which photos it shows, in which order, and that a click opens the right one."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from faceseg_utils.widgets import Gallery, chosen, groups
from faceseg_utils.widgets import gallery as gallery_module

RNG = np.random.default_rng(0)
N = 30
PHOTOS = [RNG.integers(0, 256, (24, 16, 3), dtype=np.uint8) for _ in range(N)]
TRUTHS = [RNG.integers(0, 2, (24, 16)).astype(np.uint8) for _ in range(N)]
PROBABILITIES = [RNG.random((24, 16)) for _ in range(N)]


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "dice": np.linspace(0.5, 0.99, N)[::-1],
            "holes": np.arange(N) % 2,
            "pose": ["front", "side", "back"] * (N // 3),
        },
        index=[f"p{i:02d}" for i in range(N)],
    )


@pytest.fixture
def gallery(table):
    return Gallery(PHOTOS, TRUTHS, PROBABILITIES, table)


def test_chosen_sorts_and_keeps_the_order_of_equals(table):
    assert chosen(table, "dice").tolist() == list(range(N))[::-1]
    assert chosen(table, "dice", ascending=False).tolist() == list(range(N))
    assert chosen(table, "holes").tolist() == [*range(0, N, 2), *range(1, N, 2)]
    assert chosen(table, "holes", ascending=False).tolist() == [*range(1, N, 2), *range(0, N, 2)]


def test_chosen_filters(table):
    rows = chosen(table, "dice", filter_column="pose", filter_value="side")
    assert rows.tolist() == list(range(1, N, 3))[::-1]
    assert chosen(table, "dice", filter_column="pose").tolist() == chosen(table, "dice").tolist()


def test_missing_scores_come_last_both_ways(table):
    table.iloc[4, 0] = np.nan
    assert chosen(table, "dice")[-1] == chosen(table, "dice", ascending=False)[-1] == 4


def test_unknown_column_is_named_with_those_there_are(table):
    with pytest.raises(ValueError, match="no column 'hair': the table has dice, holes, pose"):
        chosen(table, "dice", filter_column="hair", filter_value="brown")


def test_groups_cut_numbers_into_thirds_and_keep_names():
    parts = groups(pd.Series(np.arange(30) / 100))
    assert parts.value_counts().tolist() == [10, 10, 10]
    assert parts.iloc[0] != parts.iloc[-1] and " to " in parts.iloc[0]
    assert groups(pd.Series(["a", "b"])).tolist() == ["a", "b"]
    assert groups(pd.Series([0.0, 1.0, np.nan])).tolist() == ["0", "1", "unknown"]
    assert groups(pd.Series([*np.arange(9.0) / 7, np.nan])).iloc[-1] == "unknown"


def test_thumbnail_is_a_small_jpeg_of_the_same_shape():
    image = Image.open(io.BytesIO(gallery_module.thumbnail(np.zeros((320, 240, 3), np.uint8))))
    assert (image.format, image.size) == ("JPEG", (90, 120))


def cards(gallery):
    return [card["index"] for card in gallery.grid.cards]


def test_only_one_page_of_cards_is_made(gallery):
    assert cards(gallery) == chosen(gallery.table, "dice")[:12].tolist()
    assert gallery.count.value == "1 to 12 of 30 photos" and gallery.before.disabled
    gallery.after.click()
    gallery.after.click()
    assert cards(gallery) == chosen(gallery.table, "dice")[24:].tolist()
    assert gallery.count.value == "25 to 30 of 30 photos" and gallery.after.disabled


def test_controls_sort_filter_and_go_back_to_the_first_page(gallery):
    gallery.after.click()
    gallery.ascending.value = False
    assert cards(gallery) == list(range(12))
    gallery.filter_column.value = "pose"
    assert [value for _, value in gallery.filter_value.options] == [None, "back", "front", "side"]
    gallery.filter_value.value = "back"
    assert cards(gallery) == list(range(2, N, 3)) == gallery.rows.tolist()
    gallery.filter_column.value = None
    assert len(gallery.rows) == N and len(cards(gallery)) == 12


def test_cards_say_what_they_show(gallery):
    card = gallery.grid.cards[0]
    assert card["caption"] == "p29: 0.500"
    assert card["alt"] == "Photo p29, dice 0.500: error map"
    before = card["src"]
    gallery.layer.value = "photo"
    assert gallery.grid.cards[0]["src"] != before and gallery.grid.cards[0]["alt"].endswith("photo")


def test_a_click_opens_the_overlay_of_that_photo(gallery):
    assert gallery.overlay is None
    gallery.grid.opened = 7
    assert (gallery.overlay.pixels("photo") == PHOTOS[7]).all()
    assert "p07" in gallery.overlay.description
    gallery.grid.opened = 8
    assert (gallery.overlay.pixels("photo") == PHOTOS[8]).all() and len(gallery.place.children) == 1


def test_static_figure_has_the_lowest_above_the_highest(gallery, table):
    figure = gallery.figure(each=3)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["0.500", "0.517", "0.534", "0.990", "0.973", "0.956"]
    assert figure.axes[0].get_ylabel() == "lowest dice" and figure.axes[3].get_ylabel() == "highest dice"


def test_counts_must_agree(table):
    with pytest.raises(ValueError, match="30 photos, 30 masks, 29 predictions and 30 rows"):
        Gallery(PHOTOS, TRUTHS, PROBABILITIES[1:], table)
    with pytest.raises(ValueError, match="no column 'f1'"):
        Gallery(PHOTOS, TRUTHS, PROBABILITIES, table, sort_by="f1")


def test_a_bad_prediction_is_named_at_once_whatever_its_page(table):
    holes = [*PROBABILITIES[:25], np.full((24, 16), np.nan), *PROBABILITIES[26:]]
    with pytest.raises(ValueError, match="photo p25: probabilities hold NaN"):
        Gallery(PHOTOS, TRUTHS, holes, table)
    with pytest.raises(ValueError, match="photo p00: prediction is .* but photo is"):
        Gallery(PHOTOS, TRUTHS, [PROBABILITIES[0].T, *PROBABILITIES[1:]], table)
