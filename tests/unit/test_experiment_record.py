"""Models of record and the tables of record show the numbers of their runs; publishing is whole or not at all."""

import json
import re
import shutil

import pytest

from experiments import card, publish, record
from experiments.markdown import between, filled
from faceseg_utils.config import TrainConfig
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.evaluation import evaluate
from faceseg_utils.log.runs import ExperimentLog, Run, best_model
from faceseg_utils.model import Segmenter
from faceseg_utils.paths import course_root, experiments_folder, models_folder
from faceseg_utils.training import train

from .conftest import LAYOUTS


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run with its weights: one epoch on made-up portraits."""
    root = tmp_path_factory.mktemp("record")
    LAYOUTS["own"](root / "photos", 71)  # 8 of them for validation: enough for slices
    config = TrainConfig(pretrained=False, dataset=str(root / "photos"), size=(64, 64), epochs=1, limit=16)
    return train(config, root / "runs" / "tiny-s0", device="cpu").folder


@pytest.fixture
def places(tmp_path, monkeypatch):
    # Eight photos of 48 x 40: one pixel more or less changes the third decimal.
    monkeypatch.setattr(publish, "TOLERATED", 0.02)
    return {"models": tmp_path / "models", "experiments": tmp_path / "experiments"}


@pytest.fixture
def published(run, places):
    return publish.publish(run, "tiny-s0", **places)


@pytest.fixture
def changed(run, tmp_path):
    """`changed(name, with_model=True, **settings)`: a copy of the run with other settings in its config.json."""

    def change(name, /, with_model=True, **settings):
        folder = shutil.copytree(run, tmp_path / "changed" / name)
        config = json.loads((folder / "config.json").read_text()) | settings
        (folder / "config.json").write_text(json.dumps(config))
        if not with_model:
            shutil.rmtree(folder / "model")
        return folder

    return change


def files(folder):
    """All files below a folder with their content."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- Publishing -------------------------------------------------------------------------------------------------------


def test_a_run_becomes_a_model(run, published, places):
    assert sorted(path.name for path in published.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    halved = (published / "model.safetensors").stat().st_size / (run / "model" / "model.safetensors").stat().st_size
    assert 0.49 < halved < 0.52  # half precision
    kept = places["experiments"] / "runs" / "tiny-s0"
    assert files(kept) == {path: content for path, content in files(run).items() if str(path) in publish.FILES}
    assert publish.check_models(**places) == []

    text = (published / "README.md").read_text()
    claimed = re.search(r"\| Dice \| ([\d.]+) \| ([\d.]+) to ([\d.]+) \|", text).groups()
    scores = evaluate(Segmenter.load(published), PortraitDataset(Run.read(run).config["dataset"], "val"))
    again = card.bootstrap_mean(scores["dice"])
    assert list(again) == pytest.approx(list(map(float, claimed)), abs=publish.TOLERATED)
    for part in ("person's share", "brightness", "contrast", "## Limits", "## Licence", 'load("tiny-s0")'):
        assert part in text, part


def test_weights_that_are_too_large_are_neither_published_nor_passed(run, published, places, monkeypatch):
    monkeypatch.setattr(publish, "LARGEST", 1_000_000)
    assert "larger than 1 MB" in publish.check_models(**places)[0]
    shutil.rmtree(published)
    shutil.rmtree(places["experiments"])
    with pytest.raises(ValueError, match="at most 1 may be published"):
        publish.publish(run, "tiny-s0", **places)
    assert not files(places["models"]) and not files(places["experiments"])


def test_single_precision_stays_where_half_loses(run, places, monkeypatch):
    monkeypatch.setattr(publish, "TOLERATED", -1)
    monkeypatch.setattr(publish, "LARGEST", 30_000_000)
    model = publish.publish(run, "tiny-s0", **places)
    whole = (run / "model" / "model.safetensors").stat().st_size
    assert (model / "model.safetensors").stat().st_size == whole
    assert "single precision" in (model / "README.md").read_text()


def test_weights_of_another_run_are_refused(changed, places):
    copy = changed("copy")
    segmenter = Segmenter.load(copy / "model")
    segmenter.network.segmentation_head[0].bias.data += 100  # everything becomes person
    segmenter.save(copy / "model")
    with pytest.raises(ValueError, match="these weights give Dice"):
        publish.publish(copy, "tiny-s0", **places)
    assert not places["models"].exists() and not places["experiments"].exists()


def test_a_run_scored_on_other_photos_is_refused(run, changed, make_dataset, places):
    other = changed("other", dataset=str(make_dataset("own", 11)))
    with pytest.raises(ValueError, match="other: scored on other photos"):
        publish.publish(other, "tiny-s0", **places)
    assert not places["models"].exists()


NAMES = ["../evil", "/evil", "a/b", "a\\b", "..", ".", "", ".hidden", "-x", "a b", "x\n", "x\0", "C:x", "x.new", "é"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_not_plain_is_refused_before_anything_is_written(run, places, tmp_path, name):
    places["models"].mkdir()
    with pytest.raises(ValueError, match="cannot name a model"):
        publish.publish(run, name, **places)
    assert [path.name for path in tmp_path.rglob("*")] == ["models"]


def test_another_view_than_person_is_refused(changed, places):
    parts = changed("parts", view="parts")
    with pytest.raises(ValueError, match="its view is 'parts', but only 'person' can be published"):
        publish.publish(parts, "parts-s0", **places)
    assert not places["models"].exists()


def test_a_full_disk_leaves_no_half_written_model(run, places):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for name in ("models", "experiments"):
        places[name].mkdir()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))  # the weights take 11 MB
        with pytest.raises(OSError, match="tiny-s0: could not be written .*; free some space and try again"):
            publish.publish(run, "tiny-s0", **places)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(places["models"].iterdir()) and not files(places["experiments"])


def test_a_full_disk_leaves_the_older_model_as_it_was(run, published, places):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = files(places["models"]), files(places["experiments"])
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
        with pytest.raises(OSError, match="could not be written"):
            publish.publish(run, "tiny-s0", **places)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (files(places["models"]), files(places["experiments"])) == before


def test_a_name_that_another_run_or_model_has_is_refused(run, published, places):
    kept = places["experiments"] / "runs" / "tiny-s0"
    metrics = (kept / "metrics.csv").read_bytes()
    (kept / "metrics.csv").write_bytes(metrics + b"\n")
    with pytest.raises(FileExistsError, match="holds another run: take another name"):
        publish.publish(run, "tiny-s0", **places)
    (kept / "metrics.csv").unlink()
    with pytest.raises(FileExistsError, match="holds another run: take another name"):
        publish.publish(run, "tiny-s0", **places)
    shutil.rmtree(kept)
    with pytest.raises(FileExistsError, match="is there already, and its run is not at .*tiny-s0"):
        publish.publish(run, "tiny-s0", **places)


# --- The card ---------------------------------------------------------------------------------------------------------


def test_what_people_wrote_on_a_card_stays_when_it_is_published_again(run, published, places):
    readme = published / "README.md"
    first = readme.read_text()
    ours = first.replace("## Limits\n", "The masks were drawn by hand.\n\n## Limits\n\nNot for passports.\n")
    ours = ours.replace("that finds the person", "that finds one person") + "\n## Thanks\n\nTo all.\n"
    readme.write_text(re.sub(r"\| Dice \| [\d.]+", "| Dice | 0.9999", ours))
    (published / "model.safetensors").write_bytes(b"x")
    assert publish.publish(run, "tiny-s0", **places) == published
    assert readme.read_text() == ours != first
    assert publish.check_models(**places) == []


def test_a_card_without_marks_is_not_overwritten(run, published, places):
    (published / "README.md").write_text("# Mine\n")
    with pytest.raises(ValueError, match=r"tiny-s0.README.md: expected one line '<!-- scores -->'"):
        publish.publish(run, "tiny-s0", **places)
    assert (published / "README.md").read_text() == "# Mine\n"


@pytest.mark.parametrize(
    ("model", "start"),
    [
        ("lite0", "From ImageNet weights (EfficientNet-Lite0: Apache-2.0): 16 photos, 1 epoch at 64 x 64"),
        ("lite2", "From ImageNet weights (EfficientNet-Lite2: Apache-2.0): "),
        ("timm-tf_efficientnet_lite0", "From ImageNet weights (EfficientNet-Lite0: Apache-2.0): "),
        ("tu-efficientnet_lite0", "From ImageNet weights (`tu-efficientnet_lite0`): "),
        ("resnet34", "From ImageNet weights (`resnet34`): "),
        ("unet16", "From ImageNet weights (`vgg16`): "),
    ],
)
def test_only_our_lite_is_called_efficientnet_lite(changed, model, start):
    text = card.training_block([Run.read(changed(model, pretrained=True, model=model))])
    assert text.startswith(start) and ("Apache" in text) == ("lite" in model and "tu-" not in model)


def test_the_card_lists_what_the_weights_learned_from_first_to_last(run, changed, tmp_path, monkeypatch):
    """Whether `weights` is a path from the root of the course, an absolute one, or the name of a model of record."""
    course, experiments = tmp_path / "course", tmp_path / "course" / "experiments"
    monkeypatch.setattr(card, "course_root", lambda: course)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run, experiments / "runs" / "first-s0")
    shutil.rmtree(experiments / "runs" / "first-s0" / "model")  # the log keeps no weights
    for weights in ("experiments/runs/first-s0/model", "models/first-s0", "first-s0", str(run / "model")):
        name = weights.replace("/", "-")
        second = Run.read(changed(f"second {name}", weights=weights, extra="build/more"))
        runs = card.ancestry(second, experiments)
        assert [each.id for each in runs] == ["tiny-s0" if weights[0] == "/" else "first-s0", second.id]
        text = card.training_block(runs)
        assert text.startswith("From random weights: 16 photos, 1 epoch at 64 x 64")
        assert " Then: 16 photos, among them those of `build/more`, whose masks no person drew or checked, 1" in text


def test_a_missing_ancestor_is_named_before_anything_is_scored_or_written(changed, places):
    orphan = changed("orphan", with_model=False, weights="runs/gone-s0/model")  # nothing is there to be scored
    with pytest.raises(ValueError, match="began with the weights of 'runs/gone-s0/model'.*put it back") as error:
        publish.publish(orphan, "orphan-s0", **places)
    assert "\n" not in str(error.value) and not places["models"].exists() and not places["experiments"].exists()


def test_an_incomplete_ancestor_and_a_circle_are_named(changed, places):
    first = changed("first")
    (first / "summary.json").unlink()
    second = changed("second", weights=str(first / "model"))
    with pytest.raises(ValueError, match="first: not finished"):
        publish.publish(second, "second-s0", **places)
    circle = changed("circle", weights=str(second.with_name("circle") / "model"))
    with pytest.raises(ValueError, match="circle.config.json: it began with weights that it led to itself"):
        publish.publish(circle, "circle-s0", **places)


def test_a_run_that_went_on_elsewhere_says_so_on_its_card(changed):
    moved = changed("moved")
    summary = json.loads((moved / "summary.json").read_text()) | {"device": ["CPU", "T4"], "revision": ["a1", "b2"]}
    (moved / "summary.json").write_text(json.dumps(summary))
    text = card.training_block([Run.read(moved)])
    assert "on CPU, then T4." in text and "revision `a1`, then `b2`." in text


def test_the_models_of_record_are_complete_and_consistent():
    assert publish.check_models() == []


@pytest.mark.slow
def test_the_cards_of_record_come_out_the_same(real_photos):
    for model in models_folder().iterdir():
        run = Run.read(experiments_folder() / "runs" / model.name)
        size = (model / "model.safetensors").stat().st_size
        blocks = {
            "weights": card.weights_block(run, size, half=True),
            "scores": card.scores_block(run, model.name),
            "slices": card.slices_block(run, PortraitDataset("picsart", "val", "person")),
            "training": card.training_block(card.ancestry(run, experiments_folder())),
        }
        text = (model / "README.md").read_text(encoding="utf-8")
        assert filled(text, blocks, "README.md") == text


# --- Checking ---------------------------------------------------------------------------------------------------------


def test_the_best_model_of_a_dataset_is_found(run, published, places):
    dataset = Run.read(run).config["dataset"]
    assert best_model(dataset, **places) == published
    better = places["experiments"] / "runs" / "tiny-s1"
    shutil.copytree(places["experiments"] / "runs" / "tiny-s0", better)
    assert best_model(dataset, **places) == published  # a run without weights is no model
    shutil.copytree(published, places["models"] / "tiny-s1")
    summary = json.loads((better / "summary.json").read_text())
    (better / "summary.json").write_text(json.dumps(summary | {"dice": summary["dice"] + 0.01}))
    assert best_model(dataset, **places) == places["models"] / "tiny-s1"
    assert best_model("sample", **places) is None


def edit(path, pattern, new):
    path.write_text(re.sub(pattern, new, path.read_text()))


FAULTS = {
    "a better score on the card": (
        lambda model, run: edit(model / "README.md", r"\| Dice \| [\d.]+", "| Dice | 0.9999"),
        "what its card says of scores is not what its run says",
    ),
    "a better worst photo on the card": (
        lambda model, run: edit(model / "README.md", r"worst three score [\d.]+", "worst three score 0.999"),
        "what its card says of scores is not what its run says",
    ),
    "more photos on the card": (
        lambda model, run: edit(model / "README.md", "16 photos", "1600 photos"),
        "what its card says of training is not what its run says",
    ),
    "no marks": (lambda model, run: edit(model / "README.md", "<!-- .*-->", ""), "README.md: expected one line"),
    "no card": (lambda model, run: (model / "README.md").unlink(), "README.md is missing"),
    "no run": (lambda model, run: shutil.rmtree(run), "config.json is missing"),
    "the run is not finished": (lambda model, run: (run / "summary.json").unlink(), "its run: not finished"),
    "another size": (lambda model, run: edit(model / "config.json", "64", "96"), "another network or size"),
    "damaged weights": (lambda model, run: (model / "model.safetensors").write_bytes(b"x"), "safetensors: damaged"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_of_a_model_is_found(published, places, fault):
    break_it, message = FAULTS[fault]
    break_it(published, places["experiments"] / "runs" / "tiny-s0")
    problems = publish.check_models(**places)
    assert len(problems) == 1 and problems[0].startswith("models/tiny-s0: ") and message in problems[0]


# --- The tables -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tables():
    """The whole table and the short one."""
    return record.table_of_record(), record.short_table()


def rows_of(table):
    return [line.split(" | ") for line in table.splitlines()[2:]]


def test_the_tables_of_record_are_current(tables):
    for readme, mark, table in zip((experiments_folder(), course_root()), ("table-of-record", "record"), tables):
        written = between((readme / "README.md").read_text(encoding="utf-8"), mark)
        assert written == f"\n{table}\n", "run `python -m experiments --table`"


def test_the_table_has_every_run_and_peer_best_first(tables):
    table = tables[0]
    for run in ExperimentLog().runs.values():
        if run.finished and run.config["dataset"] == "picsart":
            assert run.id.removesuffix(f"-s{run.config['seed']}") in table
    assert "MediaPipe Selfie Segmentation, general" in table
    dices = [float(row[1].split()[0]) for row in rows_of(table)]
    assert dices == sorted(dices, reverse=True)


def test_the_short_table_has_six_rows_of_the_same_numbers(tables):
    whole = {row[0].replace("../models", "models"): row[1:] for row in rows_of(tables[0])}
    short = {row[0]: row[1:] for row in rows_of(tables[1])}
    reported = {name: row for name, row in short.items() if "the report" in name}
    assert len(short) == 6 and [row[0] for row in reported.values()] == ["0.962 ‡", "0.736 ‡"]
    assert all(whole[name] == row for name, row in short.items() if name not in reported)
    assert "models/picsart-lite0-record-s0" in next(iter(short))


def test_the_links_of_both_tables_lead_to_models(tables):
    for folder, table in zip((experiments_folder(), course_root()), tables):
        links = re.findall(r"\]\((.*?)\)", table)
        assert links and all((folder / link / "README.md").is_file() for link in links)


def test_a_network_without_known_costs_is_named(tmp_path):
    experiments = shutil.copytree(experiments_folder(), tmp_path / "experiments")
    costs = (experiments / "costs.csv").read_text().splitlines()
    (experiments / "costs.csv").write_text("\n".join(line for line in costs if "vgg11_bn" not in line) + "\n")
    with pytest.raises(ValueError, match=r"costs.csv: no row for vgg11_bn at 160x160 .*experiments.costs"):
        record.table_of_record(experiments)


def test_tables_are_written_both_or_not_at_all(tmp_path, monkeypatch):
    experiments = shutil.copytree(experiments_folder(), tmp_path / "experiments")
    monkeypatch.setattr(record, "course_root", lambda: tmp_path)
    monkeypatch.setattr(record, "experiments_folder", lambda: experiments)
    whole = (experiments / "README.md").read_text(encoding="utf-8")
    for file, mark in ((experiments / "README.md", "table-of-record"), (tmp_path / "README.md", "record")):
        file.write_text(f"before\n<!-- {mark} -->\n<!-- /{mark} -->\nafter\n")
    record.write_tables()
    assert between(whole, "table-of-record") == between((experiments / "README.md").read_text(), "table-of-record")
    (tmp_path / "README.md").write_text("no marks\n")
    (experiments / "README.md").write_text("<!-- table-of-record -->\n<!-- /table-of-record -->\n")
    with pytest.raises(ValueError, match="README.md: expected one line '<!-- record -->'"):
        record.write_tables()
    assert (experiments / "README.md").read_text() == "<!-- table-of-record -->\n<!-- /table-of-record -->\n"


def test_between_needs_both_marks():
    text = "a\n<!-- x -->\nold\n<!-- /x -->\nb\n"
    assert between(text, "x") == "old\n"
    assert between(text, "x", "new\n") == text.replace("old", "new")
    for wrong in ("nothing", text + text, "<!-- /x -->\n<!-- x -->\n"):
        with pytest.raises(ValueError, match="<!-- x -->"):
            between(wrong, "x")
