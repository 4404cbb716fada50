"""Masks by other people's tools, for the photos named on standard input. Runs in the peers' own environment.

    python predict.py PEER OUT.npz [--mean MEAN.npy] < LIST

LIST has one photo per line. OUT.npz holds `masks` uint8 [N, H, W] (0 or 1), for MediaPipe also `probability` uint8
[N, H, W] (0..255), `ms` float [N]: wall time of one photo, decoded pixels in, mask out, after two photos to warm
up; `mb`: the megabytes that the peer must carry; and `version`.
Nothing of the course is imported here: the course's numpy is newer than what mediapipe accepts.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image


def mediapipe(model: int):
    """MediaPipe Selfie Segmentation; model 0 is "general" (256 x 256), 1 is "landscape" (144 x 256)."""
    import mediapipe as mp

    name = ("selfie_segmentation.tflite", "selfie_segmentation_landscape.tflite")[model]
    weights = Path(mp.__file__).parent / "modules" / "selfie_segmentation" / name
    network = mp.solutions.selfie_segmentation.SelfieSegmentation(model_selection=model)

    def predict(photo):  # uint8 [H, W, 3], RGB -> float32 [H, W]
        return network.process(photo).segmentation_mask

    return predict, weights.stat().st_size / 1e6, f"mediapipe {mp.__version__}"


def grabcut(mean: np.ndarray, rounds: int = 5):
    """GrabCut (Rother, Kolmogorov, Blake 2004) that starts from the mean training mask, float [H, W].

    Certain where nearly all training photos agree (above .95 or below .05), otherwise probable.
    """
    import cv2

    start = np.select(
        [mean > 0.95, mean > 0.5, mean > 0.05], [cv2.GC_FGD, cv2.GC_PR_FGD, cv2.GC_PR_BGD], cv2.GC_BGD
    ).astype(np.uint8)

    def predict(photo):
        cv2.setRNGSeed(0)
        labels = start.copy()
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(photo[..., ::-1].copy(), labels, None, *models, rounds, cv2.GC_INIT_WITH_MASK)
        return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)

    return predict, mean.astype(np.float32).nbytes / 1e6, f"opencv {cv2.__version__}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", choices=("mediapipe-general", "mediapipe-landscape", "grabcut"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--mean", type=Path, help="the mean training mask, float [H, W]: where grabcut starts")
    options = parser.parse_args()

    if options.peer == "grabcut":
        predict, mb, version = grabcut(np.load(options.mean))
    else:
        predict, mb, version = mediapipe(int(options.peer == "mediapipe-landscape"))
    sys.stdin.reconfigure(encoding="utf-8")
    photos = [np.asarray(Image.open(line.strip()).convert("RGB")) for line in sys.stdin if line.strip()]
    for photo in photos[:2]:
        predict(photo)
    masks, levels, times = [], [], []
    for photo in photos:
        start = time.perf_counter()
        probability = predict(photo)
        masks.append((probability > 0.5).astype(np.uint8))
        times.append(1000 * (time.perf_counter() - start))
        levels.append((probability * 255).round().astype(np.uint8))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    soft = {"probability": np.stack(levels)} if options.peer != "grabcut" else {}
    np.savez_compressed(options.out, masks=np.stack(masks), ms=times, mb=mb, version=version, **soft)


if __name__ == "__main__":
    main()
