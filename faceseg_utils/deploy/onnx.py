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
    return {name: json.dumps(getattr(config, name)) for name in ("size", "classes", "mean", "std")} | {
        "input": "photo: float32 [batch, 3, *size], size is height, width; RGB, values 0 to 255, upright, letterboxed",
        "letterbox": "scale = min(size[0] / H, size[1] / W); resize to round(H * scale), round(W * scale); centre "
        "(top and left rounded down); pad with 0",
        "normalisation": "nothing to do: (photo / 255 - mean) / std is part of the model",
        "output": f"probability: float32 [batch, {config.channels}, *size], {answer}; crop the padding, then resize to "
        "H, W (bilinear)",
    }


def export_onnx(segmenter: Segmenter, path: str | Path) -> float:
    """Write an ONNX file: `photo` float32 [B, 3, h, w] of 0..255 (letterboxed) -> `probability` [B, C, h, w].

    It is compared with torch on random photos before it takes the place of an older file; returns the largest
    difference. The segmenter stays as it is, on its device. Raises RuntimeError when onnx or onnxruntime is missing or
    the difference exceeds 0.001, ValueError for another suffix than .onnx, OSError naming the file when a disk is full.
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
    buffer, names = io.BytesIO(), {"input_names": ["photo"], "output_names": ["probability"]}
    batch = {"photo": {0: "batch"}, "probability": {0: "batch"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # networks check their input's size: the file fixes it
        warnings.simplefilter("ignore", DeprecationWarning)  # the exporter that is not deprecated needs onnxscript
        torch.onnx.export(model, (photos[0],), buffer, dynamic_axes=batch, dynamo=False, **names)
    graph = onnx.load_from_string(buffer.getvalue())
    for value, channels in ((graph.graph.input[0], 3), (graph.graph.output[0], segmenter.config.channels)):
        for dim, size in zip(value.type.tensor_type.shape.dim, ("batch", channels, *segmenter.config.size)):
            dim.Clear()  # the exporter takes more sizes for dynamic than there are
            setattr(dim, "dim_param" if isinstance(size, str) else "dim_value", size)
    onnx.helper.set_model_props(graph, metadata(segmenter))
    onnx.checker.check_model(graph)
    path.parent.mkdir(parents=True, exist_ok=True)
    with paths.written_whole(path) as fresh:
        fresh.write_bytes(graph.SerializeToString())
        session = new_session(fresh)
        with torch.inference_mode():
            pairs = [(session.run(None, {"photo": x.numpy()})[0], model(x).numpy()) for x in photos]
        difference = float(np.max([np.abs(a - b).max() for a, b in pairs]))
        if not difference <= TOLERANCE:  # NaN, too
            raise RuntimeError(f"{path}: ONNX and torch disagree by {difference:.4f}; nothing was written")
    return difference


def new_session(path: Path):
    """An ONNX Runtime session on the CPU, with as many threads as torch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
