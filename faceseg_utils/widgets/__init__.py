"""Interactive covers over `figures` and `analysis`. Each shows its static figure first, for readers without a kernel.

`MaskOverlay` a photo under masks and errors, `Gallery` many photos by score, `TryYourPhoto` a photo of one's own,
`TrainingView` a training as it goes, `ReceptiveField` the pixels that one answer depends on, `DialView` one thing
about a picture that changes, `Webcam` the camera's frames. The work is done by pure functions; the widgets only hold
state. On Colab the set-up cell of a notebook switches custom widgets on; JupyterLab, Notebook 7 and VS Code need
nothing.
"""

from faceseg_utils.widgets.dial import DialView
from faceseg_utils.widgets.gallery import Gallery, select_rows
from faceseg_utils.widgets.overlay import (
    ERROR_NAMES,
    ERROR_PALETTE,
    LARGEST,
    LAYERS,
    STATIC,
    MaskOverlay,
    check_photo,
    decide,
    paint,
    quantise,
)
from faceseg_utils.widgets.receptive_field import ReceptiveField
from faceseg_utils.widgets.training import TrainingView, progress_figure
from faceseg_utils.widgets.upload import TryYourPhoto
from faceseg_utils.widgets.webcam import Webcam

__all__ = [
    "ERROR_NAMES", "ERROR_PALETTE", "LARGEST", "LAYERS", "STATIC", "DialView", "Gallery", "MaskOverlay",
    "ReceptiveField", "TrainingView", "TryYourPhoto", "Webcam", "check_photo", "decide", "paint", "progress_figure",
    "quantise", "select_rows",
]  # fmt: skip
