"""Score other people's tools on the validation photos: `python -m experiments.peers.run --python PEERS/bin/python`.

Two environments, one metric: predict.py makes the masks in the peers' environment and leaves them in build/peers;
here they are scored by `faceseg_utils.dice`, the code that scores our own runs. Written: scores/PEER.csv (a row a
photo) and peers.csv (a row a peer). Only numbers are kept, never a mask or a photo.
"""

import argparse
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd

from faceseg_utils import catalog, dice
from faceseg_utils.dataset import PortraitDataset

HERE = Path(__file__).resolve().parent
SCORES = ("dice", "iou", "boundary_f1")

# name: (what it is, licence). The first three need the peers' environment, the others only the masks.
PEERS = {
    "mediapipe-general": ("MediaPipe Selfie Segmentation, general", "Apache-2.0"),
    "mediapipe-landscape": ("MediaPipe Selfie Segmentation, landscape", "Apache-2.0"),
    "grabcut": ("GrabCut from the mean training mask", "Apache-2.0 (OpenCV)"),
    "mean-mask": ("the mean training mask", ""),
    "all-person": ("everything is person", ""),
}


def mean_mask(train: PortraitDataset) -> np.ndarray:
    """Share of training photos that show the person at each pixel, float64 [H, W]; all must have one size."""
    return np.mean([train.read(i)[1] for i in range(len(train))], axis=0)


def constant_mask(peer: str, mean: np.ndarray) -> np.ndarray:
    """What the two peers that never look at the photo answer, uint8 [H, W]."""
    return (mean > 0.5).astype(np.uint8) if peer == "mean-mask" else np.ones(mean.shape, np.uint8)


def score(masks, val: PortraitDataset) -> pd.DataFrame:
    """A row a photo: Dice, IoU and boundary F1 of `masks` (one uint8 [H, W] a photo), as for a run of ours."""
    rows = []
    for i, mask in enumerate(masks):
        truth = val.read(i)[1]
        rows.append([float(f(mask, truth)[0]) for f in (dice.dice_score, dice.iou_score, dice.boundary_f1)])
    return pd.DataFrame(rows, columns=SCORES, index=pd.Index(val.stems, name="id")).round(6)


def ask(peer: str, photos: list[Path], out: Path, python: str, mean: Path | None = None) -> dict:
    """What `predict.py PEER` answers for these photos, computed by the interpreter `python`."""
    command = [python, str(HERE / "predict.py"), peer, str(out), *(["--mean", str(mean)] if mean else [])]
    subprocess.run(command, input="\n".join(map(str, photos)), text=True, check=True)
    return dict(np.load(out))


def processor() -> str:
    """The CPU by name and the number of its cores that we may use, from /proc/cpuinfo (Linux)."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, help="the interpreter of the peers' environment")
    options = parser.parse_args()
    build = catalog.course_root() / "build" / "peers"
    build.mkdir(parents=True, exist_ok=True)
    (HERE / "scores").mkdir(exist_ok=True)
    train, val = PortraitDataset("picsart", "train"), PortraitDataset("picsart", "val")
    mean = mean_mask(train)
    np.save(build / "mean.npy", mean)

    summary = []
    for peer, (title, licence) in PEERS.items():
        if peer in ("mean-mask", "all-person"):
            masks = [constant_mask(peer, mean)] * len(val)
            ms, mb, version = 0.0, mean.size * 4e-6 * (peer == "mean-mask"), ""  # nothing to compute for a photo
        else:
            photos = [item.image for item in val.items]
            said = ask(peer, photos, build / f"{peer}.npz", options.python, build / "mean.npy")
            masks, ms, mb, version = said["masks"], np.median(said["ms"]), float(said["mb"]), str(said["version"])
        scores = score(masks, val)
        scores.to_csv(HERE / "scores" / f"{peer}.csv", float_format="%.6f")
        means = scores.mean().round(6).to_dict()
        facts = {"ms": round(ms, 2), "mb": round(mb, 3), "version": version, "licence": licence}
        summary.append({"peer": peer, "title": title, **means, "photos": len(scores), **facts, "cpu": processor()})
        print(f"{peer:20s} " + "  ".join(f"{name} {value:.4f}" for name, value in means.items()) + f"  {ms:.1f} ms")
    pd.DataFrame(summary).to_csv(HERE / "peers.csv", index=False)


if __name__ == "__main__":
    main()
