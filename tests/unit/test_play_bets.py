"""Bets: noted, remembered, drawn against the result, judged; no trouble with a value or a file stops a notebook."""

import json
import os
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from faceseg_utils import paths
from faceseg_utils.figures import plots
from faceseg_utils.play import bets, memory
from faceseg_utils.play.bets import bet, draw_bet, resolve

SKIPS = ("1/1", "1/2", "1/4")


@pytest.fixture(autouse=True)
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("FACESEG_BETS", str(tmp_path / "place"))
    yield tmp_path / "place" / "bets.json"
    memory._unwritten.clear()
    plt.close("all")


def said(capsys) -> str:
    """What was printed: one line, or nothing."""
    text = capsys.readouterr().out
    assert text.count("\n") <= 1
    return text.strip()


# --- What a bet may be ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("empty", [..., None])
def test_an_empty_bet_says_how_to_bet_and_leaves_no_trace(empty, capsys, file):
    bet("mean mask", empty)
    assert said(capsys) == "No bet on 'mean mask' yet: put a number in place of ... and run this cell again"
    bet("best skip", empty, choices=SKIPS)
    assert "put one of '1/1', '1/2', '1/4' in place of ..." in said(capsys)
    resolve("mean mask", 0.8)
    _, ax = plt.subplots()
    draw_bet(ax, "mean mask", 0.8)
    assert said(capsys) == "" and not ax.lines and not ax.child_axes and not file.exists()


@pytest.mark.parametrize("value", [1, 0.7, np.float32(0.5), np.int64(3), -2.5, np.float64(0)])
def test_a_number_is_noted(value, capsys, file):
    bet("mean mask", value)
    assert said(capsys).startswith("Noted: your bet on 'mean mask' is ")
    assert json.loads(file.read_text())["mean mask"] == {"bet": float(value)}


@pytest.mark.parametrize("value", ["0.7", True, np.nan, float("inf"), [0.7], np.array([0.1, 0.2]), 1 + 2j, print])
def test_what_is_no_number_is_not_noted(value, capsys, file):
    bet("mean mask", 0.5)
    said(capsys)
    bet("mean mask", value)
    line = said(capsys)
    assert line.startswith("Not noted: ") and line.split(".")[-2].endswith("takes a number")
    assert json.loads(file.read_text())["mean mask"]["bet"] == 0.5, "the bet before it stays"


def test_a_choice_is_one_of_those_offered(capsys):
    bet("loss", " DICE ", choices=("BCE", "Dice"))
    assert said(capsys) == "Noted: your bet on 'loss' is Dice"
    bet("loss", "Dise", choices=("BCE", "Dice"))
    assert (
        said(capsys) == "Not noted: 'Dise' is no bet on 'loss', which takes one of 'BCE', 'Dice'. Did you mean 'Dice'?"
    )
    bet("loss", 1, choices=("BCE", "Dice"))
    assert said(capsys).startswith("Not noted: 1 is no bet")
    assert bets.table().loc["loss", "bet"] == "Dice"


def test_how_sure_is_a_share(capsys):
    bet("mean mask", 0.5, sure=70)
    assert said(capsys) == "Not noted: sure=70 should be a number from 0 to 1, such as 0.7 for 7 times in 10"
    bet("mean mask", 0.5, sure=0.7)
    assert said(capsys) == "Noted: your bet on 'mean mask' is 0.50, 70% sure"


@pytest.mark.parametrize("mistake", [{"choices": ["one"]}, {"choices": "abc"}, {"choices": [1, 2]}, {"within": 0}])
def test_a_mistake_of_the_notebook_is_an_error(mistake):
    with pytest.raises(ValueError, match="choices=|within="):
        bet("mean mask", ..., **mistake)
    with pytest.raises(ValueError, match="finite number"):
        resolve("mean mask", np.nan)
    with pytest.raises(ValueError, match="'x' or 'y'"):
        draw_bet(plt.gca(), "mean mask", 1, axis="z")


# --- What is remembered -----------------------------------------------------------------------------------------------


def test_a_later_bet_replaces_an_earlier_one_and_an_empty_one_does_not(capsys):
    bet("mean mask", 0.5)
    resolve("mean mask", 0.8)
    bet("mean mask", 0.5)
    assert bets.table().loc["mean mask", "result"] == 0.8, "the same bet again: the cell was run twice"
    bet("mean mask", 0.8)
    assert bets.table().loc["mean mask", "bet"] == 0.8 and bets.table().loc["mean mask", "result"] is None
    capsys.readouterr()
    bet("mean mask", ...)
    assert said(capsys) == "Your bet on 'mean mask' stands: 0.80. To change it, put a number in place of ..."


def test_bets_survive_a_restart(file, tmp_path):
    bet("mean mask", 0.7)
    code = "from faceseg_utils.play import bets; print(bets.table().loc['mean mask', 'bet'])"
    environment = os.environ | {"PYTHONPATH": str(paths.course_root())}
    fresh = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert fresh.stdout.strip() == "0.7", fresh.stderr


def test_the_file_lies_in_work_of_the_course_wherever_the_kernel_runs(monkeypatch, tmp_path):
    monkeypatch.delenv("FACESEG_BETS")
    wanted = paths.course_root() / "work" / "bets.json"
    for folder in (paths.course_root() / "notebooks", paths.course_root() / "data", tmp_path):
        monkeypatch.chdir(folder)
        assert memory.place("bets") == wanted
    (tmp_path / "notebooks").mkdir()  # a clone of its own, as on Colab
    (tmp_path / "pyproject.toml").write_text('name = "faceseg-utils"\n')
    monkeypatch.chdir(tmp_path / "notebooks")
    assert memory.place("bets") == tmp_path / "work" / "bets.json"


@pytest.mark.parametrize("damage", ["{", "[]", '{"mean mask": 0.7}', "\x00\x01"])
def test_a_damaged_file_is_kept_under_another_name(damage, file, capsys):
    for number in (1, 2):
        file.parent.mkdir(exist_ok=True)
        file.write_text(damage)
        assert bets.table().empty
        assert said(capsys) == f"{file} was damaged: it is kept as bets.damaged{number}.json, and a new one begins"
        assert file.with_name(f"bets.damaged{number}.json").read_text() == damage and not file.exists()
    bet("mean mask", 0.5)
    assert bets.table().loc["mean mask", "bet"] == 0.5


def test_bytes_that_are_no_text_are_damage_too(file, capsys):
    file.parent.mkdir()
    file.write_bytes(b"\xff\xfe{")
    assert bets.table().empty and "damaged1" in said(capsys)


def test_what_cannot_be_written_is_remembered_until_the_kernel_ends(file, capsys):
    bet("mean mask", 0.5)
    file.chmod(0o444)
    capsys.readouterr()
    bet("mean mask", 0.6)
    noted, warning = capsys.readouterr().out.splitlines()
    assert noted.startswith("Noted") and warning.endswith("Until then it is remembered in this kernel only")
    assert "read-only: make it writable" in warning
    assert bets.table().loc["mean mask", "bet"] == 0.6
    assert json.loads(file.read_text())["mean mask"]["bet"] == 0.5, "the file was left alone"
    file.chmod(0o644)
    bet("other", 1)
    assert {name: entry["bet"] for name, entry in json.loads(file.read_text()).items()} == {
        "mean mask": 0.6,
        "other": 1,
    }


def test_a_place_that_cannot_be_made(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FACESEG_BETS", str(tmp_path / "file" / "inside"))
    bet("mean mask", 0.5)
    assert "remembered in this kernel only" in capsys.readouterr().out
    assert bets.table().loc["mean mask", "bet"] == 0.5


# --- Drawn ------------------------------------------------------------------------------------------------------------


def label_of(ax):
    (beside,) = ax.child_axes
    (label,) = [*beside.get_xticklabels(), *beside.get_yticklabels()]
    return label


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_number_is_drawn_at_its_place_and_named_outside(axis, scale, file):
    bet("mean mask", 0.4)
    with plt.rc_context(plots.STYLE):
        figure, ax = plt.subplots()
        ax.set(xlim=(0.1, 1), ylim=(0.1, 1), xscale=scale, yscale=scale, title="A title")
        draw_bet(ax, "mean mask", 0.8, axis)
        figure.canvas.draw()
    (line,) = ax.lines
    assert set(line.get_xdata() if axis == "x" else line.get_ydata()) == {0.4} and line.get_linestyle() == "--"
    assert to_hex(line.get_color()) == plots.ORANGE.lower()
    label = label_of(ax)
    assert label.get_text() == "your bet 0.40"
    where, inside, title = (each.get_window_extent() for each in (label, ax, ax.title))
    assert not where.overlaps(inside) and not where.overlaps(title)
    at = ax.transData.transform((0.4, 0.4))
    middle = where.x0 + where.width / 2 if axis == "x" else where.y0 + where.height / 2
    assert middle == pytest.approx(at["xy".index(axis)], abs=3)
    assert ax.get_xlim() == ax.get_ylim() == (0.1, 1)
    assert json.loads(file.read_text())["mean mask"]["result"] == 0.8, "drawn is resolved"


def test_a_choice_is_drawn_at_its_tick(capsys):
    bet("best skip", "1/4", choices=SKIPS)
    for ax, axis in zip(plt.subplots(1, 2)[1], "xy"):
        (ax.bar if axis == "x" else ax.barh)(SKIPS, [3, 2, 1])
        limits = ax.get_xlim(), ax.get_ylim()
        draw_bet(ax, "best skip", "1/1", axis)
        (line,) = ax.lines
        assert set(line.get_xdata() if axis == "x" else line.get_ydata()) == {2}
        assert label_of(ax).get_text() == "your bet 1/4" and (ax.get_xlim(), ax.get_ylim()) == limits
    assert bets.table().loc["best skip", "result"] == "1/1"


def test_a_result_that_the_axis_does_not_show_is_an_error_also_without_a_bet():
    _, ax = plt.subplots()
    ax.bar(SKIPS, [3, 2, 1])
    with pytest.raises(ValueError, match="the x axis does not show '1/8', the result of the bet 'best skip'"):
        draw_bet(ax, "best skip", "1/8")


@pytest.mark.parametrize("value, end", [(70, 1), (-5, 0)])
def test_a_bet_beyond_the_axis_moves_no_limits(value, end):
    bet("mean mask", value)
    figure, ax = plt.subplots()
    ax.set(xlim=(0, 1))
    draw_bet(ax, "mean mask", 0.8)
    figure.canvas.draw()
    assert not ax.lines and ax.get_xlim() == (0, 1)
    label = label_of(ax)
    assert label.get_text() == f"your bet {value} (beyond this axis)" and label.get_position()[0] == end
    assert 0 <= label.get_window_extent().x0 and label.get_window_extent().x1 <= figure.bbox.x1


def test_a_bet_on_an_earlier_version_of_the_question_is_not_judged(capsys):
    bet("mean mask", 0.7)
    bet("best skip", "1/4", choices=SKIPS)
    capsys.readouterr()
    for name, result in (("mean mask", "1/4"), ("best skip", 0.7), ("best skip", "1/8")):
        resolve(name, result)
        assert said(capsys) == f"Your bet on '{name}' was made on another version of this question: bet again"
    assert bets.table()["result"].isna().all()


def test_resolving_says_how_far_off(capsys):
    bet("mean mask", 0.7)
    bet("best skip", "1/4", choices=SKIPS)
    bet("pixels", 76800)
    capsys.readouterr()
    resolve("mean mask", np.float32(0.82))
    assert said(capsys) == "Your bet on 'mean mask' was 0.70, the result is 0.82: off by 0.12"
    resolve("best skip", "1/1")
    assert said(capsys) == "Your bet on 'best skip' was 1/4, the result is 1/1"
    resolve("pixels", 61440)
    assert said(capsys) == "Your bet on 'pixels' was 76,800, the result is 61,440: off by 15,360"


# --- The reader's calibration -----------------------------------------------------------------------------------------


@pytest.fixture
def course(capsys):
    for name, value, result, options in [
        ("near", 0.8, 0.82, {"within": 0.05, "sure": 0.9}),
        ("far", 0.5, 0.82, {"within": 0.05, "sure": 0.9}),
        ("a tenth", 95, 100, {}),
        ("more than a tenth", 80, 100, {"sure": 0.2}),
        ("choice", "1/4", "1/4", {"choices": SKIPS, "sure": 0.6}),
        ("wrong choice", "1/1", "1/4", {"choices": SKIPS}),
        ("open", 1, None, {"sure": 0.5}),
        ("zero", 0, 0, {}),
    ]:
        bet(name, value, **options)
        if result is not None:
            resolve(name, result)
    capsys.readouterr()


def test_the_table_judges_numbers_and_choices(course):
    table = bets.table()
    right = {"near": True, "far": False, "a tenth": True, "more than a tenth": False, "choice": True,
             "wrong choice": False, "open": None, "zero": True}  # fmt: skip
    assert table["right"].to_dict() == right
    assert table["error"].dropna().to_dict() == pytest.approx(
        {"near": -0.02, "far": -0.32, "a tenth": -5, "more than a tenth": -20, "zero": 0}
    )


def test_the_figure_shows_errors_and_how_often_the_sure_were_right(course):
    network = pd.DataFrame({"probability": [0.1, np.nan, 0.9], "person": [0.2, np.nan, 0.8]})
    left, right = bets.calibration(network).axes
    shown = left.collections[0].get_offsets()
    assert shown[:, 0].tolist() == pytest.approx([-0.4, -3, -0.5, -2, 0]), "in units of `within`, 3 at most"
    assert left.get_title() == "4 of 7 bets came true"
    assert [label.get_text() for label in left.get_yticklabels()][0] == "near"
    mine = right.collections[0].get_offsets()
    assert mine.tolist() == [[0.2, 0], [0.6, 1], [0.9, 0.5]]
    assert right.lines[1].get_ydata()[[0, 2]].tolist() == [0.2, 0.8]


def test_without_bets_there_is_a_figure_too():
    left, right = bets.calibration().axes
    assert left.get_title() == "no bets resolved" and not right.collections and bets.table().empty
