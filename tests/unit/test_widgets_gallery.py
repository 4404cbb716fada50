"""The gallery: which photos it shows, in which order, and that a click opens the right one."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from faceseg_utils.widgets import Gallery, select_rows
from faceseg_utils.widgets.gallery import as_text, is_slice, thumbnail

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


def test_rows_are_sorted_and_equals_keep_their_order(table):
    assert select_rows(table, "dice").tolist() == list(range(N))[::-1]
    assert select_rows(table, "dice", ascending=False).tolist() == list(range(N))
    assert select_rows(table, "holes").tolist() == [*range(0, N, 2), *range(1, N, 2)]
    assert select_rows(table, "holes", ascending=False).tolist() == [*range(1, N, 2), *range(0, N, 2)]


def test_rows_are_filtered(table):
    rows = select_rows(table, "dice", filter_column="pose", filter_value="side")
    assert rows.tolist() == list(range(1, N, 3))[::-1]
    assert select_rows(table, "dice", filter_column="pose").tolist() == select_rows(table, "dice").tolist()


def test_missing_scores_come_last_both_ways(table):
    table.iloc[4, 0] = np.nan
    assert select_rows(table, "dice")[-1] == select_rows(table, "dice", ascending=False)[-1] == 4


def test_unknown_column_is_named_with_those_there_are(table):
    with pytest.raises(ValueError, match="no column 'hair': the table has dice, holes, pose"):
        select_rows(table, "dice", filter_column="hair", filter_value="brown")


def test_a_slice_has_few_values():
    words, numbers = [f"wall {k}" for k in range(25)] * 2, list(range(25)) * 2
    assert is_slice(pd.Series(words[:20])) and not is_slice(pd.Series(words[:21]))
    assert is_slice(pd.Series(numbers[:6])) and not is_slice(pd.Series(numbers[:7]))
    assert not is_slice(pd.Series(["same"] * 9)) and is_slice(pd.Series([1.0, np.nan]))
    values = {"a": "a", 3: "3", 0.0: "0", 0.12345: "0.123", 30.4: "30", np.nan: "unknown"}
    assert [as_text(value) for value in values] == list(values.values())


def test_thirteen_backgrounds_can_be_chosen_and_seeds_cannot(table):
    """Seen by a newcomer: the notebook says "and then a single background", and the list did not have them."""
    table["background"], table["seed"] = [f"wall {k % 13}" for k in range(N)], range(N)
    gallery = Gallery(PHOTOS, TRUTHS, PROBABILITIES, table)
    assert gallery.filter_column.options == ("all photos", "holes", "pose", "background")
    gallery.filter_column.value, gallery.filter_value.value = "background", "wall 3"
    assert sorted(gallery.rows) == [3, 16, 29]


def test_no_option_is_none(gallery):
    """JupyterLab shows the option None as an empty box."""
    for control in (gallery.sort_by, gallery.filter_column, gallery.filter_value, gallery.layer):
        assert control.value is not None and control.index is not None
    assert (gallery.filter_column.value, gallery.filter_value.value) == ("all photos", "any")


def test_thumbnail_is_a_small_jpeg_of_the_same_shape():
    image = Image.open(io.BytesIO(thumbnail(np.zeros((320, 240, 3), np.uint8))))
    assert (image.format, image.size) == ("JPEG", (90, 120))


def cards(gallery):
    return [card["index"] for card in gallery.grid.cards]


def test_only_one_page_of_cards_is_made(gallery):
    assert cards(gallery) == select_rows(gallery.table, "dice")[:12].tolist()
    assert gallery.count.value == "1 to 12 of 30 photos" and gallery.before.disabled
    gallery.after.click()
    gallery.after.click()
    assert cards(gallery) == select_rows(gallery.table, "dice")[24:].tolist()
    assert gallery.count.value == "25 to 30 of 30 photos" and gallery.after.disabled


def test_controls_sort_filter_and_go_back_to_the_first_page(gallery):
    gallery.after.click()
    gallery.ascending.value = False
    assert cards(gallery) == list(range(12))
    gallery.filter_column.value = "pose"
    assert gallery.filter_value.options == ("any", "back", "front", "side")
    gallery.filter_value.value = "back"
    assert cards(gallery) == list(range(2, N, 3)) == gallery.rows.tolist()
    gallery.filter_column.value = "all photos"
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
    assert "p07" in gallery.overlay.description and gallery.overlay.reveal  # the page scrolls to it
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
