"""A run that is killed, interrupted, out of disk or given a strange checkpoint: it goes on exactly, or says why not.

The network is a U-Net of 8,000 weights, so that a run takes a second.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace

import pandas as pd
import pytest
import torch

from faceseg_utils import config, model, paths, training
from faceseg_utils.data import catalog
from faceseg_utils.engine import checkpoint
from faceseg_utils.config import TrainConfig
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


# --- Killed ----------------------------------------------------------------------------------------------------------

# Runs are forked from one process that has imported torch already. Arguments: configuration, folder.
KILLER = """
import json, os, random, signal, sys, time
from pathlib import Path
import torch
from faceseg_utils import config, model, paths, training
from faceseg_utils.engine import checkpoint
from faceseg_utils.__main__ import main

torch.set_num_threads(1)
model.build_model = training.build_model = lambda name, classes=1, pretrained=False: model.UNet(3, classes, 4, 2)
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
    child = begin(run)
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
            patch.setattr(checkpoint.os, "replace", last_breath)
            try:
                train(config, run, device="cpu")
                break
            except KeyboardInterrupt:
                stops += 1
        train(config, run, resume=True, device="cpu")
        assert_same_run(finished, run)
    assert stops >= 10, "config, weights and card, checkpoint and table of two epochs, scores, summary"


def test_run_resumed_from_the_middle_of_an_epoch(finished, config, tmp_path, monkeypatch):
    calls = []

    def fifth(*args):
        calls.append(args)
        if len(calls) == 5:  # an epoch has three batches
            raise KeyboardInterrupt
        return losses(*args)

    losses = training.photo_losses
    monkeypatch.setattr(training, "photo_losses", fifth)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", device="cpu")
    assert len(pd.read_csv(tmp_path / "run" / "metrics.csv")) == 1
    monkeypatch.undo()
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
        with pytest.raises(OSError, match=rf"{file}: could not be written \(.*\); free some space, then go on"):
            train(config, tmp_path / "run", device="cpu")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list((tmp_path / "run").glob("*.new"))
    train(config, tmp_path / "run", resume=True, device="cpu")
    assert_same_run(finished, tmp_path / "run")


def test_full_disk_keeps_the_last_whole_file(tmp_path, monkeypatch):
    paths.write_whole(tmp_path / "file", "old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(OSError, match=r"file: could not be written \(No space left on device\); free some space"):
        paths.write_whole(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["file"]


# --- A checkpoint that is not what it should be ----------------------------------------------------------------------


@pytest.fixture
def run(finished, tmp_path):
    """A copy to damage."""
    return shutil.copytree(finished, tmp_path / "run")


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
    torch.save({"format": 1, "evil": Evil()}, tmp_path / "run" / "last.pt")
    with pytest.raises(ValueError, match="not a checkpoint"):
        train(config, tmp_path / "run", resume=True, device="cpu")
    assert not (tmp_path / "owned").exists()


def test_checkpoint_of_another_format_is_refused(run, config):
    state = torch.load(run / "last.pt", weights_only=True)
    torch.save(state | {"format": 99}, run / "last.pt")
    with pytest.raises(ValueError, match="checkpoint format 99, this version of the course reads 1"):
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
    monkeypatch.setattr(training, "_train_epoch", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
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
