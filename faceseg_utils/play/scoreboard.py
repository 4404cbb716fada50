"""One scoreboard through the course: everything that is tried, on the same photos, by the same function.

scoreboard.add("GrabCut", masks, val)       # scored and remembered
scoreboard.show(val)                        # the table, best first; what is still to come is empty
"""

import html
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from IPython.display import display

from faceseg_utils import dice
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.evaluation import evaluate
from faceseg_utils.log.runs import best_model
from faceseg_utils.model import Segmenter
from faceseg_utils.paths import did_you_mean, experiments_folder
from faceseg_utils.play import memory
from faceseg_utils.statistics import Interval, bootstrap_mean

ROWS = {  # each with the notebook that fills it
    "nobody": "01",
    "everything is person": "01",
    "mean mask": "01",
    "colour and place": "01",
    "GrabCut": "01",
    "U-Net without skips": "02",
    "your U-Net": "02",
    "U-Net": "02",
    "pretrained": "03",
    "record": "04",
    "MediaPipe": "04",
}


class Score(NamedTuple):
    """Mean Dice over photos with its interval over people, and mean boundary F1."""

    dice: Interval
    boundary_f1: float


def score(answers, photos: PortraitDataset) -> Score:
    """Score `answers` on the validation photos, each at its native size.

    `answers` is a `Segmenter`, a function from a photo (uint8 [H, W, 3]) to its mask (0 or 1, [H, W]), one mask per
    photo, or a table of scores that `evaluate` gave (index: the photos' names). Raises ValueError for other photos than
    the validation split, more than two classes, or a table of other photos.
    """
    if photos.split != "val" or len(photos.classes) != 2:
        raise ValueError(f"split '{photos.split}', {len(photos.classes)} classes: the scoreboard takes the validation "
                         "photos with the view 'person'")  # fmt: skip
    table = _scores(answers, photos)
    return Score(bootstrap_mean(table["dice"], people=photos.people), float(table["boundary_f1"].mean()))


def _scores(
    answers: Segmenter | Callable | pd.DataFrame | Sequence[np.ndarray], photos: PortraitDataset
) -> pd.DataFrame:
    if isinstance(answers, Segmenter):
        return evaluate(answers, photos)
    if isinstance(answers, pd.DataFrame):
        table = answers.set_axis(answers.index.astype(str))
        if set(table.index) != set(photos.stems):
            raise ValueError(f"a table of {len(table)} photos: expected the {len(photos)} of the validation split")
        return table.loc[photos.stems]
    if not callable(answers) and len(answers) != len(photos):
        raise ValueError(f"{len(answers)} masks for {len(photos)} photos: give one per photo, in their order")
    masks = (answers(photo) for photo, _ in photos) if callable(answers) else answers
    return pd.DataFrame([dice.photo_scores(mask, truth) for mask, (_, truth) in zip(masks, photos)])


def add(row: str, answers, photos: PortraitDataset) -> Score:
    """Score `answers` as `score` does and remember it in the scoreboard. Raises ValueError for an unknown row, too."""
    if row not in ROWS:
        raise ValueError(f"no row '{row}': the scoreboard has {', '.join(ROWS)}.{did_you_mean(row, ROWS)}")
    found = score(answers, photos)
    boards = memory.load("scoreboard")
    board = boards.get(_key(photos), {}) | {row: {"dice": list(found.dice), "boundary_f1": found.boundary_f1}}
    memory.save("scoreboard", boards | {_key(photos): board})
    return found


def _key(photos: PortraitDataset) -> str:
    """Scores of other photos never stand in one table."""
    return f"{photos.info.name}, {len(photos)} photos, {zlib.crc32(' '.join(photos.stems).encode()):08x}"


def _logged(photos: PortraitDataset) -> dict[str, Score]:
    """Rows that the log of the course holds, photo by photo, for all validation photos of PicsArt."""
    record = best_model(photos.info.name)
    files = {"MediaPipe": experiments_folder() / "peers" / "scores" / "mediapipe-general.csv"}
    files |= {"record": experiments_folder() / "runs" / record.name / "val_scores.csv"} if record else {}
    tables = {row: pd.read_csv(file, index_col="id") for row, file in files.items() if file.is_file()}
    return {row: score(table, photos) for row, table in tables.items()
            if set(table.index.astype(str)) == set(photos.stems)}  # fmt: skip


def rows(photos: PortraitDataset) -> pd.DataFrame:
    """The scoreboard on these photos: dice, low, high (95 %, over people), boundary_f1, note. Best Dice first.

    What is still to come has no numbers, and a note that says which notebook brings it.
    """
    known = {row: (*entry["dice"], entry["boundary_f1"], "") for row, entry in
             memory.load("scoreboard").get(_key(photos), {}).items() if row in ROWS}  # fmt: skip
    known = {row: (*each.dice, each.boundary_f1, "") for row, each in _logged(photos).items()} | known
    to_come = {row: (np.nan,) * 4 + (f"notebook {number}",) for row, number in ROWS.items()}
    if photos.info.name != "picsart":
        to_come["MediaPipe"] = (np.nan,) * 4 + ("scored on the PicsArt photos only",)
    table = pd.DataFrame.from_dict(
        to_come | known, orient="index", columns=["dice", "low", "high", "boundary_f1", "note"]
    )
    return table.sort_values("dice", ascending=False, kind="stable", na_position="last")


def show(photos: PortraitDataset) -> None:
    """Display the scoreboard as a table; the same scores give the same output."""
    table = rows(photos)
    filled = table["dice"].notna()
    shown = pd.DataFrame({
        "": table.index,
        "Dice": table["dice"].map("{:.3f}".format).where(filled, ""),
        "95 %": (table["low"].map("{:.3f}".format) + " to " + table["high"].map("{:.3f}".format)).where(filled, ""),
        "boundary F1": table["boundary_f1"].map("{:.3f}".format).where(filled, ""),
        " ": table["note"],
    })  # fmt: skip
    title = f"{photos.info.title}: {len(photos)} validation photos, intervals over {len(set(photos.people))} people"
    style = shown.style.hide(axis="index").set_uuid("scoreboard").set_caption(html.escape(title))
    style = style.set_table_styles([{"selector": "th, td", "props": "text-align: left"}])
    style = style.apply(lambda row: ["color: #767676" if not row["Dice"] else ""] * len(row), axis=1)
    style = style.apply(lambda row: ["font-weight: bold" if row[""] == "your U-Net" else ""] * len(row), axis=1)
    display({"text/html": style.to_html(), "text/plain": f"{title}\n{shown.to_string(index=False)}"}, raw=True)
