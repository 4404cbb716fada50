"""Which device, which precision, how many helpers for the data: the one place that decides, and says it in words."""

import os
import platform
import sys

import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.state import AcceleratorState, GradientState
from accelerate.utils import DistributedDataParallelKwargs


def has_bf16_units() -> bool:
    """Does this CPU multiply bfloat16 in matrix units (AMX)? Only there is bf16 faster than float32.

    With avx512_bf16 alone it was slower: 162 against 274 GFLOP/s for a 2048 x 2048 product on two such cores.
    """
    probe = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(probe and probe())


def mixed_precision(device: str | None = None, wanted: str = "auto") -> str:
    """What accelerate is asked for: "bf16" where the hardware has it, "fp16" on older GPUs, else "no" (float32).

    `wanted` other than "auto" is taken as it is. Encoders with depthwise convolutions stay in float32 on a CPU, see
    `network.encoders.Float32EncoderUnet`.
    """
    if wanted != "auto":
        return "no" if wanted == "float32" else wanted
    if device != "cpu" and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if has_bf16_units() else "no"


def new_accelerator(device: str | None = None, precision: str = "auto", accumulate: int = 1) -> Accelerator:
    """Device, precision and processes as accelerate sees them; gradients of `accumulate` batches make one step."""
    # Both outlive their run. The first would refuse a run in another precision; the second, if that run was
    # interrupted between two batches of one step, would turn every step of this one into nothing.
    AcceleratorState._reset_state()
    GradientState._reset_state()
    return Accelerator(
        cpu=device == "cpu",
        mixed_precision=mixed_precision(device, precision),
        gradient_accumulation_steps=accumulate,
        dataloader_config=DataLoaderConfiguration(split_batches=True),  # one step of the schedule for all processes
        # The encoders of smp carry layers for classification that a U-Net never calls.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )


def data_workers(device: torch.device, ranks: int = 1) -> int:
    """Processes that prepare photos while the device computes, for each of `ranks` training processes.

    None on a CPU, where they would take the cores that compute, nor where a new process cannot share the decoded
    photos (Windows, macOS).
    """
    if device.type != "cuda" or sys.platform != "linux":
        return 0
    return min(8, max(1, (os.cpu_count() or 1) // ranks - 1))


def device_name(device=None) -> str:
    """The device in words, such as "NVIDIA T4" or "CPU (2 threads, x86_64)"."""
    kind = str(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if kind.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    words = f"CPU ({threads} thread{'s' * (threads != 1)}, {platform.machine()})"
    return words if kind.startswith("cpu") else kind
