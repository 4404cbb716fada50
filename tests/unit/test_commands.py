"""The command line: each command does its work, and says in one line what is wrong.

`predict` and `export` are tested with what they call, in test_deploy.
"""

import json
import os
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from PIL import Image

from faceseg_utils import paths, training
from faceseg_utils.__main__ import main, parser
from faceseg_utils.config import CHOICES, PRESETS, TrainConfig
from faceseg_utils.data.catalog import FACE
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.model import Segmenter, build_model
from faceseg_utils.network.encoders import normalisation
from faceseg_utils.network.saved import ModelConfig

RECORD = "picsart-lite0-record-s0"
UNIT = ((0.0,) * 3, (1.0,) * 3)  # mean and std: pixels / 255


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A saved U-Net of 8,000 weights: what training goes on from, so that a run takes a second."""
    options = {"width": 4, "depth": 2}
    config = ModelConfig("unet", ("background", "person"), (64, 64), *normalisation("unet"), options)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    Segmenter(build_model("unet", **options), config).save(folder)
    return folder


@pytest.fixture
def train(tiny, portraits, tmp_path):
    """`train(*options)`: the exit code of a short training of the tiny network into tmp_path / "run"."""
    settings = "--device cpu --size 64 64 --batch-size 4 --limit 8 --epochs 2 --learning-rate 0.02".split()
    given = ["--weights", str(tiny), "--dataset", str(portraits), "--out", str(tmp_path / "run"), *settings]
    return lambda *options: main(["train", *given, *map(str, options)])


@pytest.fixture
def trained(train, tmp_path, capsys):
    """The model of such a training."""
    assert train() == 0
    capsys.readouterr()
    return str(tmp_path / "run" / "model")


def one_line(capsys) -> str:
    """What stands on stderr, beside progress bars: exactly one line."""
    lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
    lines = [line for line in lines if line.strip() and "it/s" not in line and "%|" not in line]
    assert len(lines) == 1 and "Traceback" not in lines[0], lines
    return lines[0]


# --- train ------------------------------------------------------------------------------------------------------------


def test_train_and_evaluate_the_network_of_the_course(portraits, tmp_path, capsys):
    run, table = tmp_path / "run", tmp_path / "scores.csv"
    options = ["--preset", "quick", "--dataset", str(portraits), "--epochs", "1", "--batch-size", "4", "--limit", "4"]
    assert main(["train", *options, "--size", "64", "64", "--out", str(run), "--device", "cpu"]) == 0
    config = json.loads((run / "config.json").read_text())
    asked = {"model": "lite0", "pretrained": True, "batch_size": 4, "epochs": 1, "limit": 4, "size": [64, 64]}
    assert {name: config[name] for name in asked} == asked
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith(f"on 3 validation photos; the run is in {run}")

    model = str(run / "model")
    assert main(["evaluate", "--model", model, "--dataset", str(portraits), "--out", str(table)]) == 0
    out = capsys.readouterr().out
    assert float(out.split()[1]) == pytest.approx(float(last.split()[1]), abs=2e-4)
    assert pd.read_csv(table, dtype={"id": str})["id"].tolist() == ["00", "10", "20"]


def test_every_setting_is_an_option_and_explained(capsys):
    values = {"size": ("--size", "64", "96"), "pretrained": ("--no-pretrained",)}
    for field in fields(TrainConfig):
        option = f"--{field.name.replace('_', '-')}"
        default = next((c for c in CHOICES.get(field.name, ()) if c != field.default), "7")
        given = values.get(field.name, (option, default))
        parsed = getattr(parser().parse_args(["train", "--out", "x", *given]), field.name)
        expected = {"size": [64, 96], "pretrained": False}.get(field.name, type(field.default)(default))
        assert parsed == expected and type(parsed) is type(expected)
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "photos per batch, of all processes together" in text and "boundary-bce+dice" in text


def test_every_preset_can_be_chosen():
    for name in PRESETS:
        assert parser().parse_args(["train", "--preset", name, "--out", "x"]).preset == name


@pytest.mark.parametrize("option, choices", [*CHOICES.items(), ("preset", PRESETS)])
def test_choices_are_checked(option, choices, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "--out", "x", f"--{option.replace('_', '-')}", "nonsense"])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and "invalid choice: 'nonsense'" in error and all(choice in error for choice in choices)


def test_fine_tuning_takes_network_and_weights_of_a_model_by_name(portraits, tmp_path):
    """At a learning rate of almost 0 the weights stay those of the record."""
    run = tmp_path / "run"
    options = "--size 64 64 --epochs 1 --limit 4 --batch-size 4 --learning-rate 1e-12 --ema 0 --device cpu".split()
    assert main(["train", "--weights", RECORD, "--dataset", str(portraits), *options, "--out", str(run)]) == 0
    config = json.loads((run / "config.json").read_text())
    assert (config["model"], config["weights"]) == ("lite0", RECORD)
    record, mine = (
        safetensors.torch.load_file(folder / "model.safetensors")
        for folder in (paths.models_folder() / RECORD, run / "model")
    )
    for key in record:
        if "running" not in key and "num_batches" not in key:  # the photos' own statistics
            torch.testing.assert_close(mine[key], record[key].float(), rtol=0, atol=1e-5)


def test_fine_tuning_keeps_the_options_of_the_network(trained):
    network = Segmenter.load(trained).network
    assert (network.head.in_channels, network.depth) == (4, 2)


def test_training_that_is_interrupted_says_what_is_kept_and_goes_on(train, tmp_path, capsys, monkeypatch):
    take, calls = training.train_step, []

    def until_the_second_epoch(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return take(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(training, "train_step", until_the_second_epoch)
        assert train() == 130
    line = one_line(capsys)
    assert line.startswith(f"interrupted: 1 epoch is kept in {tmp_path / 'run'}; ") and "--resume" in line
    assert train() == 1
    assert "holds a run already: resume=True (on the command line: --resume) goes on with it" in one_line(capsys)
    assert train("--resume") == 0
    assert len(pd.read_csv(tmp_path / "run" / "metrics.csv")) == 2


@pytest.mark.parametrize(
    "options, message",
    [
        (["--learning-rate", "1e30"], "error: the "),  # loss is NaN on the photos; or the network answers NaN
        (["--seed", "-1"], "error: seed=-1: must not be negative"),
        (["--limit", "-1"], "error: limit=-1: must not be negative"),
        (["--accumulate", "12345678901234567890"], "error: accumulate=12345678901234567890: must be below"),
        (["--holdout", "1"], "error: holdout=1.0: must be from 0 to below 1"),
        (["--view", ""], "has no view ''"),
        (["--view", "parts"], "has no view 'parts': it has person"),
        (["--size", "100", "64"], "error: size (100, 64) is not divisible by 32: take (128, 64)"),
        (["--model", "tu-hf-hub:x/y"], "error: unknown model 'tu-hf-hub:x/y'"),
        (["--model", "resnet34"], "belong to"),
        (["--weights", "nowhere"], "error: nowhere: no model here (config.json is missing). Models of record: "),
        (["--weights", RECORD[:-1]], f"Did you mean '{RECORD}'?"),
        (["--dataset", "picsrt"], "Did you mean 'picsart'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_one_can_mend_about_a_training_is_one_line(options, message, train, capsys):
    assert train(*options) == 1
    assert message in one_line(capsys)


# --- evaluate ---------------------------------------------------------------------------------------------------------


def test_evaluate_says_of_which_photos(trained, portraits, make_dataset, capsys):
    """The folder that the model was trained on: those it has not learned from. Another folder: all."""
    evaluate = ["evaluate", "--model", trained, "--dataset"]
    for folder, options, count in [
        (portraits, [], "3 of 25 photos, split val"),
        (portraits, ["--split", "train"], "22 of 25 photos, split train"),
        (portraits, ["--split", "all"], "25 photos, split all"),
        (make_dataset("own"), [], "12 photos, split all"),
    ]:
        assert main([*evaluate, str(folder), *options]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines[:3]] == ["dice", "iou", "boundary_f1"]
        assert lines[3].startswith(f"{count}; lowest Dice: ")


def test_evaluate_against_another_model(trained, portraits, tmp_path, capsys):
    """One minus the other, paired: a model differs from itself by nothing, nobody from everybody in every score."""
    answers = {}
    for name, logit in (("nobody", -9.0), ("everybody", 9.0)):
        segmenter = Segmenter.load(trained)
        for weight in segmenter.network.parameters():
            torch.nn.init.zeros_(weight)
        torch.nn.init.constant_(list(segmenter.network.parameters())[-1], logit)  # the bias of the head
        segmenter.save(tmp_path / name)
        answers[name] = ["--model", str(tmp_path / name), "--dataset", str(portraits), "--split", "all", "--against"]
    assert main(["evaluate", *answers["everybody"], str(tmp_path / "everybody")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[4] == f"minus {tmp_path / 'everybody'} on the same photos, with 99 % intervals over people:"
    assert all(line.endswith("undecided: +0.0000 [+0.0000, +0.0000]") for line in lines[5:8]) and len(lines) == 8
    dice = lines[0].split()[1]
    for name, other, word in (("everybody", "nobody", "higher: +"), ("nobody", "everybody", "lower: -")):
        assert main(["evaluate", *answers[name], str(tmp_path / other)]) == 0
        assert capsys.readouterr().out.splitlines()[5].startswith(f"dice         {word}{dice}")


def test_a_model_of_several_classes_is_scored_class_by_class(named, tmp_path, capsys):
    named("fasseg", count=5)
    options = {"width": 4, "depth": 2}
    segmenter = Segmenter(build_model("unet", 6, **options), ModelConfig("unet", FACE, (64, 64), *UNIT, options))
    torch.nn.init.zeros_(segmenter.network.head.weight)
    segmenter.network.head.bias.data = torch.tensor([0.0, 9.0, 0.0, 0.0, 0.0, 0.0])  # everything is skin
    segmenter.save(tmp_path / "skin")
    assert main(["evaluate", "--model", str(tmp_path / "skin"), "--dataset", "fasseg"]) == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    mask = PortraitDataset("fasseg", "val")[0][1]  # the only photo
    skin, total = int((mask == 1).sum()), mask.size
    assert rows["skin"][:4] == [f"{v:.4f}" for v in (2 * skin / (skin + total), skin / total, 1, skin / total)]
    assert rows["eyes"][:4] == ["0.0000", "0.0000", "0.0000", "-"] and rows["eyes"][4:] == ["1", "0.0005", "1"]
    assert rows["macro_dice"] == [f"{2 * skin / (skin + total) / 5:.4f}"]
    assert rows["pixel_accuracy"] == [f"{skin / total:.4f}"]


def test_what_cannot_be_evaluated_is_one_line(trained, portraits, named, capsys):
    named("fasseg")
    named("picsart")
    six = ["--model", trained, "--dataset", "fasseg", "--split", "nonsense"]
    for options, message in [
        (["--model", "nowhere"], "error: nowhere: no model here (config.json is missing)"),
        (six, "error: dataset 'fasseg' has no split 'nonsense': it has train, val, exam, all"),
        (["--model", trained, "--dataset", "picsart", "--split", "test"], "has no masks to compare with"),
        (["--model", trained, "--dataset", str(portraits / "images")], "no such folder"),
    ]:
        assert main(["evaluate", *options]) == 1
        assert message in one_line(capsys)


def test_a_model_of_other_classes_is_refused(tmp_path, portraits, capsys):
    config = ModelConfig("unet", ("background", "skin", "hair"), (64, 64), (0.5,) * 3, (0.5,) * 3, {"width": 4})
    Segmenter(build_model("unet", 3, width=4), config).save(tmp_path)
    assert main(["evaluate", "--model", str(tmp_path), "--dataset", str(portraits)]) == 1
    assert "the model knows background, skin, hair; dataset" in one_line(capsys)


# --- data -------------------------------------------------------------------------------------------------------------


def test_data_lists_what_is_there(capsys):
    assert main(["data"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("sample", "picsart", "fasseg"))
    assert main(["data", "picsrt"]) == 1
    assert "Did you mean 'picsart'?" in one_line(capsys)


def test_data_checks_a_folder_and_mends_the_sizes_of_masks(own, capsys):
    assert main(["data", str(own)]) == 0
    assert capsys.readouterr().out.count("pass  ") == 6
    mask = next((own / "masks").glob("03.*"))
    Image.open(mask).resize((20, 24), Image.Resampling.NEAREST).save(mask)
    assert main(["data", str(own)]) == 1
    assert "FAIL  photo and mask have the same size" in capsys.readouterr().out
    assert main(["data", str(own), "--fix-sizes"]) == 0
    assert f"resized {mask}" in capsys.readouterr().out
    assert np.asarray(Image.open(mask)).shape == (48, 40)
    assert main(["data", "sample", "--fix-sizes"]) == 1
    assert "--fix-sizes is for a folder of your own" in one_line(capsys)


# --- log, and all commands --------------------------------------------------------------------------------------------


def test_log_shows_runs_best_first(train, tmp_path, capsys):
    for seed in (1, 2):
        assert train("--seed", seed) == 0
        (tmp_path / "run").rename(tmp_path / f"seed{seed}")
    capsys.readouterr()
    assert main(["log", str(tmp_path)]) == 0
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[0] == "seed" and "dice" in header
    dice = [float(row.split()[header.split().index("dice") + 1]) for row in rows]
    assert len(dice) == 2 and dice[0] >= dice[1]
    assert main(["log", str(tmp_path / "none")]) == 1
    assert f"{tmp_path / 'none'}: no such folder" in one_line(capsys)


def test_help_groups_the_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    groups = ["use a model", "photos", "train"]
    assert [line for line in text.splitlines() if line in groups] == groups
    for name in ("predict", "evaluate", "export", "data", "train", "log", "bench"):
        assert f"\n  {name} " in text


def in_a_process(code, *arguments):
    environment = os.environ | {"PYTHONPATH": str(paths.course_root())}
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment)


def test_without_the_environment_there_is_one_line():
    done = in_a_process(
        "import sys; sys.modules['torch'] = None\n"
        "from faceseg_utils.__main__ import main; sys.exit(main(['evaluate']))"
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr and done.stderr.count("\n") == 1
    assert "is the environment of the course active?" in done.stderr


def test_a_reader_that_has_gone_is_no_error():
    command = [sys.executable, "-m", "faceseg_utils", "data"]
    environment = os.environ | {"PYTHONPATH": str(paths.course_root())}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as child:
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == 1
