"""How fast is a training step? Ratios from one run, never times by themselves: machines and neighbours differ.

Our step (precision and memory layout chosen for the device) against the plain loop of smp's examples (float32, NCHW):
same model, same batch, taking turns, so that both meet the same neighbours on the machine.

`torch.compile` has no option here, because it did not pay on CPUs: on two cores with bf16 units a compiled resnet34
went from 9.4 to 8.6 images a second, lite0 from 8.1 to 8.2, after a minute of compiling; on a core without them
(float32, 128 x 96) lite0 gained 2 %, after more than two minutes.
"""

import contextlib
import statistics
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from faceseg_utils import catalog, dice
from faceseg_utils.batches import Batches, datasets, new_loader
from faceseg_utils.config import TrainConfig
from faceseg_utils.device import device_name, mixed_precision
from faceseg_utils.model import build_model
from faceseg_utils.training import photo_losses

PRECISION = {"bf16": torch.bfloat16, "fp16": torch.float16}


def _synchronised(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _plain_step(name: str, device: str):
    """The loop of smp's examples: float32, NCHW."""
    network = build_model(name).to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)

    def step(x, y):
        optimizer.zero_grad()
        dice.cross_entropy(network(x), y).backward()
        optimizer.step()

    return step


def _our_step(name: str, device: str):
    """The step of `training.train`: channels last, and the precision that `mixed_precision` chooses."""
    network = build_model(name).to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    dtype = PRECISION.get(mixed_precision(device))

    def step(x, y):
        autocast = torch.autocast(device, dtype) if dtype else contextlib.nullcontext()
        with autocast:
            logits = network(x.to(memory_format=torch.channels_last))
        optimizer.zero_grad()
        photo_losses("bce", logits, y).mean().backward()
        optimizer.step()

    return step


def _matmul_peak(device: str, dtype: torch.dtype, side: int = 2048) -> float:
    """FLOP a second of a square matrix product, the best of five."""
    a = torch.randn(side, side, device=device).to(dtype)
    a @ a
    times = []
    for _ in range(5):
        started = _synchronised(device)
        a @ a
        times.append(_synchronised(device) - started)
    return 2 * side**3 / min(times)


def _waiting_seconds(name: str, size: tuple[int, int], batch: int, device: str, step, rounds: int = 5) -> float:
    """Seconds that a step waits for its photos: the loader of `train` over the default dataset, while `step` learns.

    The median over `rounds` batches, photos decoded before, as they are from the second epoch on.
    """
    dataset = catalog.default_dataset()
    view = catalog.find(dataset)[0].default_view
    config = TrainConfig(model=name, dataset=dataset, view=view, size=size, batch_size=batch)
    photos, _, _ = datasets(config)
    photos = photos.subset(range(min(len(photos), rounds * batch)))
    for i in range(len(photos)):
        photos.read(i)
    loader = new_loader(photos, Batches(len(photos), config), torch.device(device))
    waits, asked = [], time.perf_counter()
    for x, y, _ in loader:
        waits.append(time.perf_counter() - asked)
        step(x, y)
        asked = _synchronised(device)
    return statistics.median(waits)


def bench(name: str = "resnet34", size: tuple[int, int] = (320, 320), batch: int = 8, rounds: int = 5) -> dict:
    """Measure and print. Returns the numbers: photos a second of both loops, their ratio, shares of peak and of data.

    `name` is a model of `build_model`; `size` (height, width) in pixels; `rounds` steps of each loop, in turns.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x = torch.randn(batch, 3, *size, device=device)
    y = torch.randint(0, 2, (batch, *size), device=device)
    steps = {"plain": _plain_step(name, device), "ours": _our_step(name, device)}
    with FlopCounterMode(display=False) as counter:
        steps["plain"](x, y)  # the first call also warms up
    steps["ours"](x, y)
    seconds = {"plain": [], "ours": []}
    for _ in range(rounds):
        for which, step in steps.items():
            started = _synchronised(device)
            step(x, y)
            seconds[which].append(_synchronised(device) - started)
    plain, ours = (statistics.median(seconds[which]) for which in ("plain", "ours"))
    data = _waiting_seconds(name, size, batch, device, steps["ours"], rounds)
    peaks = {str(d).removeprefix("torch."): _matmul_peak(device, d) for d in (torch.float32, torch.bfloat16)}
    achieved = counter.get_total_flops() / ours
    result = {
        "plain_images_per_second": batch / plain,
        "ours_images_per_second": batch / ours,
        "ratio": plain / ours,
        "ratio_with_data": (plain + data) / (ours + data),
        "data_share": data / (ours + data),
        "achieved_gflops": achieved / 1e9,
        **{f"{dtype}_peak_gflops": peak / 1e9 for dtype, peak in peaks.items()},
        **{f"share_of_{dtype}_peak": achieved / peak for dtype, peak in peaks.items()},
    }
    print(f"{name}, {size[0]} x {size[1]}, batch {batch}, {device_name()}, precision {mixed_precision(device)}")
    print(f"plain loop (float32, NCHW)   {result['plain_images_per_second']:7.1f} images/s")
    print(f"our step                     {result['ours_images_per_second']:7.1f} images/s")
    with_data = f"(with the data pipeline {result['ratio_with_data']:.2f})"
    print(f"ratio                        {result['ratio']:7.2f}   {with_data}")
    photos = f"(photos of {catalog.default_dataset()})"
    print(f"waiting for data             {result['data_share']:7.1%} of a step   {photos}")
    for dtype, peak in peaks.items():
        matrix = f"({peak / 1e9:.0f} GFLOP/s for a matrix product)"
        print(f"share of the {dtype:8s} peak   {achieved / peak:7.1%}   {matrix}")
    return result
