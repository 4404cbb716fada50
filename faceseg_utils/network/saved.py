"""A network on disk: `config.json` and `model.safetensors`, checked on the way in, whole on the way out."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch

from faceseg_utils import paths

FORMAT = 1


@dataclass(frozen=True)
class ModelConfig:
    """What a network expects and what it answers: saved as `config.json` beside the weights.

    Raises ValueError, naming the field, for values that no network of the course can have.
    """

    model: str  # a name for `build_model`
    classes: tuple[str, ...]
    size: tuple[int, int]  # height and width of the letterbox, pixels
    mean: tuple[float, float, float]  # of the input, on the 0..1 scale
    std: tuple[float, float, float]
    options: dict = field(default_factory=dict)  # of `build_model`
    format: int = FORMAT

    def __post_init__(self):
        for name in ("classes", "size", "mean", "std"):
            value = getattr(self, name)
            if not isinstance(value, (list, tuple)):
                raise ValueError(f"{name}={value!r}: expected a list")
            object.__setattr__(self, name, tuple(value))
        if self.format != FORMAT:
            raise ValueError(f"format={self.format!r}: this version of the course reads format {FORMAT}")
        if not isinstance(self.model, str) or not isinstance(self.options, dict):
            raise ValueError("model must be a name and options a dictionary")
        if len(set(self.classes)) < 2 or not all(isinstance(c, str) for c in self.classes):
            raise ValueError(f"classes={self.classes!r}: expected two or more different names")
        whole = len(self.size) == 2 and all(type(side) is int for side in self.size)
        if not whole or any(side % 32 or not 32 <= side <= 2048 for side in self.size):
            raise ValueError(f"size={self.size!r}: expected height and width, divisible by 32 and at most 2048")
        for name in ("mean", "std"):
            value = getattr(self, name)
            if len(value) != 3 or not all(type(v) in (int, float) and np.isfinite(v) for v in value):
                raise ValueError(f"{name}={value!r}: expected three numbers, one per colour")
        if np.float32(min(self.std)) <= 0:
            raise ValueError(f"std={self.std!r}: must be above 0")

    @property
    def channels(self) -> int:
        """Channels of the logits: 1 for person or background, else one per class."""
        return 1 if len(self.classes) == 2 else len(self.classes)


def write(folder: str | Path, config: ModelConfig, weights: dict[str, torch.Tensor], half: bool = False) -> None:
    """Write configuration and weights, with `half` in half precision, whole or not at all. Raises OSError."""
    weights = {
        key: (value.half() if half and value.is_floating_point() else value).detach().cpu().contiguous()
        for key, value in weights.items()
    }
    with paths.written_whole(folder) as fresh:
        fresh.mkdir(parents=True)
        content = json.dumps(asdict(config), indent=2) + "\n"
        (fresh / "config.json").write_text(content, encoding="utf-8", newline="\n")
        try:
            safetensors.torch.save_file(weights, fresh / "model.safetensors")
        except safetensors.SafetensorError as error:  # its own name for a full disk
            raise OSError(str(error)) from error


def model_folder(model: str | Path) -> Path:
    """The folder of a model: a path, or the name of a model of record. Raises ValueError where there is no model."""
    named = paths.models_folder() / str(model)
    folder = Path(model) if Path(model).is_dir() or not named.is_dir() else named
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            known = sorted(place.name for place in paths.models_folder().glob("*") if place.is_dir())
            hint = paths.did_you_mean(str(model), known) or f" Models of record: {', '.join(known) or 'none'}."
            raise ValueError(f"{folder}: no model here ({name} is missing).{hint}")
    return folder


def trained_on(folder: Path) -> str:
    """The dataset that a model learned from, as the run beside it or the run of its name says; "" if nobody knows."""
    for run in (folder.parent, paths.experiments_folder() / "runs" / folder.name):
        try:
            return json.loads((run / "config.json").read_text(encoding="utf-8"))["dataset"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return ""


def read_config(folder: Path) -> ModelConfig:
    """`config.json` of a model. Raises ValueError naming the file for anything else."""
    path = folder / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("expected an object")
        return ModelConfig(**values)
    except (ValueError, TypeError, RecursionError) as error:
        fault = f"not the configuration of a model ({paths.one_line(error)})"
        raise ValueError(f"{path}: {fault}; train it again") from None


def read_weights(folder: Path, network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """`model.safetensors` for `network`. Raises ValueError where it is damaged or belongs to another network."""
    try:
        weights = safetensors.torch.load_file(folder / "model.safetensors")
    except (ValueError, OSError, safetensors.SafetensorError) as error:
        raise ValueError(f"{folder / 'model.safetensors'}: damaged ({paths.one_line(error)}); train it again") from None
    wanted = network.state_dict()
    for key in sorted(wanted.keys() | weights.keys()):
        if key not in wanted or key not in weights or weights[key].shape != wanted[key].shape:
            raise ValueError(f"{folder}: its weights do not fit the model in its config.json (first at {key})")
        same_kind = weights[key].is_floating_point() == wanted[key].is_floating_point()
        if not same_kind or weights[key].dtype == torch.bool or not weights[key].float().isfinite().all():
            raise ValueError(f"{folder}: damaged, {key} holds values that cannot be weights; train it again")
    return weights
