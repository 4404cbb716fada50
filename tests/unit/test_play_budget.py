"""The budget game: its file agrees with the log, moves are paid for and survive, the exam is locked until the end."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from experiments import budget as collector
from experiments.exam import exam_scores
from experiments.plan import BUDGET, PLAN
from experiments.reproduce import minutes
from faceseg_utils.log.runs import ExperimentLog
from faceseg_utils.play import budget


@pytest.fixture(autouse=True)
def own_memory(tmp_path, monkeypatch):
    monkeypatch.setenv("FACESEG_BETS", str(tmp_path))
    budget.random_search.cache_clear()
    yield
    budget.random_search.cache_clear()


def made_up(seeds=2, luck=0.0):
    """A grid of runs in which more photos, epochs and rate are better; `luck` is the noise of each score."""
    random, rows = np.random.default_rng(0), {}
    for photos, epochs, rate, seed in product((80, 320), (1, 3), (0.001, 0.003), range(seeds)):
        truth = 0.8 + 0.02 * (photos == 320) + 0.03 * (epochs == 3) + 0.01 * (rate == 0.003)
        row = budget.BASE | {"photos": photos, "epochs": epochs, "rate": rate, "seed": seed}
        row |= {"minutes": photos * epochs / 200, "holdout": truth + random.normal(0, luck)}
        for split in ("val", "locked"):
            row |= {f"{split} {i}": truth + random.normal(0, luck) for i in range(4)}
        rows[f"{photos}x{epochs}-{rate}-s{seed}"] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")


@pytest.fixture
def grid(monkeypatch):
    known = made_up()
    monkeypatch.setattr(budget, "_file", lambda: known)
    return known


# --- The file ---------------------------------------------------------------------------------------------------------


def test_the_file_is_what_the_log_has():
    known, log = budget.table(), ExperimentLog()
    assert len(known) >= 20 and known.index.is_unique
    for name in known.index:
        run, row = log[name], known.loc[name]
        assert row[list(budget.BASE)].to_dict() == collector.choices(PLAN[name])
        assert row["minutes"] == pytest.approx(minutes(PLAN[name]), abs=0.006)
        assert row["holdout"] == pytest.approx(run.metrics["val_dice"].max(), abs=6e-5)
        for split, scores in (("val", run.val_scores), ("locked", exam_scores(name))):
            photos = budget.scores(split).loc[name].rename(lambda column: column.split(" ", 1)[1])
            assert np.allclose(photos, scores["dice"].loc[photos.index], atol=6e-5) and len(photos) == len(scores)


def test_the_file_is_up_to_date():
    """Whoever trains runs of the plan and opens their exam collects them, too."""
    table, _ = collector.collect()
    assert set(table.index) == set(budget.table().index), "python -m experiments.budget"


def test_missing_runs_are_named_and_left_out(tmp_path):
    table, missing = collector.collect(tmp_path)
    assert table.empty and set(BUDGET) < set(missing)


def test_the_plan_has_a_whole_grid_and_each_run_costs_about_a_minute():
    settings = [collector.choices(config) for config in PLAN.values() if config in set(BUDGET.values())]
    settings += [collector.choices(PLAN[name]) for name in ("short-base-s0", "short-plain-s0")]
    grid = product(((80, 1), (80, 3), (320, 1), (800, 1), (320, 3), (800, 3)), (3e-4, 1e-3, 3e-3), ("none", "portrait"))
    for (photos, epochs), rate, augment in grid:
        wanted = budget.BASE | {"photos": photos, "epochs": epochs, "rate": rate, "augment": augment}
        assert wanted in settings
    cost = [minutes(config) for config in BUDGET.values()]
    assert len(BUDGET) + 20 >= 60 and max(cost) < 1.5 and sum(cost) < 35


# --- The game ---------------------------------------------------------------------------------------------------------


def said(capsys) -> str:
    return capsys.readouterr().out.strip()


def test_a_run_is_paid_once_and_outlives_the_kernel(grid, capsys):
    budget.run(photos=80, epochs=1)
    assert said(capsys) == "run 1: Dice 0.8000 on the holdout; 19.60 of 20 minutes left"
    budget.run()
    budget.run(photos=80, epochs=1)
    assert said(capsys).splitlines()[1] == "run 1: Dice 0.8000 on the holdout; 14.80 of 20 minutes left"
    assert budget.runs()["photos"].tolist() == [80, 320] and budget.runs().index.tolist() == [1, 2]
    assert "locked" not in budget.runs() and "val" not in budget.runs()
    budget.restart()
    assert budget.runs().empty


@pytest.mark.parametrize(
    "choices, words",
    [
        ({"photos": ...}, "No run bought"), ({"photo": 80}, "Did you mean 'photos'?"),
        ({"rate": 0.1}, "rate=0.1 is not on the menu: it has 0.001, 0.003"),
    ],
)  # fmt: skip
def test_a_move_that_cannot_be_made_is_one_line_and_costs_nothing(grid, capsys, choices, words):
    budget.run(**choices)
    line = said(capsys)
    assert words in line and "\n" not in line and budget.runs().empty


def test_a_combination_that_nobody_trained_gets_the_nearest_one(grid, capsys, monkeypatch):
    part = grid.drop(index=[name for name in grid.index if name.startswith("80x3-0.003")])
    monkeypatch.setattr(budget, "_file", lambda: part)
    budget.run(photos=80, rate=0.003, seed=1)
    assert "not on the menu. The nearest run has" in said(capsys) and budget.runs().empty


def test_the_budget_ends(grid, capsys):
    for seed, rate in product((0, 1), (0.001, 0.003)):
        budget.run(seed=seed, rate=rate)
    budget.run(epochs=1)
    line = said(capsys).splitlines()[-1]
    assert line == "That run takes 1.60 minutes and 0.80 are left: choose a cheaper one, or commit"
    assert len(budget.runs()) == 4


def test_the_exam_opens_once(grid, capsys):
    budget.commit(...)
    budget.commit(1)
    assert "Nothing committed" in (lines := said(capsys)) and "There is no run 1: you have bought 0" in lines
    assert "you" not in budget.compare().index
    budget.run(rate=0.003)
    budget.run(photos=80)
    assert "exam" not in said(capsys)
    budget.commit(1)
    lines = said(capsys).splitlines()
    assert lines[0] == "run 1: Dice 0.8600 in the exam"
    assert lines[1].startswith("ahead of the base: +0.0100 promised, +0.0100 kept, by the rule over the exam photos")
    assert "you would have taken run 1" in lines[2]
    budget.commit(2)
    budget.run(epochs=1)
    after = said(capsys).splitlines()
    assert after[:3] == lines and "budget.restart() begins a new game" in after[3]
    assert budget.compare().loc["you", "exam Dice"] == pytest.approx(0.86)


def test_a_memory_of_runs_that_are_gone_is_forgotten(grid, capsys):
    budget.memory.save("budget", {"1": {"run": "gone"}, "committed": {"run": "gone"}})
    assert budget.runs().empty and "you" not in budget.compare().index


def test_the_menu_has_every_run(grid):
    menu = budget.menu()
    assert len(menu) == 4 and menu["minutes"].is_monotonic_increasing and set(menu["rate"]) == {"0.001, 0.003"}
    assert budget.options()["photos"] == [320, 80] and set(budget.options()) == set(budget.BASE)


# --- Other ways -------------------------------------------------------------------------------------------------------


def test_the_ladder_goes_on_from_the_best_and_stays_within_its_budget(grid):
    known = budget.table()
    bought = budget.greedy_ladder(known)
    assert known.loc[bought, "holdout"].idxmax() == "320x3-0.003-s0" and known.loc[bought, "minutes"].sum() <= 20
    assert budget.greedy_ladder(known, 5) == ["320x3-0.001-s0"]


def test_random_search_spends_and_chooses_by_what_it_is_told(grid):
    assert len(budget.random_search("holdout", 20.0)) == budget.GAMES
    some = budget.table().loc[budget.random_search("holdout", 3.0)]
    assert len(some) < budget.GAMES and some["minutes"].max() <= 3
    spent = [budget.table().loc[budget.random_search("holdout", m), "holdout"].mean() for m in (2.0, 8.0, 20.0)]
    assert spent[0] < spent[1] < spent[2]


def test_random_search_spends_no_more_than_all_runs_cost(monkeypatch):
    known = made_up(seeds=1)
    monkeypatch.setattr(budget, "_file", lambda: known)
    ways = budget.compare()
    assert ways.loc["random search", "minutes"] == ways.loc["all runs", "minutes"] == pytest.approx(16)


def test_luck_is_promised_and_not_kept(monkeypatch):
    """All runs alike but for noise: what is chosen for its score loses it on other photos."""
    lucky = made_up(seeds=5, luck=0.01)
    lucky["holdout"] -= 0.8 + 0.02 * (lucky["photos"] == 320) + 0.03 * (lucky["epochs"] == 3)
    monkeypatch.setattr(budget, "_file", lambda: lucky)
    ways = budget.compare()
    assert ways.loc["random search", "promised"] > ways.loc["random search", "kept"] + 0.005
    assert ways.loc["best possible", "exam Dice"] == ways["exam Dice"].max()


def test_the_figure_shows_yours_only_when_there_is_one(grid):
    def drawn():
        left, _ = budget.figure().axes
        return left.get_legend_handles_labels()[1]

    assert "you" not in drawn() and {"all runs", "best possible"} <= set(drawn())
    budget.run()
    budget.commit(1)
    assert "you" in drawn()
