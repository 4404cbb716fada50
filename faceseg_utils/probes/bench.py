"""How fast are a training step and one photo? As ratios of one run, in which both sides take turns.

Without `torch.compile`, which did not pay: on two cores with bf16 units resnet34 went from 9.4 to 8.6 photos/s.
"""

import itertools
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from faceseg_utils import training, transforms
from faceseg_utils.config import TrainConfig
from faceseg_utils.data import catalog
from faceseg_utils.data.cache import free_memory
from faceseg_utils.data.images import read_image
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.deploy.onnx import export_onnx, new_session
from faceseg_utils.engine.device import device_name, mixed_precision, new_accelerator
from faceseg_utils.engine.loader import cuts, datasets, new_loader
from faceseg_utils.losses import LOSSES


def bench(name: str = "resnet34", size: tuple[int, int] = (320, 320), batch: int = 8, rounds: int = 5) -> dict:
    """Measure and print: training, then one photo from file to mask. Returns the ratios and the seconds behind them.

    `size` is (height, width). Raises ValueError for numbers that cannot be or do not fit into memory.
    """
    dataset = catalog.default_dataset()
    config = TrainConfig(model=name, pretrained=False, dataset=dataset, size=size, batch_size=batch)
    photos = datasets(config)[0]
    free = torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else free_memory()
    if not 0 < rounds <= 1000:
        raise ValueError(f"rounds={rounds}: from 1 to 1000")
    if batch > len(photos):
        raise ValueError(f"batch={batch}: '{dataset}' has only {len(photos)} photos to train on")
    if batch * size[0] * size[1] * 1000 > free:  # training takes more than 1000 bytes per pixel
        raise ValueError(f"batch={batch}, size={tuple(size)}: too much for the {free / 1e9:.0f} GB of free memory")
    print(f"{name}, {size[0]} x {size[1]}, batch {batch}, {device_name()}, precision {mixed_precision()}")
    return {"training": bench_training(config, photos, rounds), "photo": bench_photo(config, photos, rounds)}


def take_turns(steps: dict, rounds: int) -> dict[str, list[float]]:
    """Seconds that each step took in each round, after one round that warms up."""
    seconds = {name: [] for name in steps}
    for name in [*steps] * (rounds + 1):
        started = time.perf_counter()
        steps[name]()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds[name].append(time.perf_counter() - started)
    return {name: times[1:] for name, times in seconds.items()}


def training_flops(network: torch.nn.Module, x: torch.Tensor) -> int:
    """FLOPs of one step on x [B, 3, H, W]: forward once, backward twice as much.

    Only the forward pass is counted: torch takes the backward pass of a depthwise convolution for that of a full one.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(x)
    return 3 * counter.get_total_flops()


def bench_training(config: TrainConfig, photos: PortraitDataset, rounds: int) -> dict:
    """A step as `train` takes it, photos from the loader included, against the loop of smp's examples."""
    accelerator, loss, size = new_accelerator(), LOSSES[config.loss], config.batch_size
    network = training.new_segmenter(config, photos.classes).network.train().to(memory_format=torch.channels_last)
    optimizer, schedule = training.build_optimizer(config, network, rounds + 2)
    model, optimizer, schedule = accelerator.prepare(network, optimizer, schedule)
    plain = training.new_segmenter(config, photos.classes).network.train().to(accelerator.device)
    adam = torch.optim.Adam(plain.parameters(), lr=config.learning_rate)
    # Whole batches. One more than are used, since the loader reads ahead and would have nothing to do at the last.
    photos = photos.subset(range(min(len(photos) // size, 2 * rounds + 4) * size))
    list(photos)  # decoded and kept, as from the second epoch on
    epochs = (new_loader(photos, cuts(len(photos), config, n), accelerator.device) for n in itertools.count())
    batches, waits = itertools.chain.from_iterable(epochs), []

    def next_batch():
        started = time.perf_counter()
        batch = next(batches)
        waits.append(time.perf_counter() - started)
        return batch

    def ours():
        batch = next_batch()
        with accelerator.accumulate(model):
            training.train_step(model, batch, loss, optimizer, accelerator, config.clip)
            schedule.step()

    def examples():  # float32, NCHW
        batch = next_batch()
        adam.zero_grad()
        loss(plain(batch.x), batch.y).mean().backward()
        adam.step()

    flops = training_flops(plain, next_batch().x)
    seconds = {**take_turns({"ours": ours, "plain": examples}, rounds), "waiting": waits[3:]}
    step, plain_step, waiting = map(statistics.median, seconds.values())
    a = torch.randn(2048, 2048, device=accelerator.device)
    peak = 2 * 2048**3 / min(take_turns({"product": lambda: a @ a}, 5)["product"])  # FLOP per second
    share = flops / (step - waiting) / peak
    speed = f"{size / step:.1f} photos/s"
    print(f"training   {plain_step / step:5.2f} times as fast as the plain loop of smp's examples ({speed})")
    print(f"           {waiting / step:5.1%} of a step is spent waiting for photos of {config.dataset}")
    print(f"           {share:5.1%} of the FLOP/s of a float32 matrix product ({peak / 1e9:.0f} GFLOP/s)")
    return {"ratio": plain_step / step, "data_share": waiting / step, "peak_share": share, "seconds": seconds}


def bench_photo(config: TrainConfig, photos: PortraitDataset, rounds: int) -> dict:
    """One photo, from its file to its mask, on the CPU: torch against ONNX Runtime."""
    segmenter = training.new_segmenter(config, photos.classes)
    letterbox, path = transforms.letterbox(config.size), photos.items[0].image
    with tempfile.TemporaryDirectory() as folder:
        try:
            export_onnx(segmenter, Path(folder) / "model.onnx")
        except RuntimeError as error:
            print(f"one photo  not compared ({error})")
            return {}
        session = new_session(Path(folder) / "model.onnx")

    def by_onnx():
        photo = read_image(path)
        boxed = letterbox(image=photo)["image"].transpose(2, 0, 1)[None].astype(np.float32)
        answer = torch.from_numpy(session.run(None, {"photo": boxed})[0])
        return segmenter.unpad(answer, photo.shape[:2])[0, 0].numpy() > 0.5     # [H, W]

    seconds = take_turns({"torch": lambda: segmenter.classify(read_image(path)), "onnx": by_onnx}, rounds)
    in_torch, in_onnx = map(statistics.median, seconds.values())
    speed = f"{in_onnx * 1000:.0f} ms from file to mask, on the CPU"
    print(f"one photo  {in_torch / in_onnx:5.2f} times as fast in ONNX Runtime as in torch ({speed})")
    return {"ratio": in_torch / in_onnx, "seconds": seconds}
