"""The generator in data/render: personas without Blender here, one rendered portrait in its own interpreter.

Point FACESEG_RENDER_PYTHON to a Python 3.11 in which data/render/requirements.txt is installed.
"""

import importlib.util
import os
import pathlib
import subprocess
from collections import Counter

import pytest

ROOT = pathlib.Path(__file__).parents[2]
RENDER_PYTHON = os.environ.get("FACESEG_RENDER_PYTHON")
needs_blender = pytest.mark.skipif(not RENDER_PYTHON, reason="FACESEG_RENDER_PYTHON is not set: a Python 3.11 with "
                                   "data/render/requirements.txt installed is needed to render")


@pytest.fixture(scope="module")
def sampler():
    """data/render/sampler.py by its path: it needs numpy only, and the folder is no installed package."""
    spec = importlib.util.spec_from_file_location("portrait_sampler", ROOT / "data" / "render" / "sampler.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_same_seed_same_persona(sampler):
    for seed in (0, 7, 123):
        assert sampler.persona(seed) == sampler.persona(seed)
    assert sampler.persona(7) != sampler.persona(8)


def test_any_36_seeds_in_a_row_hold_every_sex_tone_and_age(sampler):
    people = [sampler.persona(seed) for seed in range(100, 136)]
    assert len({(p["sex"], p["skin_tone"], p["age_group"]) for p in people}) == 36


def test_other_traits_come_out_in_balance(sampler):
    people = [sampler.persona(seed) for seed in range(300)]
    pose = Counter(p["pose"] for p in people)
    assert 0.40 < pose["frontal"] / 300 < 0.50
    assert 0.12 < pose["profile"] / 300 < 0.20
    worn = sum(p["headwear"]["kind"] != "none" for p in people)
    assert 0.18 < worn / 300 < 0.26
    assert all(count > 15 for count in Counter(p["light"] for p in people).values())


def render(folder, persona="sampler.persona(3)"):
    """Render one person with one ray a pixel; returns the bytes of its mask."""
    code = ("import pathlib, sys\n"
            "from data.render import dials, labels, portrait, sampler\n"
            f"light, mask = portrait.render_person({persona}, samples=1)\n"
            "assert light.shape == (320, 240, 4) and mask.shape == (320, 240)\n"
            "labels.save_mask(mask, sys.argv[1])\n")
    path = folder / "mask.png"
    subprocess.run([RENDER_PYTHON, "-c", code, str(path)], cwd=ROOT, check=True, capture_output=True)
    return path.read_bytes()


@needs_blender
def test_a_rendered_mask_is_the_same_twice_and_shows_a_face(tmp_path):
    import numpy as np
    from PIL import Image

    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first, second = render(tmp_path / "first"), render(tmp_path / "second")
    assert first == second
    mask = np.asarray(Image.open(tmp_path / "first" / "mask.png"))
    assert {0, 1, 2, 3, 4, 6, 8, 12} <= set(np.unique(mask).tolist())


@needs_blender
def test_a_dial_renders_the_committed_portrait_and_keeps_the_person(tmp_path):
    import numpy as np
    from PIL import Image

    masks = {}
    for setting in (0, 3):
        (tmp_path / str(setting)).mkdir()
        render(tmp_path / str(setting), f"dials.persona('fill', dials.PEOPLE[0], dials.DIALS['fill'][{setting}])")
        masks[setting] = np.asarray(Image.open(tmp_path / str(setting) / "mask.png"))
        committed = np.asarray(Image.open(ROOT / "data" / "dials" / "masks" / f"fill-0-{setting}.png"))
        assert (masks[setting] == committed).mean() > 0.98    # committed ones take more rays a pixel
    near, far = ({part: (mask == part).sum() / (mask > 0).sum() for part in range(1, 13)} for mask in masks.values())
    assert {part for part in near if near[part]} == {part for part in far if far[part]}
