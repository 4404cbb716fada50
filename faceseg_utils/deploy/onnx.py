"""A trained network as one ONNX file that says itself how it is to be used. README has the lines that use it."""

import copy
import io
import json
import warnings
from pathlib import Path

import numpy as np
import torch

from faceseg_utils import paths
from faceseg_utils.model import Segmenter

TOLERANCE = 1e-3  # largest difference from torch, in probability


class _PixelsToProbabilities(torch.nn.Module):
    """A network with its normalisation and its sigmoid or softmax: float32 [B, 3, h, w], 0..255 -> [B, C, h, w]."""

    def __init__(self, segmenter: Segmenter):
        super().__init__()
        self.network = copy.deepcopy(segmenter.network).cpu()
        self.register_buffer("mean", torch.tensor(segmenter.config.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(segmenter.config.std).view(1, 3, 1, 1))

    def forward(self, photo):
        logits = self.network((photo / 255 - self.mean) / self.std)
        return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(1)


def metadata(segmenter: Segmenter) -> dict[str, str]:
    """What a program has to know to use the file: `metadata_props` of the ONNX model, lists as JSON."""
    config = segmenter.config
    answer = f"of '{config.classes[1]}'" if config.channels == 1 else "of each class; the mask is their argmax"
    facts = {name: json.dumps(getattr(config, name)) for name in ("size", "classes", "mean", "std")}
    return facts | {
        "input": "photo: float32 [batch, 3, *size], size is height, width; RGB, values 0 to 255, upright, letterboxed",
        "letterbox": "scale = min(size[0] / H, size[1] / W); resize to round(H * scale), round(W * scale); centre "
        "(top and left rounded down); pad with 0",
        "normalisation": "nothing to do: (photo / 255 - mean) / std is part of the model",
        "output": f"probability: float32 [batch, {config.channels}, *size], {answer}; crop the padding, then resize to "
        "H, W (bilinear)",
    }


def export_onnx(segmenter: Segmenter, path: str | Path) -> float:
    """Write an ONNX file: `photo` float32 [B, 3, h, w] of 0..255 (letterboxed) -> `probability` [B, C, h, w].

    It is compared with torch on random photos, before it takes the place of an older file and once it is there; the
    largest difference is returned. The segmenter stays as it is, on its device.

    Raises RuntimeError when onnx or onnxruntime is missing, or when the two disagree by more than 0.001; ValueError
    for another suffix than .onnx; OSError naming the file when it cannot be written.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401  (for `new_session`)
    except ImportError as error:
        raise RuntimeError(f"export needs {error.name}: pip install onnx onnxruntime") from None
    path = Path(path)
    if path.suffix.lower() != ".onnx":
        raise ValueError(f"{path}: the name of an ONNX file ends in .onnx")
    model = _PixelsToProbabilities(segmenter).eval()
    random = torch.Generator().manual_seed(0)
    photos = [torch.randint(0, 256, (n, 3, *segmenter.config.size), generator=random).float() for n in (1, 1, 3)]
    graph = onnx.load_from_string(_exported(model, photos[0]))
    for value, channels in ((graph.graph.input[0], 3), (graph.graph.output[0], segmenter.config.channels)):
        for dim, size in zip(value.type.tensor_type.shape.dim, ("batch", channels, *segmenter.config.size)):
            dim.Clear()  # the exporter takes more sizes for dynamic than there are
            setattr(dim, "dim_param" if isinstance(size, str) else "dim_value", size)
    onnx.helper.set_model_props(graph, metadata(segmenter))
    onnx.checker.check_model(graph)
    path.parent.mkdir(parents=True, exist_ok=True)
    with paths.written_whole(path) as fresh:
        fresh.write_bytes(graph.SerializeToString())
        _difference(fresh, model, photos)
    return _difference(path, model, photos)


def _exported(model: torch.nn.Module, photo: torch.Tensor) -> bytes:
    names = {"input_names": ["photo"], "output_names": ["probability"]}
    batch = {"photo": {0: "batch"}, "probability": {0: "batch"}}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The networks check the size of their input, which the file fixes. And the exporter without the word
        # "deprecated" needs one package more.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(model, (photo,), buffer, dynamic_axes=batch, dynamo=False, **names)
    return buffer.getvalue()


@torch.inference_mode()
def _difference(path: Path, model: torch.nn.Module, photos: list[torch.Tensor]) -> float:
    """The largest difference between file and torch, in probability. Raises RuntimeError above `TOLERANCE`."""
    session = new_session(path)
    differences = [np.abs(session.run(None, {"photo": x.numpy()})[0] - model(x).numpy()).max() for x in photos]
    if not max(differences) <= TOLERANCE:
        raise RuntimeError(f"{path}: ONNX and torch disagree by {max(differences):.4f}; do not use this file")
    return float(max(differences))


def new_session(path: Path):
    """An ONNX Runtime session on the CPU, with as many threads as torch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
