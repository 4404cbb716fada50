"""The experiments of notebook 06: every plan can be made, no photo judges what it taught, a stop loses nothing."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from experiments.parsing import repairs, run
from faceseg_utils import paths
from faceseg_utils.data.catalog import FACE, PARTS, RENDERED
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.model import Segmenter, UNet
from faceseg_utils.network.saved import ModelConfig

RANDOM = np.random.default_rng(0)


def small(plan: run.Plan) -> run.Plan:
    config = replace(plan.config, model="unet", pretrained=False, size=(32, 32), batch_size=2)
    return replace(plan, config=config, steps=2)


@pytest.fixture
def datasets(named):
    paths.revision()  # asked once per process: before `named` says that the course lies elsewhere
    named("sample", count=8)
    named("fasseg", count=20)


# --- The plan ---------------------------------------------------------------------------------------------------------


def test_every_arm_has_five_seeds_or_folds_and_differs_in_one_thing():
    for plans in run.PARTS.values():
        arms = pd.Series([name.rpartition("-")[0] for name in plans]).value_counts()
        assert set(arms) == {5}
    plain = run.RARE["plain"]
    changes = {name: plan for name, plan in run.RARE.items() if name not in ("plain", "all")}
    for name, plan in changes.items():
        fields = [field for field in ("loss", "size") if getattr(plan.config, field) != getattr(plain.config, field)]
        assert len(fields) + bool(plan.repairs) == 1, name
    for name, plan in run.GAP.items():
        assert plan.config == run.GAP["renders"].config and plan.steps == run.GAP["renders"].steps, name
    assert all(hasattr(repairs, name) for part in run.PARTS.values() for plan in part.values() for name in plan.repairs)


def test_what_a_run_needs_comes_before_it():
    order = [(part, name) for part, plans in run.PARTS.items() for name in plans]
    for part, plans in run.PARTS.items():
        for name, plan in plans.items():
            for needed in filter(None, [("gap", plan.begins_with), (part, plan.second_look)]):
                if needed[1]:
                    assert order.index(needed) < order.index((part, name))


def test_no_face_judges_a_network_that_learned_from_it(datasets):
    judged = {}
    for name, plan in run.PARTS["faces"].items():
        pairs, judges = run.photos_of(plan)
        taught = {photo.tobytes() for photo, _ in pairs}
        assert len(taught) == len(pairs) == plan.faces
        assert not taught & {photo.tobytes() for photo, _ in judges}
        judged.setdefault(name.rpartition("-")[0], []).extend(judges.stems)
    everyone = PortraitDataset("fasseg", "all").stems
    assert all(sorted(stems) == everyone for stems in judged.values()), "every face judges once in each arm"
    for part in ("rare", "gap"):
        plan = next(iter(run.PARTS[part].values()))
        assert {item.image.parent.name for item in run.photos_of(plan)[1].items} <= {"Train_RGB", "images"}


def test_renders_are_repaired_before_their_classes_are_merged(datasets):
    plan = replace(run.PARTS["gap"]["renders-s0"], repairs=())
    for (photo, mask), (same, parts) in zip(run.photos_of(plan)[0], PortraitDataset("sample", "train", "parts")):
        assert (photo == same).all() and (mask == np.array(RENDERED["face"].lookup)[parts]).all()
    cut = run.photos_of(run.PARTS["gap"]["light-s0"])[0]
    again = run.photos_of(run.PARTS["gap"]["light-s0"])[0]
    other = run.photos_of(run.PARTS["gap"]["light-s1"])[0]
    assert all((a[0] == b[0]).all() for a, b in zip(cut, again)) and (cut[0][0] != other[0][0]).any()


# --- Repairs ----------------------------------------------------------------------------------------------------------


def face() -> tuple[np.ndarray, np.ndarray]:
    """A grey photo [200, 160] and a mask: clothes below, a head, in it eyes, nose and lips (30 high, 28 wide)."""
    mask = np.zeros((200, 160), np.uint8)
    mask[120:] = PARTS.index("clothes")
    mask[40:120, 50:110] = PARTS.index("skin")
    mask[60:64, 66:74] = mask[60:64, 86:94] = PARTS.index("eyes")
    mask[66:82, 73:87] = PARTS.index("nose")
    mask[84:90, 70:90] = PARTS.index("lips")
    return np.full((200, 160, 3), 120, np.uint8), mask


def test_the_face_stands_in_the_crop_as_in_fassegs_frames():
    photo, mask = face()
    cut, cropped = repairs.framing(photo, mask, RANDOM)
    assert cut.shape[:2] == cropped.shape and cut.shape[1] / cut.shape[0] == pytest.approx(370 / 512, abs=0.02)
    rows, columns = np.nonzero(np.isin(cropped, [PARTS.index(name) for name in repairs.FEATURES]))
    assert (rows.max() - rows.min()) / len(cropped) == pytest.approx(repairs.HIGH, abs=0.03)
    assert (rows.max() + rows.min()) / 2 / len(cropped) == pytest.approx(repairs.CENTRE[0], abs=0.03)
    assert (columns.max() + columns.min()) / 2 / cropped.shape[1] == pytest.approx(repairs.CENTRE[1], abs=0.03)


def test_a_crop_ends_at_the_edge_and_without_a_face_is_the_whole_photo():
    _, mask = face()
    features = np.isin(mask, [PARTS.index(name) for name in repairs.FEATURES])
    rows, columns = repairs.face_box(np.roll(features, -58, axis=0))
    assert rows.start == 0 < rows.stop and columns.start > 0
    assert repairs.face_box(np.zeros((9, 7), bool)) == (slice(0, 9), slice(0, 7))
    stray = features.copy()
    stray[199, 159] = True
    assert repairs.face_box(stray) == repairs.face_box(features), "one pixel astray moves nothing"


@pytest.mark.parametrize("name", ["wall", "light", "texture"])
def test_a_repair_of_the_photo_leaves_its_mask(name):
    photo, mask = face()
    changed, same = getattr(repairs, name)(photo.copy(), mask.copy(), np.random.default_rng(1))
    assert changed.dtype == np.uint8 and changed.shape == photo.shape and (same == mask).all()
    assert abs(changed.astype(int) - photo).mean() > 1
    if name == "wall":
        person = np.zeros_like(mask, bool)
        person[45:115, 55:105] = person[126:] = True  # away from the outline
        assert (changed[person] == photo[person]).all() and (changed[:30, :40] > 125).all()


def test_the_repair_of_labels_gives_to_eyes_and_takes_from_nose_and_lips():
    photo, mask = face()
    _, changed = repairs.labels(photo, mask, RANDOM)
    before, after = (np.bincount(each.ravel(), minlength=13) for each in (mask, changed))
    for name, gain in (("eyes", 1), ("nose", -1), ("lips", -1)):
        assert np.sign(after[PARTS.index(name)] - before[PARTS.index(name)]) == gain
    assert after.sum() == before.sum() and (mask == face()[1]).all(), "the mask that it was given stays"


class Fixed(Segmenter):
    """Answers one class everywhere, the features where `face` has them."""

    def __init__(self, number, mask=None):
        config = ModelConfig("unet", PARTS, (32, 32), (0.5,) * 3, (0.5,) * 3, {"width": 4, "depth": 2})
        super().__init__(UNet(classes=13, width=4, depth=2), config)
        torch.nn.init.zeros_(self.network.head.weight)
        self.network.head.bias.data = torch.nn.functional.one_hot(torch.tensor(number), 13).float() * 9
        self.mask = mask

    def logits(self, photo):
        if self.mask is None:
            return super().logits(photo)
        return torch.nn.functional.one_hot(torch.tensor(self.mask).long(), 13).permute(2, 0, 1).float()


def test_the_second_look_replaces_the_first_inside_of_the_crop():
    photo, mask = face()
    looks = repairs.TwoLooks(Fixed(0, mask), Fixed(PARTS.index("hair")))
    found = looks.classify(photo)
    box = repairs.face_box(np.isin(mask, [PARTS.index(name) for name in repairs.FEATURES]))
    expected = mask.copy()
    expected[box] = PARTS.index("hair")
    assert (found == expected).all() and looks.classes == PARTS
    nobody = repairs.TwoLooks(Fixed(0), Fixed(PARTS.index("hair")))
    assert (nobody.classify(photo) == 0).all(), "no face, no second look"


# --- Making -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def plans(datasets, monkeypatch):
    """Of every part a few runs that take a moment."""
    wanted = {"rare": ["plain-s0", "crop-s0"], "gap": ["all-s0"], "faces": ["imagenet-1-f0", "renders-2-f0"]}
    parts = {part: {name: small(run.PARTS[part][name]) for name in names} for part, names in wanted.items()}
    monkeypatch.setattr(run, "PARTS", parts)
    return parts


def test_all_parts_are_made_and_not_made_again(plans, tmp_path, capsys):
    for part in plans:
        run.make_part(part, tmp_path, tmp_path / "models")
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 5 and said[0].startswith("rare plain-s0: macro Dice 0.")
    for part, names in plans.items():
        rows = run.read(part, tmp_path)
        assert list(rows) == ["run", "id", "class", "both", "predicted", "wanted"]
        origin = json.loads((tmp_path / f"{part}.json").read_text())
        assert list(dict.fromkeys(rows["run"])) == list(names) == list(origin)
        assert (rows["both"] <= rows[["predicted", "wanted"]].min(axis=1)).all()
        assert (rows.groupby(["run", "id"])[["predicted", "wanted"]].sum() == 48 * 40).all().all()
        run.make_part(part, tmp_path, tmp_path / "models")
    assert capsys.readouterr().out == ""
    for part, classes in (("rare", PARTS), ("gap", FACE), ("faces", FACE)):
        assert set(run.read(part, tmp_path)["class"]) <= set(classes)
    assert run.listing(tmp_path)["done"].tolist() == [1] * 5 and run.listing(tmp_path)["minutes"].sum() == 0
    assert not (tmp_path / "models" / "faces").exists(), "only what another run needs is kept"


def test_a_stop_loses_nothing_and_other_plans_are_refused(plans, tmp_path, monkeypatch):
    names = list(plans["rare"])
    monkeypatch.setattr(run, "PARTS", plans | {"rare": {names[0]: plans["rare"][names[0]]}})
    run.make_part("rare", tmp_path, tmp_path / "models")
    monkeypatch.setattr(run, "PARTS", plans)
    with pytest.raises(ValueError, match="plain-s0 is not there: remove rare.csv and rare.json, then make"):
        run.make_part("rare", tmp_path, tmp_path / "models")  # nothing needed its weights then
    changed = {names[0]: replace(plans["rare"][names[0]], steps=3)}
    monkeypatch.setattr(run, "PARTS", plans | {"rare": changed})
    with pytest.raises(ValueError, match="holds plain-s0 of another plan: remove rare.csv and rare.json"):
        run.make_part("rare", tmp_path, tmp_path / "models")


def test_the_same_seed_gives_the_same_network(plans):
    plan = plans["faces"]["imagenet-1-f0"]
    pairs, judges = run.photos_of(plan)
    one, two = (run.learn(pairs, judges.classes, plan.config, 2) for _ in range(2))
    for a, b in zip(one.network.state_dict().values(), two.network.state_dict().values()):
        assert torch.equal(a, b)
    start = run.learn(pairs, judges.classes, replace(plan.config, learning_rate=1e-12, weight_decay=0.0), 1, start=one)
    for a, b in zip(one.network.parameters(), start.network.parameters()):
        assert torch.allclose(a, b, atol=1e-6), "it goes on from there"


def test_dice_is_summed_over_photos():
    rows = pd.DataFrame(
        [("a", "1", "background", 6, 6, 8), ("a", "1", "eyes", 2, 4, 2), ("a", "2", "background", 9, 10, 9),
         ("a", "2", "eyes", 0, 0, 1)],
        columns=["run", "id", "class", "both", "predicted", "wanted"],
    )  # fmt: skip
    assert run.summary(rows).loc["a"].to_dict() == pytest.approx(
        {"background": 30 / 33, "eyes": 4 / 7, "macro": 4 / 7, "pixel_accuracy": 17 / 20}
    )


def test_an_unknown_part_is_named():
    with pytest.raises(ValueError, match="no part is called 'rarer': choose from rare, gap, faces"):
        run.main(["rarer"])


def test_the_record_is_whole():
    """What is there of each part belongs to the plan, and every run of an arm is scored on the same photos."""
    for part, plans in run.PARTS.items():
        if not (run.HERE / f"{part}.csv").is_file():
            continue
        rows, origin = run.read(part), json.loads((run.HERE / f"{part}.json").read_text())
        assert set(rows["run"]) == set(origin) == set(plans), "made in full"
        for name, made in origin.items():
            assert made["plan"] == json.loads(json.dumps(run.asdict(plans[name])))
            assert not made["revision"].endswith("+")
        if part != "faces":
            assert len({tuple(sorted(set(each["id"]))) for _, each in rows.groupby("run")}) == 1
