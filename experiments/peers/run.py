"""Score other people's tools on the validation photos: `python -m experiments.peers.run --python PEERS/bin/python`.

Two environments, one metric: predict.py makes the masks in the peers' environment and leaves them in build/peers;
here they are scored by `faceseg_utils.dice`, the code that scores our own runs. Written: scores/PEER.csv (one row per
photo) and peers.csv (one row per peer). Only numbers are kept, never a mask or a photo.
"""

import argparse
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd

from experiments import command
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.dice import photo_scores
from faceseg_utils.paths import course_root, write_text

HERE = Path(__file__).resolve().parent

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
    return np.mean([mask for _, mask in train], axis=0)


def constant_mask(peer: str, mean: np.ndarray) -> np.ndarray:
    """The answer of the two peers that never look at the photo, uint8 [H, W]."""
    return (mean > 0.5).astype(np.uint8) if peer == "mean-mask" else np.ones(mean.shape, np.uint8)


def score(masks, val: PortraitDataset) -> pd.DataFrame:
    """One row per photo: Dice, IoU and boundary F1 of `masks` (uint8 [H, W] each), as for a run of ours."""
    rows = [photo_scores(mask, truth) for mask, (_, truth) in zip(masks, val)]
    return pd.DataFrame(rows, index=pd.Index(val.stems, name="id")).round(6)


def ask(peer: str, photos: list[Path], out: Path, python: str, mean: Path | None = None) -> dict:
    """The answers of `predict.py PEER` for these photos, computed by the interpreter `python`.

    Raises RuntimeError where it fails; what it printed says why.
    """
    arguments = [python, str(HERE / "predict.py"), peer, str(out), *(["--mean", str(mean)] if mean else [])]
    code = subprocess.run(arguments, input="\n".join(map(str, photos)), text=True, encoding="utf-8").returncode
    if code:
        raise RuntimeError(f"{HERE / 'predict.py'} {peer} ended with exit code {code}; its own message stands above")
    return dict(np.load(out))


def processor() -> str:
    """The CPU by name and the number of its cores that we may use, from /proc/cpuinfo (Linux)."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", required=True, help="the interpreter of the peers' environment")
    options = parser.parse_args(arguments)
    build = course_root() / "build" / "peers"
    build.mkdir(parents=True, exist_ok=True)
    (HERE / "scores").mkdir(exist_ok=True)
    train, val = PortraitDataset("picsart", "train+exam"), PortraitDataset("picsart", "val")
    mean = mean_mask(train)
    np.save(build / "mean.npy", mean)

    summary = []
    for peer, (title, licence) in PEERS.items():
        if peer in ("mean-mask", "all-person"):
            masks = [constant_mask(peer, mean)] * len(val)
            ms, mb, version = 0.0, mean.size * 4e-6 * (peer == "mean-mask"), ""  # nothing to compute for a photo
        else:
            photos = [item.image for item in val.items]
            answer = ask(peer, photos, build / f"{peer}.npz", options.python, build / "mean.npy")
            masks, ms, mb = answer["masks"], np.median(answer["ms"]), float(answer["mb"])
            version = str(answer["version"])
        scores = score(masks, val)
        text = scores.to_csv(float_format="%.6f", lineterminator="\n")
        write_text(HERE / "scores" / f"{peer}.csv", text)
        means = scores.mean().round(6).to_dict()
        facts = {"ms": round(ms, 2), "mb": round(mb, 3), "version": version, "licence": licence}
        summary.append({"peer": peer, "title": title, **means, "photos": len(scores), **facts, "cpu": processor()})
        print(f"{peer:20s} " + "  ".join(f"{name} {value:.4f}" for name, value in means.items()) + f"  {ms:.1f} ms")
    write_text(HERE / "peers.csv", pd.DataFrame(summary).to_csv(index=False, lineterminator="\n"))


if __name__ == "__main__":
    command.run(main)
