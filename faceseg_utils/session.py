"""How a notebook begins: which dataset, which profile, which device, and the one-line banner that says so."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from accelerate.utils import set_seed

from faceseg_utils import paths
from faceseg_utils.config import PRESETS, TrainConfig
from faceseg_utils.data import catalog
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.engine.device import device_name
from faceseg_utils.figures import plots


@dataclass(frozen=True)
class Session:
    """What a notebook runs with: `dataset` (a name or folder), `profile` ("quick" or "full") and `device` in words."""

    dataset: str
    profile: str
    device: str

    def data(self, split: str = "train", view: str | None = None) -> PortraitDataset:
        """The photos of a split as arrays, no transform."""
        return PortraitDataset(self.dataset, split, view)

    def config(self, **changes) -> TrainConfig:
        """The preset of this profile on this dataset, with `changes`; quick: minutes on a CPU, full: best on a GPU."""
        own = {"dataset": self.dataset, "view": catalog.find(self.dataset)[0].default_view}
        if self.profile == "quick":
            own["size"] = (128, 96)
            if "epochs" not in changes:  # about 1,200 photos to learn from, however few there are
                own["epochs"] = min(20, max(2, round(1200 / len(self.data("train")))))
        return replace(PRESETS[self.profile], **{**own, **changes})

    @property
    def runs(self) -> Path:
        """Where the notebooks leave the runs that they train: `build/runs` of the course."""
        return paths.course_root() / "build" / "runs"


def start(notebook: str) -> Session:
    """Begin a notebook: fix the seeds, set the figure style, print the banner. Returns the `Session`.

    The dataset is `FACESEG_DATASET`, else the sample that comes with the course; the profile is `FACESEG_PROFILE`,
    else "full" on a GPU and "quick" on a CPU. Raises ValueError for an unknown profile.
    """
    profile = os.environ.get("FACESEG_PROFILE") or ("full" if torch.cuda.is_available() else "quick")
    if profile not in ("quick", "full"):
        raise ValueError(f"FACESEG_PROFILE='{profile}': choose one of quick, full")
    session = Session(catalog.default_dataset(), profile, device_name())
    set_seed(0)
    plt.rcParams.update(plots.STYLE)
    versions = f"torch {torch.__version__.split('+')[0]}, numpy {np.__version__}"
    print(f"{notebook} | dataset {session.dataset} | profile {profile} | {session.device} | {versions}")
    return session
