"""A run that is killed, interrupted, out of disk or given a strange checkpoint: it goes on exactly, or says why not.

The network is a U-Net of 8,000 weights, so that a run takes a second.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import pandas as pd
import pytest
import torch

from faceseg_utils import paths, training
from faceseg_utils.config import TrainConfig
from faceseg_utils.engine import checkpoint
from faceseg_utils.training import train

resource = pytest.importorskip("resource", reason="not on Windows")  # nor are fork and kill -9
pytestmark = pytest.mark.usefixtures("small_network")


@pytest.fixture(scope="module")
def config(portraits):
    return TrainConfig(
        model="unet", pretrained=False, dataset=str(portraits), size=(32, 32), batch_size=4, epochs=2, ema=0.9, limit=12
    )


@pytest.fixture(scope="module")
def finished(config, small_network, tmp_path_factory):
    """A run that nobody disturbed: what the others are compared with."""
    return train(config, tmp_path_factory.mktemp("runs") / "whole", device="cpu").folder


def assert_same_run(one, other):
    """Weights, optimizer, average and scores bit for bit; the table but for its seconds."""
    a, b = (torch.load(run / "last.pt", weights_only=True) for run in (one, other))
    for part in ("model", "average"):
        assert a[part].keys() == b[part].keys() and all(torch.equal(a[part][k], b[part][k]) for k in a[part])
    moments = [state["optimizer"]["state"] for state in (a, b)]
    assert all(torch.equal(moments[0][i]["exp_avg"], moments[1][i]["exp_avg"]) for i in moments[0])
    for file in ("val_scores.csv", "model/model.safetensors", "config.json"):
        assert (one / file).read_bytes() == (other / file).read_bytes(), file
    tables = [pd.read_csv(run / "metrics.csv").drop(columns="seconds") for run in (one, other)]
    pd.testing.assert_frame_equal(*tables)
    assert {p.name for p in one.iterdir()} == {p.name for p in other.iterdir()}


def files(run) -> dict:
    """Content and time of every file of a run."""
    return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in run.rglob("*") if file.is_file()}


def broken_off(monkeypatch, batch):
    """Training stops in this batch, counted over all epochs."""
    calls, take = [], training.train_step

    def until(*arguments):
        calls.append(arguments)
        if len(calls) == batch:
            raise KeyboardInterrupt
        return take(*arguments)

    monkeypatch.setattr(training, "train_step", until)


# --- Killed ----------------------------------------------------------------------------------------------------------

# Runs are forked from one process that has imported torch already. Arguments: configuration, folder.
KILLER = """
import json, os, random, signal, sys, time
from pathlib import Path
import torch
from faceseg_utils import config, model, training
from faceseg_utils.__main__ import main

torch.set_num_threads(1)
model.build_model = training.build_model = lambda name, classes=1, pretrained=False, **_: model.UNet(3, classes, 4, 2)
config.PRESETS["quick"] = config.TrainConfig(**json.loads(sys.argv[1]))
root, luck = Path(sys.argv[2]), random.Random(0)


def begin(run):
    child = os.fork()
    if not child:
        os._exit(main(["train", "--out", str(run), "--resume", "--device", "cpu"]))
    return child


def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def epochs(run):
    return len(torch.load(run / "last.pt", weights_only=True)["history"]) if (run / "last.pt").exists() else 0


started = time.monotonic()
assert ended(begin(root / "whole")) == 0
whole = time.monotonic() - started
found, left_over, attempt = [], 0, 0
while len(found) < 10:
    run = root / f"killed{attempt}"
    before, child = epochs(run), begin(run)
    if len(found) % 2:  # every second kill comes after an epoch, however slow the machine is
        while epochs(run) == before and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            time.sleep(0.01)
    time.sleep(luck.uniform(0, whole / 3))
    os.kill(child, signal.SIGKILL)
    if ended(child) == -signal.SIGKILL:
        found.append(epochs(run))
    else:  # it was over already: look at it too, and begin another one
        attempt += 1
assert ended(begin(run)) == 0

child = begin(root / "interrupted")
while not epochs(root / "interrupted"):
    time.sleep(0.01)
os.kill(child, signal.SIGINT)
interrupted = ended(child), epochs(root / "interrupted")
assert ended(begin(root / "interrupted")) == 0
print(json.dumps({"runs": attempt + 1, "epochs": found, "interrupted": interrupted}))
"""


@pytest.mark.slow
def test_ten_kills_at_random_moments_and_ctrl_c_change_nothing(config, tmp_path):
    """kill -9, which no program can prepare for, again and again; then Ctrl-C, which ends with its own exit code."""
    config = replace(config, epochs=12)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(paths.course_root()), "TQDM_DISABLE": "1"}
    command = [sys.executable, "-c", KILLER, json.dumps(asdict(config)), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found["epochs"]) == 10 and any(0 < epochs < 12 for epochs in found["epochs"]), found
    code, epochs = found["interrupted"]
    assert code == 130 and 0 < epochs < 12
    for run in [*(f"killed{attempt}" for attempt in range(found["runs"])), "interrupted"]:
        assert_same_run(tmp_path / "whole", tmp_path / run)


def test_killed_between_any_two_writes(finished, config, tmp_path, monkeypatch):
    """Each rename makes one file whole: stop before the first, before the second, ... and go on each time."""
    rename = os.replace
    stops = 0
    while True:
        run, calls = tmp_path / f"{stops}", []

        def last_breath(*files, calls=calls, limit=stops):
            if len(calls) == limit:
                raise KeyboardInterrupt
            calls.append(files)
            rename(*files)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", last_breath)
            try:
                train(config, run, device="cpu")
                break
            except KeyboardInterrupt:
                stops += 1
        train(config, run, resume=True, device="cpu")
        assert_same_run(finished, run)
    assert stops >= 10, "config, weights and card, checkpoint and table of two epochs, scores, summary"


def test_run_resumed_from_the_middle_of_an_epoch(finished, config, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        broken_off(patch, 5)  # an epoch has three batches
        with pytest.raises(KeyboardInterrupt, match="interrupted: 1 epoch is kept in .*run; resume=True .*--resume"):
            train(config, tmp_path / "run", device="cpu")
    assert len(pd.read_csv(tmp_path / "run" / "metrics.csv")) == 1
    train(config, tmp_path / "run", resume=True, device="cpu")
    assert_same_run(finished, tmp_path / "run")


@pytest.mark.parametrize(("room", "file"), [(20_000, "model"), (60_000, "last.pt")])
def test_disk_that_is_full(finished, config, tmp_path, room, file):
    """A real refusal of the system: no file may grow beyond `room` bytes. With room again, the run goes on."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = [(finished / name).stat().st_size for name in ("model/config.json", "model/model.safetensors", "last.pt")]
    assert sizes[0] < 20_000 < sizes[1] < 60_000 < sizes[2]
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(OSError, match=rf"{file}: could not be written \(.*\); free some space"):
            train(config, tmp_path / "run", device="cpu")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list((tmp_path / "run").glob("*.new"))
    train(config, tmp_path / "run", resume=True, device="cpu")
    assert_same_run(finished, tmp_path / "run")


# --- A folder that is not what it should be --------------------------------------------------------------------------


def test_a_run_that_failed_in_its_first_epoch_may_begin_again(finished, config, portraits, copy_of, tmp_path):
    """A photo is damaged: mended, the same line trains."""
    own = copy_of(portraits)
    photo = next((own / "images").glob("02.*"))
    whole = photo.read_bytes()
    photo.write_bytes(whole[:300])
    mended = replace(config, dataset=str(own))
    with pytest.raises(ValueError, match="02.jpg"):
        train(mended, tmp_path / "run", device="cpu")
    photo.write_bytes(whole)
    train(mended, tmp_path / "run", device="cpu")
    assert (tmp_path / "run" / "val_scores.csv").read_bytes() == (finished / "val_scores.csv").read_bytes()


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    "mine",
    [["summary.json"], ["metrics.csv", "val_scores.csv"], ["model.new/notes"], ["config.json"], ["last.pt.new"],
     ["config.json", "metrics.csv"], ["model/model.safetensors", "model/config.json"]],
    ids=" ".join,
)  # fmt: skip
def test_files_of_other_programs_are_left_alone(config, mine, resume, tmp_path):
    run = tmp_path / "run"
    for name in mine:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text('{"mine": 1}')
    before = files(run)
    with pytest.raises(FileExistsError, match="run is not empty and holds no run to go on with .*another folder"):
        train(config, run, resume=resume, device="cpu")
    assert files(run) == before


def test_a_run_without_its_checkpoint_is_not_begun_anew(finished, config, copy_of):
    """A run of record has its tables only: `--resume` would put others in their place."""
    run = copy_of(finished)
    (run / "last.pt").unlink()
    before = files(run)
    with pytest.raises(FileExistsError, match="holds no run to go on with"):
        train(config, run, resume=True, device="cpu")
    assert files(run) == before


@pytest.mark.parametrize("patience", [0, 1])
def test_resuming_a_finished_run_changes_no_file(config, patience, tmp_path, monkeypatch):
    """Also by other code on another machine; stopped early is finished, too."""
    config = replace(config, patience=patience, learning_rate=1e-9 if patience else 0.01, epochs=3, ema=0.0)
    done = train(config, tmp_path / "run", device="cpu")
    assert len(done.metrics) == (2 if patience else 3)
    before = files(done.folder)
    monkeypatch.setattr(checkpoint, "revision", lambda: "0123456789ab")
    again = train(config, tmp_path / "run", resume=True, device="cpu")
    assert files(done.folder) == before
    pd.testing.assert_frame_equal(again.metrics, done.metrics)
    assert again.dice == pytest.approx(done.dice, abs=1e-6)


def test_a_finished_run_with_a_damaged_model_keeps_its_results(finished, config, copy_of):
    run = copy_of(finished)
    (run / "model" / "config.json").write_text("{")
    before = files(run)
    with pytest.raises(ValueError, match="model/config.json: not the configuration of a model"):
        train(config, run, resume=True, device="cpu")
    assert files(run) == before


# --- A checkpoint that is not what it should be ----------------------------------------------------------------------


@pytest.fixture
def run(finished, copy_of):
    """A copy to damage."""
    return copy_of(finished)


@pytest.mark.parametrize("rest", [0, 100, 50_000])
def test_damaged_checkpoint_is_refused(run, config, rest):
    (run / "last.pt").write_bytes((run / "last.pt").read_bytes()[:rest])
    with pytest.raises(ValueError, match="last.pt: damaged, or not a checkpoint .*train again") as error:
        train(config, run, resume=True, device="cpu")
    assert "\n" not in str(error.value)


def test_foreign_checkpoint_is_refused(run, config):
    torch.save({"weights": torch.zeros(3)}, run / "last.pt")
    with pytest.raises(ValueError, match="last.pt: damaged, or not a checkpoint of this course"):
        train(config, run, resume=True, device="cpu")


def test_checkpoint_that_would_run_code_is_refused(config, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    (tmp_path / "run").mkdir()
    torch.save({"format": checkpoint.FORMAT, "evil": Evil()}, tmp_path / "run" / "last.pt")
    with pytest.raises(ValueError, match="not a checkpoint"):
        train(config, tmp_path / "run", resume=True, device="cpu")
    assert not (tmp_path / "owned").exists()


def test_checkpoint_of_another_format_is_refused(run, config):
    state = torch.load(run / "last.pt", weights_only=True)
    torch.save(state | {"format": 99}, run / "last.pt")
    with pytest.raises(ValueError, match="checkpoint format 99, this version reads 2; take a new"):
        train(config, run, resume=True, device="cpu")


def test_resume_with_another_configuration_is_refused(finished, config):
    with pytest.raises(ValueError, match="saved with learning_rate=0.001, asked for learning_rate=0.1"):
        train(replace(config, learning_rate=0.1), finished, resume=True, device="cpu")


def test_more_epochs_at_a_constant_rate_are_the_longer_run(config, tmp_path):
    constant = replace(config, schedule="constant", epochs=3)
    whole = train(constant, tmp_path / "whole", device="cpu").folder
    train(replace(constant, epochs=1), tmp_path / "run", device="cpu")
    train(constant, tmp_path / "run", resume=True, device="cpu")
    assert_same_run(whole, tmp_path / "run")
    with pytest.raises(ValueError, match="saved with epochs=3, asked for epochs=2"):
        train(replace(constant, epochs=2), whole, resume=True, device="cpu")


def test_more_epochs_under_a_schedule_are_another_run(finished, config):
    with pytest.raises(ValueError, match="saved with epochs=2, asked for epochs=3"):
        train(replace(config, epochs=3), finished, resume=True, device="cpu")
    assert (finished / "summary.json").exists()


def test_a_run_that_goes_on_is_not_finished(config, tmp_path, monkeypatch):
    """Killed after it was asked for more: the scores of the shorter run are gone, not left to be believed."""
    constant = replace(config, schedule="constant", epochs=1)
    train(constant, tmp_path / "run", device="cpu")
    broken_off(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        train(replace(constant, epochs=2), tmp_path / "run", resume=True, device="cpu")
    assert not (tmp_path / "run" / "summary.json").exists() and (tmp_path / "run" / "last.pt").exists()


def test_checkpoint_older_than_an_option_has_its_default(run, config):
    state = torch.load(run / "last.pt", weights_only=True)
    young = ("patience", "accumulate", "warmup", "precision")
    old = {name: value for name, value in json.loads(state["config"]).items() if name not in young}
    torch.save(state | {"config": json.dumps(old)}, run / "last.pt")
    train(config, run, resume=True, device="cpu")
    with pytest.raises(ValueError, match="saved with patience=0, asked for patience=3"):
        train(replace(config, patience=3), run, resume=True, device="cpu")
