"""The plan of record: every run can be asked for, is resumed, and is not trained twice; what networks cost."""

import dataclasses
import json

import pandas as pd
import pytest
import torch

from experiments import costs, plan, reproduce
from faceseg_utils import paths
from faceseg_utils.config import TrainConfig
from faceseg_utils.log.runs import ExperimentLog, Run
from faceseg_utils.model import build_model


@pytest.fixture
def tiny(make_dataset, monkeypatch):
    """A plan of one run that takes seconds."""
    config = TrainConfig(
        model="unet", pretrained=False, dataset=str(make_dataset("own", 14)), size=(32, 32), epochs=2, batch_size=4
    )
    monkeypatch.setattr(reproduce, "PLAN", {"tiny-s0": config})
    return config


def test_the_list_names_every_run_with_state_and_cost(capsys):
    reproduce.main(["--list"])
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line.split()[0] for line in lines] == list(plan.PLAN)
    table = reproduce.listing(paths.experiments_folder() / "runs")
    assert table["state"].str.match(r"missing|done|stale|part \(\d+ epochs\)").all()
    assert (table["minutes, about"] > 0).all()
    minutes = table["minutes, about"]
    assert minutes["report320-final-s0"] > 4 * minutes["report320-batch8-lr3e-4-s0"]
    assert minutes["report160-final-s0"] > 2 * minutes["report160-batch8-lr3e-4-s0"]


def test_every_logged_run_stands_in_the_plan_with_its_configuration():
    for name, run in ExperimentLog().runs.items():
        assert plan.PLAN[name] == TrainConfig(**run.config), name


def test_the_ladder_changes_one_thing_at_a_time():
    steps = list(plan.LADDER.values())
    changed = [
        {f.name for f in dataclasses.fields(a) if getattr(a, f.name) != getattr(b, f.name)}
        for a, b in zip(steps, steps[1:])
    ]
    one_cycle = {"schedule", "optimizer", "weight_decay", "clip"}  # belong together: AdamW with its decay and clipping
    assert [len(names) for names in changed if names != one_cycle] == [1] * 5 and one_cycle in changed
    assert all(config.holdout == 0.1 for config in steps), "the 150 photos choose nothing"


def test_a_run_is_made_once_and_resumed(tiny, tmp_path, capsys):
    runs = tmp_path / "runs"
    command = ["tiny-*", "--folder", str(runs), "--device", "cpu"]
    assert reproduce.state("tiny-s0", tiny, runs) == "missing"
    reproduce.main(command)
    assert reproduce.state("tiny-s0", tiny, runs) == "done"
    written = (runs / "tiny-s0" / "summary.json").read_text()

    capsys.readouterr()
    reproduce.main([*command, "--flip"])
    assert "done already" in capsys.readouterr().out
    run = Run.read(runs / "tiny-s0")
    assert list(run.flip_scores.index) == list(run.val_scores.index)

    (runs / "tiny-s0" / "summary.json").unlink()  # killed just before the end
    assert reproduce.state("tiny-s0", tiny, runs) == "part (2 epochs)"
    reproduce.main(command)
    again = json.loads((runs / "tiny-s0" / "summary.json").read_text())
    assert again["dice"] == json.loads(written)["dice"] and again["minutes"] == json.loads(written)["minutes"]


def test_the_final_run_is_its_comparison_continued(tiny, tmp_path, monkeypatch):
    short = dataclasses.replace(tiny, schedule="constant", epochs=1)
    long = dataclasses.replace(short, epochs=2)
    planned = {"short-s0": short, "long-s0": long, "alone-s0": long}
    monkeypatch.setattr(reproduce, "PLAN", planned)
    monkeypatch.setattr(reproduce, "CONTINUES", {"long-s0": "short-s0"})
    for name, config in planned.items():
        reproduce.reproduce(name, config, tmp_path, "cpu")
        assert reproduce.state(name, config, tmp_path) == "done"
    runs = {name: Run.read(tmp_path / name) for name in planned}
    first = runs["short-s0"].metrics
    pd.testing.assert_frame_equal(runs["long-s0"].metrics[:1], first)  # with its seconds: not trained twice
    pd.testing.assert_frame_equal(runs["long-s0"].val_scores, runs["alone-s0"].val_scores)


def test_what_is_continued_differs_in_its_epochs_alone():
    for longer, shorter in plan.CONTINUES.items():
        longer, shorter = plan.PLAN[longer], plan.PLAN[shorter]
        assert dataclasses.replace(shorter, epochs=longer.epochs) == longer and shorter.schedule == "constant"
        assert longer.epochs > shorter.epochs


def test_batch_normalisation_is_all_that_unet11_gains():
    plain, normalised = (build_model(plan.PLAN[f"report160-{name}-s0"].model) for name in ("unet11", "unet11-bn"))
    kinds = [
        [type(layer) for layer in network.modules() if not isinstance(layer, torch.nn.BatchNorm2d)]
        for network in (plain, normalised)
    ]
    assert kinds[0] == kinds[1]
    layers = (map(type, network.encoder.modules()) for network in (plain, normalised))
    assert [torch.nn.BatchNorm2d in kinds for kinds in layers] == [False, True]


@pytest.mark.parametrize("change", [{"seed": 3}, {"size": 32}, {"optimiser": "adam"}])
def test_another_run_in_its_place_is_not_touched(tiny, tmp_path, change):
    folder = tmp_path / "tiny-s0"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(dataclasses.asdict(tiny) | change))
    (folder / "metrics.csv").write_text("epoch,val_dice\n0,0.5\n")
    with pytest.raises(ValueError, match="tiny-s0 holds a run of another configuration"):
        reproduce.main(["tiny-s0", "--folder", str(tmp_path)])
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "metrics.csv"]


@pytest.mark.parametrize(
    ("field", "advice"),
    [
        ({"weights": "nowhere/first-s0/model"}, "tiny-s0 begins with nowhere/first-s0/model: make first-s0 first"),
        ({"extra": "nowhere/pseudo"}, "tiny-s0 also learns from nowhere/pseudo: make it first, as experiments/README"),
        ({"extra": "experiments + nowhere/two"}, "tiny-s0 also learns from nowhere/two: make it first"),
    ],
)
def test_a_run_without_what_it_learns_from_says_what_to_make(tiny, tmp_path, monkeypatch, field, advice):
    monkeypatch.setattr(reproduce, "PLAN", {"tiny-s0": dataclasses.replace(tiny, **field)})
    with pytest.raises(ValueError, match=advice) as error:
        reproduce.main(["tiny-s0", "--folder", str(tmp_path)])
    assert "\n" not in str(error.value)
    assert not (tmp_path / "tiny-s0").exists()


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"no run of the plan is called 'reprot160-\*': see --list"):
        reproduce.main(["reprot160-*"])


def test_the_costs_of_every_logged_network_are_known():
    table = costs.read()
    for run in ExperimentLog().runs.values():
        height, width = run.config["size"]
        row = table.loc[(run.config["model"], f"{height}x{width}")]
        assert row["gflop"] == pytest.approx(costs.gflop(run.config["model"], (height, width)), abs=0.006)
        assert row["mb"] == pytest.approx(row["parameters"] * 4e-6, abs=0.06) and row["ms"] > 0


def test_the_cost_of_a_known_network():
    assert costs.gflop("resnet34", (320, 320)) == pytest.approx(24.4, abs=0.05)
