"""The overlay: what it refuses, and that the page's code comes to the bytes of the Python functions."""

import base64
import json
import shutil
import subprocess

import numpy as np
import pytest

from faceseg_utils import widgets
from faceseg_utils.data.catalog import FACE, PALETTES, PERSON

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (24, 16, 3), dtype=np.uint8)
TRUTH = RNG.integers(0, 2, (24, 16)).astype(np.uint8)
PROBABILITY = RNG.random((24, 16))


def overlay(**changes):
    return widgets.MaskOverlay(**{"photo": PHOTO, "truth": TRUTH, "probabilities": PROBABILITY, **changes})


def test_layers_show_what_they_say():
    widget = overlay(opacity=1.0)
    assert (widget.pixels("photo") == PHOTO).all()
    assert (widget.pixels("true mask")[TRUTH == 1] == PALETTES[PERSON][1]).all()
    assert (widget.pixels("prediction")[PROBABILITY > 0.51] == PALETTES[PERSON][1]).all()
    missed = (TRUTH == 1) & (PROBABILITY < 0.49)
    assert (widget.pixels("error map")[missed] == widgets.ERROR_PALETTE[1]).all()


def test_threshold_and_classes_change_the_picture():
    widget = overlay(layer="prediction", threshold=1.0)
    assert (widget.pixels() == PHOTO).all()
    widget.threshold = 0.2
    assert (widget.pixels() != PHOTO).any()
    widget.visible = []
    assert (widget.pixels() == PHOTO).all()


def test_k_classes_need_foreground_above_the_threshold():
    levels = widgets.quantise(np.array([0.45, 0.35, 0.2]).reshape(3, 1, 1))
    assert widgets.decide(levels, 0.5).tolist() == [[1]]
    assert widgets.decide(levels, 0.6).tolist() == [[0]]


def test_static_figure_has_the_four_layers():
    figure = overlay().figure()
    assert [axis.get_title() for axis in figure.axes] == list(widgets.LAYERS)


def test_without_a_true_mask_only_photo_and_prediction_are_offered():
    widget = overlay(truth=None)
    assert (widget.layers, widget.layer) == (["photo", "prediction"], "prediction")
    assert [axis.get_title() for axis in widget.figure().axes] == ["photo", "prediction"]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"probabilities": PROBABILITY[:20]}, r"prediction is \(20, 16\) but photo is \(24, 16\)"),
        ({"truth": TRUTH.T}, "true mask is .* bring it to the photo's size"),
        ({"truth": TRUTH * 7}, "true mask holds 7"),
        ({"probabilities": np.full((24, 16), np.nan)}, "NaN"),
        ({"probabilities": PROBABILITY * 9}, "logits"),
        ({"probabilities": RNG.random((3, 24, 16))}, "3 channels of probabilities for 2 classes"),
        ({"palette": PALETTES[FACE]}, "a palette of 6 colours for 2 classes"),
        ({"classes": ("sky", "tree")}, "no palette for 2 classes"),
        ({"photo": np.zeros((24, 16, 4), np.uint8)}, "4 channels"),
        ({"photo": np.zeros((24, 16, 3), np.uint16)}, "16 bits"),
        ({"photo": np.zeros((24, 16), np.uint8)}, "grey"),
        ({"photo": PHOTO / 255}, "float64"),
        ({"photo": np.zeros((8000, 6000, 3), np.uint8)}, "too large"),
    ],
)
def test_bad_input_gets_one_clear_line(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        overlay(**changes)
    assert "\n" not in str(caught.value)


def states():
    for layer in widgets.LAYERS:
        for threshold, opacity in ((0.5, 0.6), (0.21, 0.33), (0.8, 1.0), (0.0, 0.05)):
            yield PERSON, layer, threshold, opacity, [1]
            yield FACE, layer, threshold, opacity, [1, 3, 5]


@pytest.mark.skipif(not shutil.which("node"), reason="node runs the page's code outside of a page; it is not here")
def test_page_and_python_paint_the_same_bytes(tmp_path):
    cases, wanted = [], []
    for classes, layer, threshold, opacity, visible in states():
        k = len(classes)
        truth = RNG.integers(0, k, TRUTH.shape).astype(np.uint8)
        truth[0, :3] = 255
        probabilities = PROBABILITY if k == 2 else RNG.dirichlet(np.ones(k), TRUTH.shape).transpose(2, 0, 1)
        widget = widgets.MaskOverlay(PHOTO, truth, probabilities, classes)
        widget.layer, widget.threshold, widget.opacity, widget.visible = layer, threshold, opacity, visible
        wanted.append(widget.pixels())
        encoded = {name: base64.b64encode(getattr(widget, name)).decode() for name in ("photo", "truth", "levels")}
        flat = {"palette": np.ravel(widget.palette).tolist(), "errorPalette": np.ravel(widget.error_palette).tolist()}
        cases.append({
            **encoded, **flat, "channels": widget.channels, "layer": layer, "threshold": threshold,
            "opacity": opacity, "visible": visible,
        })  # fmt: skip
    (tmp_path / "overlay.mjs").write_text((widgets.STATIC / "overlay.js").read_text())
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    (tmp_path / "main.mjs").write_text(
        "import { readFileSync } from 'fs'; import { paint } from './overlay.mjs';\n"
        "const bytes = text => new Uint8Array(Buffer.from(text, 'base64'));\n"
        "for (const c of JSON.parse(readFileSync('cases.json'))) {\n"
        "  const state = { ...c, photo: bytes(c.photo), truth: bytes(c.truth), levels: bytes(c.levels) };\n"
        "  console.log(Buffer.from(paint(state)).toString('base64'));\n"
        "}\n"
    )
    run = subprocess.run(["node", "main.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True)
    for case, line, pixels in zip(cases, run.stdout.split(), wanted, strict=True):
        rgba = np.frombuffer(base64.b64decode(line), np.uint8).reshape(*TRUTH.shape, 4)
        assert (rgba[..., :3] == pixels).all() and (rgba[..., 3] == 255).all(), case["layer"]
