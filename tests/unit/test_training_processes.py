"""Two processes train as one: the same steps, every photo learned from and scored once, one writer.

Compared in a network with group instead of batch normalisation: on a CPU each process has batch statistics of its
own part (on GPUs `train` takes SyncBatchNorm), so that with them losses are near, not equal.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch

from faceseg_utils import model, paths, training
from faceseg_utils.config import TrainConfig
from faceseg_utils.model import build_model
from faceseg_utils.training import train

# Arguments: how it is started ("torchrun" or "notebook"), a folder, and the configurations of the runs to put there.
SCRIPT = """
import json, sys, torch
from accelerate import notebook_launcher
from faceseg_utils import model, training
from faceseg_utils.config import TrainConfig
from tests.unit.conftest import without_batch_statistics

def main():
    torch.set_num_threads(1)
    for config in json.loads(sys.argv[3]):
        if config["model"] == "unet":
            model.build_model = training.build_model = without_batch_statistics
        training.train(TrainConfig(**config), f"{sys.argv[2]}/{config['model']}", device="cpu")

if sys.argv[1] == "notebook":
    notebook_launcher(main, num_processes=2)
else:
    main()
"""
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


@pytest.fixture
def config(portraits):
    """13 photos in batches of 4: the last batch has a single photo, so that one process has none; 3 for validation."""
    return TrainConfig(
        model="unet", pretrained=False, dataset=str(portraits), size=(32, 32), batch_size=4, epochs=3, ema=0.9,
        limit=13, precision="float32",
    )  # fmt: skip


def two_processes(folder, how, *configs):
    """Train each configuration in two processes, one run after the other: into folder/MODEL."""
    (folder / "script.py").write_text(SCRIPT)
    root = str(paths.course_root())
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": root, "TQDM_DISABLE": "1"}
    command = [sys.executable, *(TORCHRUN if how == "torchrun" else []), str(folder / "script.py"), how, str(folder)]
    command += [json.dumps([asdict(config) for config in configs])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("epoch   1") == len(configs), "one process reports"
    for config in configs:
        assert json.loads((folder / config.model / "summary.json").read_text())["processes"] == 2


def assert_alike(one, two):
    """Tables, scores and weights agree up to the rounding of sums in another order."""
    tables = [pd.read_csv(folder / "metrics.csv") for folder in (one, two)]
    assert [set(table["processes"]) for table in tables] == [{1}, {2}]
    where = ["seconds", "device", "precision", "processes", "revision"]
    np.testing.assert_allclose(*(table.drop(columns=where) for table in tables), rtol=1e-3, atol=1e-4)
    scores = [pd.read_csv(folder / "val_scores.csv", dtype={"id": str}).set_index("id") for folder in (one, two)]
    assert scores[0].index.tolist() == scores[1].index.tolist() == ["00", "10", "20"]
    np.testing.assert_allclose(*scores, atol=1e-3)
    states = [torch.load(folder / "last.pt", weights_only=True) for folder in (one, two)]
    for key, weight in states[0]["model"].items():
        assert torch.allclose(weight, states[1]["model"][key], atol=1e-4), key


@pytest.mark.slow
def test_torchrun_trains_as_one_process(config, no_batch_statistics, tmp_path):
    """With augmentation, accumulation and average; and the network of the course, with its batch normalisation."""
    config = replace(config, accumulate=3)
    course = replace(config, model="lite0", size=(64, 64), epochs=1, accumulate=1, limit=16)
    two_processes(tmp_path, "torchrun", course, config)
    assert_alike(train(config, tmp_path / "alone", device="cpu").folder, tmp_path / "unet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "build_model", build_model)
        patch.setattr(model, "build_model", build_model)
        one = train(course, tmp_path / "course", device="cpu").metrics
    two = pd.read_csv(tmp_path / "lite0" / "metrics.csv")
    assert two["train_loss"].tolist() == pytest.approx(one["train_loss"].tolist(), rel=0.2)


@pytest.mark.slow
def test_notebook_launcher_trains_as_one_process(config, no_batch_statistics, tmp_path):
    """As on a machine with two GPUs, started from a cell."""
    two_processes(tmp_path, "notebook", config)
    assert_alike(train(config, tmp_path / "alone", device="cpu").folder, tmp_path / "unet")
