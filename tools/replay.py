"""Record what a check passes to an answer, vary it, play it again, and compare what comes out.

An answer is a function, a class, or a tuple of them. `Episode`s are calls that belong together.
"""

from __future__ import annotations

import copy
import functools
import math
import random
from typing import Any, NamedTuple

import numpy as np
import torch


class Call(NamedTuple):
    """One call of a learner's function, or of a method (`name`) of an instance of a learner's class."""

    part: int  # which of the functions or classes of the answer
    name: str  # empty: the function itself, or the making of the instance
    args: tuple
    kwargs: dict


Episode = list[Call]  # calls that belong together: one of a function; an instance with all calls of its methods


# --- Recording what the check passes to the solution ---------------------------------------------------------------


def parts(answer: Any) -> list:
    return list(answer) if isinstance(answer, tuple) else [answer]


def recorded(answer: Any, episodes: list[Episode]) -> Any:
    """The same answer; every call of its functions, and of the methods of its classes, is added to `episodes`."""
    watched = [_watched(part, number, episodes) for number, part in enumerate(parts(answer))]
    return tuple(watched) if isinstance(answer, tuple) else watched[0]


def _watched(part: Any, number: int, episodes: list[Episode]) -> Any:
    if isinstance(part, type):
        instances: dict[int, Episode] = {}
        inside = [0]  # calls from inside another method are no calls of the check
        for name, method in list(vars(part).items()):
            if callable(method) and not isinstance(method, type):
                setattr(part, name, _watched_method(method, name, number, instances, inside, episodes))
        return part
    if not callable(part):
        return part

    @functools.wraps(part)
    def function(*args, **kwargs):
        episodes.append([Call(number, "", *_copied((args, kwargs)))])
        return part(*args, **kwargs)

    return function


def _watched_method(method, name, number, instances, inside, episodes):
    @functools.wraps(method)
    def watched(self, *args, **kwargs):
        if not inside[0]:
            if name == "__init__":
                episodes.append(instances.setdefault(id(self), []))
            if id(self) in instances:
                call = "" if name == "__init__" else name
                instances[id(self)].append(Call(number, call, *_copied((args, kwargs))))
        inside[0] += 1
        try:
            return method(self, *args, **kwargs)
        finally:
            inside[0] -= 1

    return watched


def _copied(values):
    try:
        return copy.deepcopy(values)
    except Exception:  # a tensor inside a graph, an open file
        return values


# --- Playing calls again, and comparing what came out -----------------------------------------------------------------


def outcome(answer: Any, episode: Episode) -> list:
    """Results of an episode, each with its arguments as they are afterwards: plain values that `same` compares."""
    functions, instance, results = parts(answer), None, []
    for part, name, args, kwargs in episode:
        args, kwargs = _copied((args, kwargs))
        for seed in (random.seed, np.random.seed, torch.manual_seed):
            seed(0)
        try:
            value = (getattr(instance, name) if name else functions[part])(*args, **kwargs)
        except Exception as error:
            results.append(f"raised {type(error).__name__}")
            break
        if isinstance(functions[part], type) and not name:
            instance = value
        results.append([plain(value), plain(args), plain(kwargs)])
    return results


def plain(value: Any, depth: int = 0) -> Any:
    """`value` as nested lists of arrays, numbers and text."""
    if depth > 6 or isinstance(value, type):
        return getattr(value, "__name__", type(value).__name__)
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().double().numpy().copy() if value.dtype != torch.bool else value.numpy().copy()
    if isinstance(value, (np.ndarray, np.generic)):
        return np.array(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(each, depth + 1) for each in value]
    if isinstance(value, dict):
        return [[str(key), plain(value[key], depth + 1)] for key in sorted(value, key=str)]
    if isinstance(value, torch.nn.Module):
        gradients = [parameter.grad for parameter in value.parameters()]
        return [plain(value.state_dict(), depth + 1), plain(gradients, depth + 1), value.training]
    if hasattr(value, "state_dict"):
        return plain(value.state_dict(), depth + 1)
    if hasattr(value, "to_numpy"):  # pandas
        return [plain(value.to_numpy(), depth + 1), [str(label) for label in value.index]]
    return getattr(value, "__name__", type(value).__name__)


def same(a: Any, b: Any) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    number = (bool, int, float, np.ndarray)
    if isinstance(a, number) and isinstance(b, number):
        a, b = np.asarray(a), np.asarray(b)
        if a.shape != b.shape:
            return False
        if a.dtype.kind in "biufc" and b.dtype.kind in "biufc":
            return bool(np.allclose(a, b, rtol=1e-6, atol=1e-9, equal_nan=True))
        return a.dtype.kind == b.dtype.kind and bool(np.all(a == b))
    return type(a) is type(b) and a == b


def finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(finite, value))
    if isinstance(value, np.ndarray):
        return value.dtype.kind not in "fc" or bool(np.isfinite(value).all())
    return not (isinstance(value, float) and not math.isfinite(value)) and not str(value).startswith("raised ")


# --- Variations of the inputs -----------------------------------------------------------------------------------------


def varied(episodes: list[Episode], rng: np.random.Generator) -> Episode:
    """An episode like one of `episodes`: arrays of other sizes, each size changed alike everywhere, with values drawn
    from those that were there; where there are no arrays, arguments of other calls."""
    episode = episodes[rng.integers(len(episodes))]
    sizes: dict[int, int] = {}
    _collect_sizes([list(call.args) for call in episode], sizes, rng)
    order: dict[tuple, np.ndarray] = {}
    if sizes:
        return [call._replace(args=tuple(_resized(arg, sizes, order, rng) for arg in call.args)) for call in episode]
    fresh = []
    for call in episode:
        alike = [other.args for one in episodes for other in one if other[:2] == call[:2]]
        alike = [args for args in alike if len(args) == len(call.args)]
        args = tuple(_like([args[i] for args in alike], rng) for i in range(len(call.args)))
        fresh.append(call._replace(args=_copied(args)))
    return fresh


def _like(values: list, rng: np.random.Generator) -> Any:
    """One of `values`, or a whole number between them."""
    if all(type(value) is int for value in values) and rng.random() < 0.3:
        return int(rng.integers(min(values), max(values) + 1))
    return values[rng.integers(len(values))]


def _collect_sizes(value: Any, sizes: dict[int, int], rng: np.random.Generator, depth: int = 0) -> None:
    if isinstance(value, (np.ndarray, torch.Tensor)):
        found = value.shape
    elif isinstance(value, (list, tuple)):
        for each in value:
            _collect_sizes(each, sizes, rng, depth + 1)
        found = (len(value),) if depth > 1 and isinstance(value, list) else ()
    else:
        return
    for size in found:
        if size and size not in sizes:
            others = [size] * 2 + [size + 1, max(1, size - 1), size + 2, 2 * size]
            sizes[size] = int(others[rng.integers(len(others))])


def _resized(value: Any, sizes: dict, order: dict, rng: np.random.Generator) -> Any:
    if isinstance(value, (np.ndarray, torch.Tensor)) and value.shape and 0 not in value.shape:
        shape = [sizes.get(size, size) for size in value.shape]
        if len(shape) == 3 and value.shape[-1] == 3:  # red, green, blue
            shape[-1] = 3
        flat = value.reshape(-1)
        return flat[rng.integers(len(flat), size=int(np.prod(shape)))].reshape(tuple(shape))
    if isinstance(value, list) and value:
        length = sizes.get(len(value), len(value))
        if (len(value), length) not in order:  # lists of one length belong together
            order[len(value), length] = rng.integers(len(value), size=length)
        return [_copied(value[i]) for i in order[len(value), length]]
    if type(value) is int:
        return sizes.get(value, value)
    return _copied(value)
