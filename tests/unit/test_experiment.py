"""The experiment log: runs read back, compared, and every kind of fault in a run folder found."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from experiments.check import check, check_log, run_folders
from faceseg_utils.log.runs import SCORES, ExperimentLog, Run, log_table, read_report
from faceseg_utils.statistics import bootstrap_mean, paired_bootstrap

CONFIG = {
    "model": "lite0",
    "dataset": "picsart",
    "view": "person",
    "size": [128, 96],
    "epochs": 3,
    "holdout": 0.1,
    "seed": 0,
}


FACTS = {"device": "CPU", "precision": "no", "processes": 1, "revision": "0123456789ab"}


@pytest.fixture
def run(tmp_path):
    """A whole run of three epochs and 20 photos, written as `training.train` writes it."""
    folder = tmp_path / "experiments" / "runs" / "made-up-s0"
    write_run(folder, CONFIG)
    return folder


def write_run(folder, config, shift=0.0, old=False):
    """With `old` as earlier revisions wrote it: with report_dice, and without the origin of every epoch."""
    folder.mkdir(parents=True)
    dice = np.linspace(0.7, 0.98, 20) + shift
    scores = pd.DataFrame({"id": [str(10 * i) for i in range(20)], "dice": dice, "iou": dice / (2 - dice)})
    scores = scores.assign(boundary_f1=dice / 2, loss=1 - dice)
    metrics = pd.DataFrame(
        {"epoch": [0, 1, 2], "learning_rate": 1e-3, "train_loss": [0.9, 0.5, 0.4], "train_dice": 0.8}
    )
    metrics = metrics.assign(val_loss=[0.8, 0.5, 0.6], val_dice=[0.7, scores["dice"].mean(), 0.6], seconds=60.0)
    if old:
        scores, metrics = scores.assign(report_dice=dice - 0.01), metrics.assign(val_report_dice=0.7)
    else:
        metrics = metrics.assign(**FACTS)
    summary = {name: round(scores[name].mean(), 6) for name in SCORES + ["report_dice"] * old}
    summary |= {"chosen_on": "held-out part of train" if config["holdout"] else "validation"}
    summary |= {"best_epoch": 1, "photos": {"train": 100, "val": 20}, "minutes": 3.0, "torch": "2"}
    summary |= {"dataset_digest": "", **FACTS}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "summary.json").write_text(json.dumps(summary))
    metrics.to_csv(folder / "metrics.csv", index=False, float_format="%.6f")
    scores.round(6).to_csv(folder / "val_scores.csv", index=False)


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_csv(path, column, row, value):
    table = pd.read_csv(path, dtype={"id": str, "revision": str})
    table[column] = table[column].astype(object)
    table.loc[row, column] = value
    table.to_csv(path, index=False)


# --- Reading ---------------------------------------------------------------------------------------------------------


def test_a_run_is_read_as_it_was_written(run):
    read = Run.read(run)
    assert read.id == "made-up-s0" and read.finished
    assert read.val_scores.index[1] == "10"  # names stay text: "0010" and "10" are two photos
    assert read.row()["size"] == "128x96" and read.row()["val_photos"] == 20


def test_a_run_under_way_is_read_without_scores(run):
    (run / "summary.json").unlink()
    read = Run.read(run)
    assert not read.finished and len(read.metrics) == 3 and read.val_scores.empty
    assert "not finished" in check(read)[0]
    assert ExperimentLog(run.parent).scores().empty


@pytest.mark.parametrize("name", ["config.json", "metrics.csv"])
def test_a_folder_without_a_run_is_named(run, name):
    (run / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"made-up-s0: {name} is missing"):
        Run.read(run)


DAMAGED = {
    "empty": ("", ""),
    "of another kind": ("[]", "name,value\na,1\n"),
    "text": ('"a run"', "no table here"),
    "binary": (b"\xff\xfe\x00", b"\xff\xfe\x00,\x81\n"),
    "cut": ('{"dice": 0.9', 'epoch,val_dice,id,dice,iou,boundary_f1\n"0'),
    "nested without end": ("[" * 100_000, "a\n1,2\n1,2,3\n"),
}


@pytest.mark.parametrize("name", ["config.json", "metrics.csv", "val_scores.csv", "summary.json"])
@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_named_in_one_line(run, name, damage):
    content = DAMAGED[damage][name.endswith("csv")]
    (run / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    for read in (Run.read, ExperimentLog, log_table):
        with pytest.raises(ValueError, match=f"{name}: cannot be read") as error:
            read(run)
        assert "\n" not in str(error.value) and len(str(error.value)) < 500


def test_names_and_revisions_stay_text(run):
    edit_csv(run / "val_scores.csv", "id", [0, 1, 2], ["NA", "0010", "null"])
    edit_csv(run / "metrics.csv", "revision", [0, 1, 2], "1234e5678901")  # read as a number, it would be infinite
    read = Run.read(run)
    assert list(read.val_scores.index[:3]) == ["NA", "0010", "null"]
    assert set(read.metrics["revision"]) == {"1234e5678901"}


def test_a_run_that_went_on_elsewhere_lists_where(run):
    devices = ["CPU", "CPU", "NVIDIA T4"]
    edit_csv(run / "metrics.csv", "device", [0, 1, 2], devices)
    edit_json(run / "summary.json", device=["CPU", "NVIDIA T4"])
    assert check(Run.read(run)) == []
    assert Run.read(run).row()["device"] == "CPU, NVIDIA T4" and "made-up-s0" in log_table(run.parent)


def test_one_epoch_by_a_faulty_revision_makes_a_run_stale(run):
    assert not Run.read(run).stale
    edit_csv(run / "metrics.csv", "revision", 0, "45c4e8bd775b")  # begun by one revision, ended by another
    assert Run.read(run).stale
    edit_json(run / "config.json", augment="none")  # the fault was in the augmentation
    assert not Run.read(run).stale


def test_an_older_run_is_stale_by_its_summary(tmp_path):
    write_run(tmp_path / "old-s0", CONFIG, old=True)
    edit_json(tmp_path / "old-s0" / "summary.json", revision="45c4e8bd775b")
    assert Run.read(tmp_path / "old-s0").stale


def test_the_log_as_text_has_the_best_run_first(run):
    write_run(run.with_name("better-s1"), CONFIG | {"seed": 1}, shift=0.01)
    write_run(run.with_name("odd-s2"), CONFIG | {"seed": [2], "size": {"height": 1}}, shift=-0.01)
    edit_json(run.with_name("odd-s2") / "summary.json", dice="high")  # written by hand: it does not break the others
    lines = log_table(run.parent.parent).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["better-s1", "made-up-s0", "odd-s2"]
    assert lines[0].split() == ["size", "seed", *SCORES, "minutes", "revision"]


def test_the_log_as_text_says_where_there_is_none(tmp_path):
    assert log_table(tmp_path) == f"no runs in {tmp_path} yet"
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        log_table(tmp_path / "nowhere")


def test_reading_the_log_does_not_wait_for_torch(run):
    code = "import sys; from faceseg_utils.log import runs; runs.log_table(sys.argv[1]); "
    code += "assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(run)], check=True)


def test_the_log_has_one_row_per_run_and_lists_what_changed(run):
    write_run(run.with_name("made-up-s1"), CONFIG | {"seed": 1}, shift=0.01)
    log = ExperimentLog(run.parent)
    assert len(log) == 2 and log.changed == ["seed"]
    assert log.table.loc["made-up-s1", "dice"] == pytest.approx(0.85)
    assert {"size", "iou", "boundary_f1", "report_dice", "minutes", "device", "revision"} <= set(
        log.table.columns
    )
    assert log.scores("iou").shape == (20, 2)
    assert log["made-up-s1"].config["seed"] == 1
    with pytest.raises(KeyError, match="Did you mean 'made-up-s1'"):
        log["made-up-1"]


def test_the_log_of_several_folders_refuses_one_name_twice(run, tmp_path):
    shutil.copytree(run, tmp_path / "build" / run.name)
    with pytest.raises(ValueError, match="there is a run 'made-up-s0' already"):
        ExperimentLog(run.parent, tmp_path / "build")


def test_the_log_of_an_empty_or_missing_folder_is_empty(tmp_path):
    log = ExperimentLog(tmp_path, tmp_path / "nowhere")
    assert len(log) == 0 and log.table.empty and log.changed == []


# --- Comparing -------------------------------------------------------------------------------------------------------


def test_bootstrap_agrees_with_theory():
    scores = np.random.default_rng(1).normal(0.9, 0.05, 400)
    mean, low, high = bootstrap_mean(scores)
    half = 1.96 * scores.std() / 20
    assert mean == scores.mean()
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=4e-4)


def test_bootstrap_is_the_same_for_the_same_seed_only():
    scores = np.linspace(0, 1, 50)
    assert bootstrap_mean(scores, seed=3) == bootstrap_mean(scores, seed=3) != bootstrap_mean(scores, seed=4)


def test_pairing_cancels_hard_photos():
    a = np.random.default_rng(0).uniform(0.5, 1, 150)  # photos differ much
    b = a + 0.002  # and b is better on each by as much
    assert paired_bootstrap(a, b) == pytest.approx((0.002, 0.002, 0.002))
    assert bootstrap_mean(a).high > bootstrap_mean(b).low  # unpaired, nothing is seen
    assert paired_bootstrap(b, a).value == pytest.approx(-0.002)


def test_series_are_matched_by_photo():
    a = pd.Series({"1": 0.5, "2": 0.9})
    b = pd.Series({"2": 0.9, "1": 0.6})
    assert paired_bootstrap(a, b).value == pytest.approx(0.05)
    with pytest.raises(ValueError, match="not scores of the same photos .*3"):
        paired_bootstrap(a, pd.Series({"1": 0.5, "3": 0.9}))


def test_scores_that_cannot_be_compared_are_refused():
    with pytest.raises(ValueError, match="same photos"):
        paired_bootstrap([0.5, 0.6], [0.5])
    for scores in ([], [0.5, np.nan], [[0.5]]):
        with pytest.raises(ValueError, match="one per photo"):
            bootstrap_mean(scores)


# --- Checking --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [False, True])
def test_a_whole_run_has_no_problems(tmp_path, old):
    write_run(tmp_path / "made-up-s0", CONFIG, old=old)
    assert check(Run.read(tmp_path / "made-up-s0")) == check_log(tmp_path) == check_log(tmp_path / "made-up-s0") == []


FAULTS = {
    "unknown setting": (
        lambda f: edit_json(f / "config.json", optimiser="adam"),
        "config.json is no configuration",
    ),
    "impossible setting": (lambda f: edit_json(f / "config.json", loss="mse"), "loss='mse'"),
    "epochs missing": (
        lambda f: edit_json(f / "config.json", epochs=20),
        "3 epochs, config.json asks for 20",
    ),
    "epoch twice": (lambda f: edit_csv(f / "metrics.csv", "epoch", 2, 1), "from 0 on"),
    "loss is no number": (lambda f: edit_csv(f / "metrics.csv", "train_loss", 1, np.nan), "no number"),
    "not the best epoch": (lambda f: edit_json(f / "summary.json", best_epoch=0), "that is epoch 1"),
    "no such epoch": (lambda f: edit_json(f / "summary.json", best_epoch=7), "best epoch 7"),
    "time does not add up": (lambda f: edit_json(f / "summary.json", minutes=9.0), "adds up to 3.00 min"),
    "better than its photos": (
        lambda f: edit_json(f / "summary.json", dice=0.9),
        "dice: val_scores.csv has the mean",
    ),
    "photo missing": (
        lambda f: edit_json(f / "summary.json", photos={"train": 100, "val": 21}),
        "20 photos, summary.json 21",
    ),
    "photo twice": (lambda f: edit_csv(f / "val_scores.csv", "id", 1, "0"), "19 photos"),
    "score above 1": (lambda f: edit_csv(f / "val_scores.csv", "boundary_f1", 3, 1.2), "between 0 and 1"),
    "Dice against IoU": (
        lambda f: edit_csv(f / "val_scores.csv", "iou", [0, 1], 0.6),
        "contradict each other",
    ),
    "other photos": (lambda f: edit_json(f / "summary.json", dataset_digest="f00"), "not that of 'picsart'"),
    "no revision": (lambda f: edit_json(f / "summary.json", revision="unknown"), "which revision"),
    "another revision": (lambda f: edit_csv(f / "metrics.csv", "revision", 0, "f00"), "metrics.csv has f00, 012"),
    "another device": (lambda f: edit_json(f / "summary.json", device="GPU"), "device: metrics.csv has CPU, summary"),
    "another choice of the epoch": (lambda f: edit_json(f / "config.json", holdout=0.0), "says validation"),
    "no photos learned": (lambda f: edit_json(f / "summary.json", photos={"train": 0, "val": 20}), "on 0 photos"),
    "no origin": (lambda f: edit_json(f / "summary.json", revision=[]), "revision: metrics.csv has"),
    "epochs without end": (lambda f: edit_json(f / "config.json", epochs=2**31 - 1), "asks for 2147483647"),
    "words for numbers": (lambda f: edit_csv(f / "metrics.csv", "val_dice", 0, "high"), "of the wrong kind"),
    "a list of photos": (lambda f: edit_json(f / "summary.json", photos=[20]), "of the wrong kind"),
    "empty scores": (lambda f: (f / "val_scores.csv").write_text("id,dice,iou,boundary_f1\n"), "0 photos"),
    "field missing": (lambda f: (f / "summary.json").write_text('{"dice": 0.9}'), "a field is missing"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_found(run, fault):
    break_it, message = FAULTS[fault]
    break_it(run)
    problems = check_log(run.parent.parent)
    assert any(message in problem and problem.startswith("made-up-s0: ") for problem in problems), problems


def test_validation_that_chose_the_epoch_agrees_with_the_score(run):
    edit_json(run / "config.json", holdout=0.0)
    edit_json(run / "summary.json", chosen_on="validation")
    assert check(Run.read(run)) == []
    edit_csv(run / "metrics.csv", "val_dice", 1, 0.9)
    assert "for the best epoch" in check(Run.read(run))[0]


def test_folders_that_are_no_runs_are_named(run):
    run.with_name("empty").mkdir()
    run.with_name(".ipynb_checkpoints").mkdir()
    assert [problem.split(":")[0] for problem in check_log(run.parent.parent)] == [str(run.with_name("empty"))]


def test_the_check_of_a_folder_without_runs_does_not_pass(run, tmp_path):
    for folder in (tmp_path / "nowhere", run / "config.json"):
        with pytest.raises(FileNotFoundError, match="no such folder"):
            check_log(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no runs here"):
        check_log(tmp_path / "empty")


# --- The log of record -----------------------------------------------------------------------------------------------


def test_the_log_of_record_is_complete_and_consistent():
    assert check_log() == []
    log = ExperimentLog()
    assert len(log) == len(run_folders()) >= 27 and log.table["dice"].between(0, 1).all()


def test_the_report_is_data():
    report = read_report()
    assert set(report["source"]) == {"log entry", "log by epoch", "text", "picture"}
    final = report[
        (report["run"] == "report-final")
        & (report["metric"] == "dice")
        & (report["source"] == "log by epoch")
    ]
    assert len(final) == 12 and final.set_index("epoch")["value"][99] == 0.962
    said = (
        report[(report["run"] == "report-default") & (report["metric"] == "dice")]
        .groupby("source")["value"]
        .max()
    )
    assert (
        said["text"] == 0.802 and said["picture"] == 0.909
    )  # the contradiction is on record, not smoothed over
    assert (
        report.loc[report["source"].isin(["text", "picture"]) & (report["run"] == "report-default"), "note"]
        .str.contains("contradicts")
        .all()
    )
