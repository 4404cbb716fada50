"""A diagram of a U-Net drawn from the live model: nothing in it is typed in, so it cannot disagree with the code.

`trace` runs the model once and writes down every block that ran, its shape, and which blocks it read; `unet_diagram`
draws that.
"""

import math
from functools import partial
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Rectangle
from torch import nn

DASHED = {"color": "C3", "linestyle": (0, (4, 2))}  # a skip connection


class Block(NamedTuple):
    """A part of the model that ran: its name and the shape of its output, (channels, height, width)."""

    name: str
    shape: tuple[int, int, int]


class Trace(NamedTuple):
    """One forward pass. `blocks` in the order in which they ran (0 is the input); `edges` (a, b): b read a directly."""

    blocks: tuple[Block, ...]
    edges: tuple[tuple[int, int], ...]

    @property
    def skips(self) -> tuple[tuple[int, int], ...]:
        """The edges that pass over at least one block."""
        return tuple((a, b) for a, b in self.edges if b - a > 1)


def trace(model: nn.Module, input_shape: tuple[int, int, int] = (3, 160, 128)) -> Trace:
    """Run `model` once on noise of `input_shape` (channels, height, width) and record what ran.

    A forward hook on every block cuts the computation there: the block's output goes on as a fresh tensor. So the
    gradient of a block's output with respect to those tensors is non-zero for exactly the blocks that it read, even
    outside any module, and zero for a skip that is passed but not used. The model runs in eval mode and is left as it
    was. Raises ValueError for a model without parts that can be hooked.
    """
    noise = torch.Generator().manual_seed(0)
    device = next(model.parameters()).device
    x = torch.randn(1, *input_shape, generator=noise).to(device).requires_grad_()
    blocks, edges, sources = [Block("input", tuple(input_shape))], [], [x]

    def record(name: str, output: torch.Tensor, candidates: dict[int, torch.Tensor]) -> torch.Tensor:
        weights = torch.randn(output.shape, generator=noise).to(output)
        tensors = list(candidates.values())
        gradients = torch.autograd.grad(output, tensors, weights, retain_graph=True, materialize_grads=True)
        edges.extend((source, len(blocks)) for source, grad in zip(candidates, gradients, strict=True) if grad.any())
        blocks.append(Block(name, tuple(output.shape[1:])))
        sources.append(output.detach().requires_grad_())
        return sources[-1].clone()  # not the leaf itself: the next layer may work in place

    def after(name: str, module, inputs, output):
        if isinstance(output, torch.Tensor):
            return record(name, output, dict(enumerate(sources)))
        fresh, inside = [], []  # an encoder: a list of features, each made from the one before
        for feature in output:
            if tuple(feature.shape[1:]) != tuple(input_shape) and feature.numel():  # not the photo, nor a placeholder
                candidates = {len(blocks) - 1: inside[-1]} if inside else dict(enumerate(sources))
                inside.append(feature)
                feature = record(f"{name} {len(inside)}", feature, candidates)
            fresh.append(feature)
        return type(output)(fresh)

    handles = [module.register_forward_hook(partial(after, name)) for name, module in _parts(model)]
    if not handles:
        raise ValueError(f"{type(model).__name__} has no parts to draw: expected an encoder and a decoder, or blocks")
    was_training = model.training
    try:
        with torch.enable_grad():
            model.eval()(x)
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return Trace(tuple(blocks), tuple(edges))


def _parts(model: nn.Module):
    """(name, module) of what becomes a box: the model's children; lists of blocks and a decoder are opened up."""
    for name, child in model.named_children():
        if isinstance(child, nn.ModuleList) or name == "decoder":
            yield from ((f"{name}.{inner}", part) for inner, part in _parts(child))
        elif not isinstance(child, nn.Identity):
            yield name, child


def unet_diagram(model: nn.Module, input_shape: tuple[int, int, int] = (3, 160, 128)) -> Figure:
    """Draw `model` as it runs on `input_shape` (channels, height, width): one box per block, one arrow per tensor.

    Columns are the order of execution, rows the resolution; each box shows its channels, its label the block's name in
    the model and height x width. Dashed arrows are skip connections: data that passes over at least one block.
    """
    ran = trace(model, input_shape)
    last = len(ran.blocks) - 1
    rows = [round(math.log2(input_shape[1] / block.shape[1])) for block in ran.blocks]
    deepest = rows.index(max(rows))
    figure, axis = plt.subplots(figsize=(8.0, 1.2 + 0.82 * (max(rows) + 1)))
    axis.axis("off")

    halves, small = [], 8 if last < 12 else 7
    for i, (block, row) in enumerate(zip(ran.blocks, rows, strict=True)):
        channels, height, width = block.shape
        half = 0.13 + 0.026 * math.log2(channels)
        tall = 0.17 + 0.05 * (max(rows) - row)
        colour = "0.45" if i == 0 else "C2" if i == last else "C0" if i <= deepest else "C1"
        axis.add_patch(Rectangle((i - half, -row - tall), 2 * half, 2 * tall, color=colour, lw=0, gid=f"block {i}"))
        ink = "black" if colour == "C1" else "white"
        axis.text(i, -row, str(channels), ha="center", va="center", color=ink, weight="bold", size=9)
        # The label stands where no arrow passes: above on the top row, else below, turned away from the inside.
        outer = (i + half, "right") if i <= deepest else (i - half, "left")
        x, align = (i, "center") if row in (0, max(rows)) else outer
        y, up = (-row + tall + 0.05, "bottom") if row == 0 else (-row - tall - 0.05, "top")
        name = block.name.removeprefix("decoder.").replace("segmentation_", "").replace("encoder ", "enc ")
        axis.text(x, y, f"{name}\n{height}×{width}", ha=align, va=up, size=small, linespacing=1.1)
        halves.append(half)

    for a, b in ran.edges:
        skip = (a, b) in ran.skips
        style = DASHED | {"lw": 1.6, "zorder": 0.5} if skip else {"color": "0.35", "lw": 1.3, "zorder": 1}
        axis.add_patch(FancyArrowPatch(
            (a + halves[a], -rows[a]), (b - halves[b], -rows[b]), arrowstyle="-|>", mutation_scale=9, **style,
            shrinkA=1, shrinkB=1, connectionstyle="arc3,rad=-0.2" if skip and rows[a] != rows[b] else "arc3",
            gid=f"{'skip' if skip else 'path'} {a} {b}",
        ))  # fmt: skip

    skips = Line2D([], [], **DASHED, label=f"skip connection ({len(ran.skips)})")
    axis.legend(handles=[Line2D([], [], color="0.35", label="path"), skips], loc="lower right", fontsize=9)
    axis.set(xlim=(-0.5, last + 0.5), ylim=(-max(rows) - 0.65, 1.1))
    axis.set_title(f"{type(model).__name__}: channels in the boxes, height × width beside them", size=10)
    return figure


def describe(ran: Trace) -> str:
    """The diagram in one sentence, for those who cannot see it."""
    steps = ", ".join(f"{b.name} {b.shape[0]} x {b.shape[1]} x {b.shape[2]}" for b in ran.blocks)
    skips = "; ".join(f"{ran.blocks[a].name} to {ran.blocks[b].name}" for a, b in ran.skips) or "none"
    return f"Blocks in order of execution with channels x height x width: {steps}. Skip connections: {skips}."
