"""Every choice of a run: what is accepted, what is refused in one line, and what the command line takes from it."""

import ast
import inspect
import json
from dataclasses import asdict, fields, replace

import pytest

from faceseg_utils import config as module
from faceseg_utils.config import AUGMENTATIONS, CHOICES, LOSSES, PRESETS, TrainConfig, explained
from faceseg_utils.losses import LOSSES as BY_NAME
from faceseg_utils.transforms import augmentations


def test_a_configuration_survives_json():
    config = TrainConfig(size=(64, 96), extra="more", ema=0.5)
    again = TrainConfig(**json.loads(json.dumps(asdict(config))))
    assert again == config and again.size == (64, 96)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"loss": "hinge"}, r"loss='hinge': choose one of bce, dice, bce\+dice"),
        ({"schedule": "linear"}, "schedule='linear': choose one of constant, one-cycle, cosine"),
        ({"batch_size": 0}, "batch_size=0: must be above 0"),
        ({"learning_rate": 0.0}, "learning_rate=0.0: must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan: expected a finite number"),
        ({"accumulate": 12345678901234567890}, "accumulate=12345678901234567890: must be below 2147483648"),
        ({"seed": -1}, r"seed=-1: must not be negative \(any whole number from 0 on\)"),
        ({"limit": -1}, r"limit=-1: must not be negative \(0: all photos\)"),
        ({"clip": -0.5}, r"clip=-0.5: must not be negative \(0: no limit\)"),
        ({"weight_decay": -1e-3}, r"weight_decay=-0.001: must not be negative \(0: none\)"),
        ({"patience": -2}, r"patience=-2: must not be negative \(0: no early stopping\)"),
        ({"holdout": 1.0}, "holdout=1.0: must be from 0 to below 1"),
        ({"holdout": -0.1}, "holdout=-0.1: must be from 0 to below 1"),
        ({"ema": 1.5}, "ema=1.5: must be from 0 to below 1"),
        ({"ema": float("inf")}, "ema=inf: expected a finite number"),
        ({"warmup": 1}, "warmup=1.0: a share of the steps, between 0 and 1"),
        ({"size": 320}, "size=320: two whole numbers, height and width in pixels"),
        ({"size": [320]}, r"size=\[320\]: two whole numbers"),
        ({"size": [320.0, 256.0]}, r"size=\[320.0, 256.0\]: two whole numbers"),
        ({"size": [32, 1_000_000]}, r"size=\[32, 1000000\]: two whole numbers"),
        ({"size": "ab"}, "size='ab': two whole numbers"),
        ({"epochs": "4"}, "epochs='4': expected a value of type int"),
        ({"epochs": 2.5}, "epochs=2.5: expected a value of type int"),
        ({"pretrained": 1}, "pretrained=1: expected a value of type bool"),
        ({"loss": ["bce"]}, r"loss="),
        ({"dataset": None}, "dataset=None: expected a value of type str"),
    ],
    ids=str,
)
def test_a_bad_value_is_refused_in_one_line(change, message):
    with pytest.raises(ValueError, match=f"^{message}") as error:
        TrainConfig(**change)
    assert "\n" not in str(error.value)


def test_choices_are_those_of_the_code_that_takes_them():
    assert LOSSES == tuple(BY_NAME)
    for name in AUGMENTATIONS:
        augmentations(name)
    defaults = {field.name: field.default for field in fields(TrainConfig)}
    for name, choices in CHOICES.items():
        assert defaults[name] in choices
        for choice in choices:
            assert getattr(replace(TrainConfig(), **{name: choice}), name) == choice


def test_every_field_is_explained_in_one_line():
    texts = explained(TrainConfig)
    assert list(texts) == [field.name for field in fields(TrainConfig)]
    assert all(8 < len(text) < 110 for text in texts.values())
    assert texts["batch_size"] == "photos per batch, of all processes together"


def test_presets_of_the_report():
    default, tuned = PRESETS["report-default"], PRESETS["report-tuned"]
    assert (default.batch_size, default.learning_rate, default.epochs, default.size) == (4, 1e-3, 150, (320, 320))
    assert (tuned.batch_size, tuned.learning_rate, tuned.epochs) == (8, 3e-4, 100)
    for name, preset in PRESETS.items():
        if name.startswith("report"):
            assert (preset.optimizer, preset.schedule, preset.loss, preset.holdout) == ("adam", "constant", "bce", 0)
            assert (preset.padding, preset.normalise, preset.clip, preset.weight_decay) == ("background", "unit", 0, 0)


def test_the_configuration_needs_no_torch():
    imported = [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.ImportFrom)]
    assert {node.module for node in imported} == {"dataclasses"}
