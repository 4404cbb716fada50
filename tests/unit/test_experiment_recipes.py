"""The comparison of recipes: paired by seed, by the photos that choose the epoch, with one rule for the winner."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from experiments import plan, recipes, reproduce
from faceseg_utils.config import TrainConfig
from faceseg_utils.engine.loader import steps_per_epoch

NEW = list(plan.RECIPES)[1:]


def test_every_idea_is_planned_with_the_seeds_of_the_old_recipe():
    planned = [name for name in plan.PLAN if name.startswith("recipe-")]
    assert planned == [f"recipe-{name}-s{seed}" for name in plan.RECIPES for seed in range(3)]
    for name in planned:
        config = plan.PLAN[name]
        assert (config.size, config.holdout, config.train_on) == ((128, 96), 0.1, "train"), "a tenth of train chooses"


@pytest.mark.parametrize("name", NEW)
def test_an_idea_changes_one_thing_and_takes_the_same_number_of_steps(name):
    old, new = plan.RECIPES["old"], plan.RECIPES[name]
    changed = {field.name for field in dataclasses.fields(old) if getattr(old, field.name) != getattr(new, field.name)}
    assert len(changed - {"epochs"}) == 1
    steps = [
        config.epochs * steps_per_epoch(1072 + sum(plan.EXTRA[folder] for folder in config.extra.split(" + ")), config)
        for config in (old, new)
    ]
    assert steps == [2250, 2250]


def scores(**gains):
    old = pd.Series([0.970, 0.971, 0.969])
    return pd.DataFrame({"old": old, **{name: old + gain for name, gain in gains.items()}})


def test_the_winner_gains_with_every_seed():
    three = {"a": [0.001, 0.001, 0.0011], "b": [0.009, 0.009, -0.001], "c": [0.002, 0.001, 0.0005]}
    table = recipes.compare(scores(**three))
    assert list(table.index) == ["b", "c", "a"] and table.loc["b", "smallest"] == pytest.approx(-0.001)
    assert table["verdict"].to_dict() == {"a": "higher", "b": "undecided", "c": "undecided"}
    assert recipes.winner(table) == "c"


def test_without_a_gain_the_old_recipe_stays():
    assert recipes.winner(recipes.compare(scores(a=[0.01, 0.01, 0.0], b=[-0.1] * 3))) == "old"


@pytest.fixture
def runs(make_dataset, tmp_path, monkeypatch, small_network):
    """A plan of two recipes and three seeds, made."""
    old = TrainConfig(
        model="unet", pretrained=False, dataset=str(make_dataset("own", 30)), size=(32, 32), epochs=2, batch_size=4,
    )  # fmt: skip
    both = {"old": old, "plain": dataclasses.replace(old, augment="none")}
    planned = {f"recipe-{n}-s{seed}": dataclasses.replace(c, seed=seed) for n, c in both.items() for seed in range(3)}
    monkeypatch.setattr(recipes, "PLAN", planned)
    for name, config in planned.items():
        reproduce.reproduce(name, config, tmp_path / "runs", "cpu")
    return tmp_path / "runs"


def test_scores_are_of_the_photos_that_choose_the_epoch(runs, capsys):
    table = recipes.scores(runs)
    assert list(table.columns) == ["old", "plain"] and list(table.index) == [0, 1, 2]
    file = runs / "recipe-plain-s2" / "metrics.csv"
    assert table.loc[2, "plain"] in pd.read_csv(file)["val_dice"].tolist()
    pd.read_csv(file).assign(val_dice=[0.9, 0.8]).to_csv(file, index=False)
    table = recipes.scores(runs)
    assert table.loc[2, "plain"] == 0.9, "of the best epoch, not the last"
    for file in runs.glob("*/val_scores.csv"):  # the validation photos have no say
        text = pd.read_csv(file)
        text.assign(dice=np.random.default_rng(0).random(len(text))).to_csv(file, index=False)
    pd.testing.assert_frame_equal(recipes.scores(runs), table)
    recipes.main(["--folder", str(runs)])
    out = capsys.readouterr().out
    assert "plain" in out and out.splitlines()[-1] == f"winner: {recipes.winner(recipes.compare(table))}"


def test_a_run_that_is_missing_is_named(runs):
    (runs / "recipe-plain-s1" / "config.json").unlink()
    with pytest.raises(ValueError, match="recipe-plain-s1 is missing: make it first, with python -m experiments.repro"):
        recipes.main(["--folder", str(runs)])
