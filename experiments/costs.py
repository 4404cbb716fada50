"""What a network costs to use: `python -m experiments.costs` writes costs.csv for all networks of log and plan.

GFLOP and megabytes (float32) depend on the architecture and the input size alone; milliseconds are the wall time of
`Segmenter.predict` for one photo of 320 x 240 (height x width) on the CPU that `cpu` names. Weights do not matter, so
none are needed.
"""

import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from experiments import command
from experiments.peers.run import processor
from experiments.plan import PLAN
from faceseg_utils.log.runs import ExperimentLog
from faceseg_utils.model import Segmenter, build_model
from faceseg_utils.network.encoders import normalisation
from faceseg_utils.network.saved import ModelConfig
from faceseg_utils.paths import write_text

FILE = Path(__file__).resolve().parent / "costs.csv"


@lru_cache
def gflop(model: str, size: tuple[int, int]) -> float:
    """Forward cost of one photo in GFLOP (a multiplication and an addition are two)."""
    with torch.device("meta"):  # shapes alone, no arithmetic
        network = build_model(model).eval()
        photo = torch.empty(1, 3, *size)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(photo)
    return counter.get_total_flops() / 1e9


def milliseconds(segmenter: Segmenter, rounds: int = 15) -> float:
    """Wall time of one photo of 320 x 240, pixels in, probabilities out: the fastest of 15, after one to warm up.

    The fastest, because whatever else runs on the machine can only make it slower.
    """
    photo = np.random.default_rng(0).integers(0, 256, (320, 240, 3), dtype=np.uint8)
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        segmenter.predict(photo)
        times.append(1000 * (time.perf_counter() - start))
    return min(times[1:])


def cost(model: str, size: tuple[int, int]) -> dict:
    """One row of costs.csv."""
    network = build_model(model)
    parameters = sum(value.numel() for value in network.state_dict().values())
    config = ModelConfig(model, ("background", "person"), size, *normalisation(model))
    return {
        "model": model,
        "size": f"{size[0]}x{size[1]}",
        "gflop": round(gflop(model, size), 2),
        "parameters": parameters,
        "mb": round(parameters * 4e-6, 1),
        "ms": round(milliseconds(Segmenter(network, config)), 1),
    }


def read() -> pd.DataFrame:
    """costs.csv, index (model, size), size as "HEIGHTxWIDTH"."""
    return pd.read_csv(FILE).set_index(["model", "size"])


def main(arguments: list[str]) -> None:
    logged = {(run.config["model"], tuple(run.config["size"])) for run in ExperimentLog().runs.values()}
    wanted = sorted(logged | {(config.model, config.size) for config in PLAN.values()})
    table = pd.DataFrame([cost(model, size) for model, size in wanted]).assign(cpu=processor())
    write_text(FILE, table.to_csv(index=False, lineterminator="\n"))
    print(table.to_string(index=False))


if __name__ == "__main__":
    command.run(main)
