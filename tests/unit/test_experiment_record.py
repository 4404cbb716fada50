"""Models of record say the numbers of their runs, and the table of record in README.md is current."""

import json
import re
import shutil

import pytest

from faceseg_utils import publish, record
from faceseg_utils.__main__ import main
from faceseg_utils.catalog import course_root
from faceseg_utils.config import TrainConfig
from faceseg_utils.experiment import Run
from faceseg_utils.model import Segmenter
from faceseg_utils.training import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run with its weights: one epoch on made-up portraits."""
    from .conftest import LAYOUTS

    root = tmp_path_factory.mktemp("record")
    LAYOUTS["own"](root / "photos", 71)  # 8 of them for validation: enough for slices
    config = TrainConfig(pretrained=False, dataset=str(root / "photos"), size=(64, 64), epochs=1, limit=16)
    return train(config, root / "runs" / "tiny-s0", device="cpu").folder


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.setattr(
        publish, "LOST", 0.02
    )  # eight photos of 48 x 40: one pixel more or less moves the third decimal
    return {"models": tmp_path / "models", "experiments": tmp_path / "experiments"}


@pytest.fixture
def published(run, places):
    publish.publish(run, "tiny-s0", **places)
    return places["models"] / "tiny-s0"


def test_a_run_becomes_a_model(run, published, places, capsys):
    assert sorted(path.name for path in published.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    halved = (published / "model.safetensors").stat().st_size / (run / "model" / "model.safetensors").stat().st_size
    assert 0.49 < halved < 0.52  # half precision
    kept = places["experiments"] / "runs" / "tiny-s0"
    assert sorted(path.name for path in kept.iterdir()) == sorted(publish.FILES)
    assert publish.check_models(**places) == []

    card = (published / "README.md").read_text()
    claimed = re.search(r"\| Dice \| ([\d.]+) \| ([\d.]+) to ([\d.]+) \|", card).groups()
    assert main(["evaluate", "--model", str(published), "--dataset", Run.read(run).config["dataset"]]) == 0
    said = capsys.readouterr().out.splitlines()[0].split()
    assert [float(said[k]) for k in (1, 5, 7)] == pytest.approx(list(map(float, claimed)), abs=publish.LOST)
    for part in ("person's share", "brightness", "contrast", "## Limits", "## Licence", 'load("models/tiny-s0")'):
        assert part in card, part


def test_the_card_tells_every_lesson(run, tmp_path):
    second = tmp_path / "second"
    shutil.copytree(run, second)
    config = json.loads((run / "config.json").read_text()) | {"weights": str(run / "model"), "extra": "pseudo"}
    (second / "config.json").write_text(json.dumps(config))
    first, then = publish.lessons(Run.read(run)), publish.lessons(Run.read(second))
    assert first.startswith("From random weights: 16 photos, 1 epochs at 64 x 64")
    assert then.startswith(f"{first} Then: 16 photos, among them those of `pseudo`, whose masks no person drew")


def test_the_best_model_of_a_dataset_is_found(run, published, places):
    dataset = Run.read(run).config["dataset"]
    assert record.best_model(dataset, **places) == published
    better = places["experiments"] / "runs" / "tiny-s1"
    shutil.copytree(places["experiments"] / "runs" / "tiny-s0", better)
    assert record.best_model(dataset, **places) == published  # a run without weights is no model
    shutil.copytree(published, places["models"] / "tiny-s1")
    summary = json.loads((better / "summary.json").read_text())
    (better / "summary.json").write_text(json.dumps(summary | {"dice": summary["dice"] + 0.01}))
    assert record.best_model(dataset, **places) == places["models"] / "tiny-s1"
    assert record.best_model("sample", **places) is None


FAULTS = {
    "a better score on the card": (
        lambda model, run: (model / "README.md").write_text(
            re.sub(r"\| Dice \| [\d.]+", "| Dice | 0.9999", (model / "README.md").read_text())
        ),
        "the scores on its card are not those of its run",
    ),
    "no card": (lambda model, run: (model / "README.md").unlink(), "README.md is missing"),
    "no run": (lambda model, run: shutil.rmtree(run), "config.json is missing"),
    "the run is not finished": (lambda model, run: (run / "summary.json").unlink(), "its run: not finished"),
    "another size": (
        lambda model, run: (model / "config.json").write_text((model / "config.json").read_text().replace("64", "96")),
        "another network or size",
    ),
    "damaged weights": (lambda model, run: (model / "model.safetensors").write_bytes(b"x"), "not a model of this"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_of_a_model_is_found(published, places, fault):
    break_it, message = FAULTS[fault]
    break_it(published, places["experiments"] / "runs" / "tiny-s0")
    problems = publish.check_models(**places)
    assert len(problems) == 1 and problems[0].startswith("models/tiny-s0: ") and message in problems[0]


def test_weights_that_are_too_large_are_neither_published_nor_passed(run, published, places, monkeypatch):
    monkeypatch.setattr(publish, "LARGEST", 1_000_000)
    assert "larger than 1 MB" in publish.check_models(**places)[0]
    shutil.rmtree(published)
    with pytest.raises(ValueError, match="at most 1 may be published"):
        publish.publish(run, "tiny-s0", **places)
    assert list(places["models"].iterdir()) == []


def test_single_precision_stays_where_half_loses(run, places, monkeypatch):
    monkeypatch.setattr(publish, "LOST", -1)
    monkeypatch.setattr(publish, "LARGEST", 30_000_000)
    model = publish.publish(run, "tiny-s0", **places)
    whole = (run / "model" / "model.safetensors").stat().st_size
    assert (model / "model.safetensors").stat().st_size == whole and "single precision" in (
        model / "README.md"
    ).read_text()


def test_weights_of_another_run_are_refused(run, places, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    segmenter = Segmenter.load(copy / "model")
    segmenter.network.segmentation_head[0].bias.data += 100  # everything becomes person
    segmenter.save(copy / "model")
    with pytest.raises(ValueError, match="these weights give Dice"):
        publish.publish(copy, "tiny-s0", **places)
    assert not places["models"].exists()


def test_what_is_there_stays(run, published, places, tmp_path):
    with pytest.raises(FileExistsError, match="is there already"):
        publish.publish(run, "tiny-s0", **places)
    kept = places["experiments"] / "runs" / "tiny-s0" / "metrics.csv"
    kept.write_text(kept.read_text() + "\n")
    shutil.rmtree(published)
    with pytest.raises(ValueError, match="holds another run"):
        publish.publish(run, "tiny-s0", **places)


# --- The table --------------------------------------------------------------------------------------------------------


def test_the_table_of_record_is_current():
    readme = (course_root() / "README.md").read_text(encoding="utf-8")
    said = record.between(readme, "table-of-record").strip("\n")
    assert said == record.table_of_record().strip("\n"), "run `python -m faceseg_utils experiments --table`"


def test_the_table_holds_every_run_and_peer_best_first():
    from faceseg_utils.experiment import ExperimentLog

    table = record.table_of_record()
    for run in ExperimentLog().runs.values():
        if run.finished and run.config["dataset"] == "picsart":
            assert run.id.removesuffix(f"-s{run.config['seed']}") in table
    assert "MediaPipe Selfie Segmentation, general" in table
    dices = [float(line.split("|")[2].split()[0]) for line in table.splitlines()[2:]]
    assert dices == sorted(dices, reverse=True)


def test_between_needs_both_marks():
    text = "a\n<!-- x -->\nold\n<!-- /x -->\nb\n"
    assert record.between(text, "x") == "old\n"
    assert record.between(text, "x", "new\n") == text.replace("old", "new")
    for wrong in ("nothing", text + text, "<!-- /x -->\n<!-- x -->\n"):
        with pytest.raises(ValueError, match="<!-- x -->"):
            record.between(wrong, "x")
