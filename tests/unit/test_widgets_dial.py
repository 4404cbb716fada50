"""The dial: what it refuses, and that the page paints and counts what the Python functions do."""

import base64
import json
import shutil
import subprocess

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from faceseg_utils import dice, widgets  # noqa: E402

RNG = np.random.default_rng(0)
PHOTOS = RNG.integers(0, 256, (3, 24, 16, 3), dtype=np.uint8)
TRUTHS = RNG.integers(0, 2, (3, 24, 16)).astype(np.uint8)
PROBABILITIES = RNG.random((3, 24, 16))
LABELS = ["0 degrees", "45 degrees", "90 degrees"]


def dial(**changes):
    given = {"photos": PHOTOS, "truths": TRUTHS, "probabilities": PROBABILITIES, "labels": LABELS}
    return widgets.DialView(**{**given, **changes})


def test_the_person_stays_and_errors_have_their_colours():
    widget, person = dial(), PROBABILITIES[1] > 0.51
    cut, errors = widget.pixels(1)
    assert (cut[person] == PHOTOS[1][person]).all()
    background = PROBABILITIES[1] < 0.49
    assert (cut[background] == PHOTOS[1][background] * 2.0 // 5).all()
    grey = PHOTOS[1].sum(-1, dtype=int) // 3
    right = background & (TRUTHS[1] == 0)
    assert (errors[right] == grey[right][:, None]).all()
    for wrong, colour in ((background & (TRUTHS[1] == 1), 1), (person & (TRUTHS[1] == 0), 2)):
        wanted = (3 * np.array(widgets.ERROR_PALETTE[colour]) + grey[wrong][:, None]) // 4
        assert wrong.any() and (errors[wrong] == wanted).all()


def test_the_line_says_how_sure_it_was_where_it_was_wrong():
    truth = np.array([[1, 1, 1, 0, 255]], np.uint8)
    probability = np.array([[0.01, 0.4, 0.9, 0.99, 0.99]])
    widget = dial(photos=np.zeros((2, 1, 5, 3), np.uint8), truths=[truth] * 2, probabilities=[probability] * 2,
                  labels=["a", "b"])  # fmt: skip
    assert widget.text(1) == "b: Dice 0.400, 3 wrong pixels, over 95 % sure at 2 of them"


def test_the_figure_shows_every_setting():
    figure = dial().figure()
    score = dice.dice_score((PROBABILITIES[2] > 0.5).astype(np.uint8), TRUTHS[2])[0]
    assert len(figure.axes) == 6 and figure.axes[2].get_title() == f"90 degrees\nDice {score:.3f}"
    plt.close(figure)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"labels": LABELS[:2]}, "3 photos, 3 masks, 3 predictions, 2 labels: expected one of each"),
        ({"photos": PHOTOS[:1], "truths": TRUTHS[:1], "probabilities": PROBABILITIES[:1], "labels": LABELS[:1]}, "two"),
        ({"setting": 3}, "setting 3: this dial has 0 to 2"),
        ({"probabilities": [*PROBABILITIES[:2], PROBABILITIES[2] * np.nan]}, "setting 2: .*NaN"),
        ({"probabilities": [PROBABILITIES[0], PROBABILITIES[1] * 9, PROBABILITIES[2]]}, "setting 1: .*logits"),
        ({"truths": [*TRUTHS[:2], TRUTHS[2].T]}, "setting 2: true mask is"),
        ({"photos": PHOTOS / 255}, "setting 0: photo is float64"),
        (
            {"photos": [*PHOTOS[:2], PHOTOS[2][:8]], "truths": [*TRUTHS[:2], TRUTHS[2][:8]],
             "probabilities": [*PROBABILITIES[:2], PROBABILITIES[2][:8]]},
            r"setting 2: photo is \(8, 16\), that of setting 0 \(24, 16\)",
        ),
    ],
)  # fmt: skip
def test_bad_input_gets_one_clear_line(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        dial(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not shutil.which("node"), reason="node runs the page's code outside of a page; it is not here")
def test_page_and_python_paint_and_count_the_same(tmp_path):
    truths = TRUTHS.copy()
    truths[:, 0, :3] = 255
    widget = dial(truths=truths)
    encoded = {name: base64.b64encode(getattr(widget, name)).decode() for name in ("photos", "truths", "levels")}
    (tmp_path / "dial.mjs").write_text((widgets.STATIC / "dial.js").read_text())
    (tmp_path / "case.json").write_text(json.dumps({**encoded, "palette": widget.palette}))
    (tmp_path / "main.mjs").write_text(
        "import { readFileSync } from 'fs'; import { count, paint } from './dial.mjs';\n"
        "const c = JSON.parse(readFileSync('case.json')), n = 24 * 16;\n"
        "const base64 = a => Buffer.from(a).toString('base64'), bytes = name => Buffer.from(c[name], 'base64');\n"
        "const part = (name, k, each) => new Uint8Array(bytes(name)).slice(k * each, (k + 1) * each);\n"
        "for (let k = 0; k < 3; k++) {\n"
        "  const truth = part('truths', k, n), levels = part('levels', k, n);\n"
        "  const { cut, errors } = paint(part('photos', k, 3 * n), truth, levels, c.palette);\n"
        "  const { dice, wrong, sure } = count(truth, levels);\n"
        "  console.log(base64(cut), base64(errors), dice.toFixed(3), wrong, sure);\n"
        "}\n"
    )
    run = subprocess.run(["node", "main.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True)
    for k, line in enumerate(run.stdout.splitlines()):
        *pictures, score, wrong, sure = line.split()
        for picture, wanted in zip(pictures, widget.pixels(k), strict=True):
            rgba = np.frombuffer(base64.b64decode(picture), np.uint8).reshape(24, 16, 4)
            assert (rgba[..., :3] == wanted).all() and (rgba[..., 3] == 255).all()
        said = f"Dice {score}, {wrong} wrong pixels, over 95 % sure at {sure} of them"
        assert widget.text(k) == f"{LABELS[k]}: {said}"
