"""Use a trained model outside of the notebooks: masks and cut-outs from files, and an ONNX file for other programs."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from faceseg_utils.catalog import PALETTES
from faceseg_utils.dataset import IMAGE_SUFFIXES
from faceseg_utils.model import Segmenter
from faceseg_utils.plots import colour_mask

LARGEST = 50_000_000  # pixels; beyond it a photo is scaled down on reading, or memory would run out


def to_rgb(file: Image.Image, largest: int) -> np.ndarray:
    """An opened image as uint8 [H, W, 3]: upright, at most `largest` pixels, 16 bits cut to 8, transparent as white."""
    if file.mode == "I" or file.mode.startswith("I;16"):
        values = np.asarray(ImageOps.exif_transpose(file))
        file = Image.fromarray((values.astype(np.uint32) >> 8).astype(np.uint8))
    shrink = (largest / (file.width * file.height)) ** 0.5
    if shrink < 1:  # a JPEG is decoded at a smaller size straight away
        file.thumbnail((max(1, int(file.width * shrink)), max(1, int(file.height * shrink))))
    upright = ImageOps.exif_transpose(file)
    if "A" in upright.getbands() or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
    return np.asarray(upright.convert("RGB"))


def read_photo(path: str | Path) -> np.ndarray:
    """Any photo as uint8 [H, W, 3]: turned upright (EXIF), 16-bit, grey, CMYK and transparent ones converted.

    Raises ValueError naming the file when it is no image.
    """
    try:
        with Image.open(path) as file:
            return to_rgb(file, LARGEST)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(f"{path}: no such file") from None
        raise ValueError(f"{path}: cannot be read as an image ({error}); is it a JPEG, PNG, BMP or WebP?") from None


def photos_in(inputs: list[str | Path]) -> list[Path]:
    """The photos among files and folders, in order. Raises FileNotFoundError for what is not there."""
    found = []
    for path in map(Path, inputs):
        if path.is_dir():
            found += sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        elif path.exists():
            found.append(path)
        else:
            raise FileNotFoundError(f"{path}: no such file or folder")
    return found


def cut_out(photo: np.ndarray, opacity: np.ndarray) -> Image.Image:
    """The photo with `opacity` (0..1, [H, W]) as its alpha channel: the person on a transparent background."""
    alpha = (opacity * 255).round().astype(np.uint8)
    return Image.fromarray(np.dstack([photo, alpha]))


def predict_files(segmenter: Segmenter, inputs: list[str | Path], out: str | Path) -> list[Path]:
    """Write NAME_mask.png (and NAME_cutout.png for person/background) into `out`; returns the photos done.

    A file that cannot be read is reported in one line and skipped; the others go on.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    done = []
    for path in photos_in(inputs):
        try:
            photo = read_photo(path)
        except ValueError as error:
            print(f"skipped {error}")
            continue
        probabilities = segmenter.predict(photo)  # [H, W] or [K, H, W]
        if probabilities.ndim == 2:
            mask = np.where(probabilities > 0.5, 255, 0).astype(np.uint8)
            cut_out(photo, probabilities).save(out / f"{path.stem}_cutout.png")
        else:
            mask = colour_mask(probabilities.argmax(0), PALETTES[segmenter.classes])
        Image.fromarray(mask).save(out / f"{path.stem}_mask.png")
        done.append(path)
    return done


class _WithNormalisation(torch.nn.Module):
    """Pixels in, probabilities out: what a program without our package wants to call."""

    def __init__(self, segmenter: Segmenter):
        super().__init__()
        self.network = segmenter.network
        self.register_buffer("mean", torch.tensor(segmenter.card.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(segmenter.card.std).view(1, 3, 1, 1))

    def forward(self, photo):  # float32 [B, 3, h, w], 0..255
        logits = self.network((photo / 255 - self.mean) / self.std)
        return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)


def export_onnx(segmenter: Segmenter, path: str | Path) -> float:
    """Write an ONNX file: `photo` float32 [B, 3, h, w] of 0..255 (letterboxed) -> `probability` [B, C, h, w].

    Checks it against torch with onnxruntime and returns the largest difference. Raises RuntimeError when the extra
    `export` is not installed, or when the two disagree by more than 0.001.
    """
    try:
        import onnxruntime
    except ImportError:
        raise RuntimeError("export needs `pip install 'faceseg-utils[export]'`") from None
    model = _WithNormalisation(segmenter).eval()
    photo = torch.randint(0, 256, (1, 3, *segmenter.card.size)).float()
    batch = {"photo": {0: "batch"}, "probability": {0: "batch"}}
    names = {"input_names": ["photo"], "output_names": ["probability"]}
    torch.onnx.export(model, (photo,), str(path), dynamic_axes=batch, dynamo=False, **names)
    with torch.inference_mode():
        wanted = model(photo).numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    difference = float(np.abs(session.run(None, {"photo": photo.numpy()})[0] - wanted).max())
    if difference > 1e-3:
        raise RuntimeError(f"{path}: ONNX and torch disagree by {difference:.4f}; do not use this file")
    return difference
