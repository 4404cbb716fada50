"""The command line: each command does its work on a tiny folder of one's own, and says in one line what is wrong."""

import json

import numpy as np
import pytest
from PIL import Image

from faceseg_utils.__main__ import main


@pytest.fixture
def folder(tmp_path):
    """Twelve photos of a bright disc on a dark ground: a person that any network finds."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :48]
    for name in ("images", "masks"):
        (tmp_path / "mine" / name).mkdir(parents=True)
    for i in range(12):
        disc = (rows - rng.integers(24, 40)) ** 2 + (columns - 24) ** 2 < 200
        photo = (rng.integers(0, 60, (64, 48, 3)) + 160 * disc[..., None]).astype(np.uint8)
        Image.fromarray(photo).save(tmp_path / "mine" / "images" / f"{i:02d}.png")
        Image.fromarray((disc * 255).astype(np.uint8)).save(tmp_path / "mine" / "masks" / f"{i:02d}.png")
    return tmp_path / "mine"


def test_train_evaluate_predict(folder, tmp_path, capsys):
    run = tmp_path / "run"
    options = ["--preset", "quick", "--dataset", str(folder), "--epochs", "1", "--batch-size", "4", "--limit", "4"]
    assert main(["train", *options, "--out", str(run), "--device", "cpu"]) == 0
    config = json.loads((run / "config.json").read_text())
    assert (config["batch_size"], config["epochs"], config["limit"]) == (4, 1, 4)
    said = float(capsys.readouterr().out.splitlines()[-1].split()[1])

    table = tmp_path / "scores.csv"
    evaluate = ["evaluate", "--model", str(run / "model"), "--dataset", str(folder), "--out", str(table)]
    assert main(evaluate) == 0
    out = capsys.readouterr().out
    assert float(out.split()[1]) == pytest.approx(said, abs=2e-4)
    assert len(table.read_text().splitlines()) == 1 + 2  # of 12 photos every tenth is for validation

    photo = str(folder / "images" / "00.png")
    assert main(["predict", "--model", str(run / "model"), "--out", str(tmp_path / "out"), photo]) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["00_cutout.png", "00_mask.png"]

    assert main(["train", *options, "--out", str(run), "--device", "cpu"]) == 1
    assert "holds a run already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--preset", "quik", "--out", "x"], "unknown preset 'quik': choose one of quick, full"),
        (["train", "--dataset", "picsrt", "--out", "x"], "Did you mean 'picsart'"),
        (["evaluate", "--model", "nowhere"], "nowhere: no model here (config.json is missing)"),
        (["predict", "--model", "nowhere", "--out", "x", "y.jpg"], "nowhere: no model here"),
        (["data", "picsrt"], "picsrt"),
    ],
)
def test_what_one_can_mend_is_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and "Traceback" not in error
    assert not (tmp_path / "x").exists()
