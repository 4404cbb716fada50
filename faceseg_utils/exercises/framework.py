"""How an exercise is registered, recognised as a stub, checked and reported.

The checks themselves live beside this file, one module for each notebook; see the package docstring.
"""

import ast
import functools
import inspect
import linecache
import textwrap
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from faceseg_utils.paths import did_you_mean

CHECKS: dict[str, Callable[[Any], str | None]] = {}


class Mistake(Exception):
    """Raised by a check: the learner's answer is wrong, and the message says what the likely mistake is."""


@dataclass(frozen=True)
class Result:
    """What a check found. `message` is the line shown to the learner, without the exercise's name."""

    status: Literal["not attempted", "correct", "wrong"]
    message: str


def exercise(name: str) -> Callable:
    """Register the decorated function as the check of the exercise `name`.

    The function gets the learner's answer (a function, a class or a value). It raises `Mistake` for a wrong
    answer; for a right one it may return a sentence that is shown after "Correct.". Raises ValueError when two modules
    register the same name.
    """

    def register(check_answer: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
        known = CHECKS.get(name)
        if known is not None and known.__module__ != check_answer.__module__:
            raise ValueError(f"exercise {name!r} is in {known.__module__} already: take another name")
        CHECKS[name] = check_answer
        return check_answer

    return register


def grade(name: str, answer: Any) -> Result:
    """Check `answer` and return a `Result`. An exception in the learner's code is a wrong answer, not a crash.

    Raises ValueError, with the nearest name, when there is no such exercise.
    """
    if name not in CHECKS:
        known = did_you_mean(name, CHECKS) or f" There are {', '.join(sorted(CHECKS)) or 'none'}."
        raise ValueError(f"no exercise is called '{name}'.{known}")
    if is_stub(answer):
        return Result("not attempted", "not attempted yet.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's about 0 / 0, say: the one line of the check is what counts
            praise = CHECKS[name](_careful(answer))
    except Mistake as mistake:
        return Result("wrong", f"Not yet. {mistake}")
    except Exception as error:
        return Result("wrong", f"Not yet. {_explain(error, answer)}")
    return Result("correct", f"Correct. {praise}" if praise else "Correct.")


MARKS = {"correct": "\033[32m\u2713\033[0m ", "wrong": "\033[31m\u2717\033[0m "}  # a green tick, a red cross


def check(name: str, answer: Any) -> None:
    """Print one line about the learner's `answer`. Never raises, so that Run All reaches the end."""
    try:
        result = grade(name, answer)
        mark, message = MARKS.get(result.status, ""), result.message
    except ValueError as error:
        mark, message = "", str(error)
    print(f"{mark}Exercise {name}: {message}")


def _careful(answer: Any) -> Any:
    """The same answer; its functions raise `Mistake` when they change an array, tensor or list that they are given."""
    if isinstance(answer, tuple):
        return tuple(map(_careful, answer))
    if not inspect.isfunction(answer):
        return answer

    @functools.wraps(answer)
    def careful(*arguments, **named):
        given = [x for x in (*arguments, *named.values()) if isinstance(x, (np.ndarray, list)) or hasattr(x, "detach")]
        before = [x.detach().clone() if hasattr(x, "detach") else x.copy() for x in given]
        result = answer(*arguments, **named)
        same = [_unchanged(x, old) for x, old in zip(given, before)]
        expect(all(same), "Your code changes its input in place: whoever calls it still needs that. Work on a copy.")
        return result

    return careful


def _unchanged(given: Any, before: Any) -> bool:
    if isinstance(given, list):
        return len(given) == len(before) and all(a is b for a, b in zip(given, before))
    given = given.detach() if hasattr(given, "detach") else given
    both_nan = (given != given) & (before != before)
    return given.shape == before.shape and bool(((given == before) | both_nan).all())


# --- Helpers for checks ---------------------------------------------------------------------------------


def expect(condition: Any, hint: str) -> None:
    """Raise `Mistake(hint)` unless `condition` holds."""
    if not condition:
        raise Mistake(hint)


def refuse(answer: Any, wrong: dict[str, Any], right: Any) -> None:
    """Raise the `Mistake` whose wrong answer this is; a wrong answer that equals the right one says nothing.

    `wrong` has the message of each mistake and the number or array that it leads to.
    """
    for message, value in wrong.items():
        if _alike(answer, value) and not _alike(value, right):
            raise Mistake(message)


def _alike(a: Any, b: Any) -> bool:
    return np.shape(a) == np.shape(b) and np.allclose(a, b, equal_nan=True)


def as_number(value: Any, what: str = "your function") -> float:
    """The one number in `value` (Python number, or array or tensor with one element) as a float.

    Raises Mistake when `value` is None, has several elements, or is not a number.
    """
    array = as_array(value, what)
    expect(array.size == 1, f"{what} should give one number, but gave an array of shape {array.shape}.")
    return float(array.reshape(()))


def as_array(value: Any, what: str = "your function") -> np.ndarray:
    """`value` (array, tensor, list, number) as a numeric or boolean array.

    Raises Mistake when `value` is None or holds something other than numbers.
    """
    expect(value is not None, f"{what} gave None: is there a `return`?")
    if hasattr(value, "detach"):  # a torch tensor, on any device, with or without gradient
        value = value.detach().cpu().float().numpy()
    try:
        array = np.asarray(value)
    except Exception:  # a ragged list, for instance
        array = np.asarray(None)
    expect(array.dtype.kind in "biufc", f"{what} should give numbers, but gave a {type(value).__name__}.")
    return array


# --- Recognising a stub ---------------------------------------------------------------------------------


def is_stub(answer: Any) -> bool:
    """Does `answer` still hold a `...` that the learner is to replace?

    Looks at values (also inside lists and tuples; in a dictionary of parts, one that is filled in is an attempt) and at
    the source of functions and classes. There any `...` counts, except inside an index such as `x[..., 0]`, and so does
    an empty body (`pass`).
    """
    if answer is ...:
        return True
    if isinstance(answer, dict):
        return all(is_stub(value) for value in answer.values())
    if isinstance(answer, (list, tuple)):
        return any(is_stub(value) for value in answer)
    functions = _functions(answer)
    return any(map(_has_hole, functions)) or (inspect.isclass(answer) and not functions)


def _functions(answer: Any) -> list[Callable]:
    """The learner's functions behind `answer`: itself, the methods of a class, or of an instance's class."""
    if inspect.isfunction(answer):
        return [inspect.unwrap(answer)]
    kind = answer if inspect.isclass(answer) else type(answer)
    if kind is type(answer) and kind.__module__ != "__main__":  # an array, say: not the learner's own class
        return []
    members = (getattr(member, "__func__", member) for member in vars(kind).values())
    return [member for member in members if inspect.isfunction(member)]


def _has_hole(function: Callable) -> bool:
    # Methods are looked at one by one: `inspect.getsource` of a class fails in notebooks before Python 3.13.
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):  # no source: let the check decide
        return False
    definition = tree.body[0]
    if isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef)):
        is_docstring = [isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
                        and isinstance(node.value.value, str) for node in definition.body]
        if all(text or isinstance(node, ast.Pass) for text, node in zip(is_docstring, definition.body)):
            return True
    inside_index = {id(node) for index in ast.walk(tree) if isinstance(index, ast.Subscript)
                    for node in ast.walk(index.slice)}
    return any(isinstance(node, ast.Constant) and node.value is ... and id(node) not in inside_index
               for node in ast.walk(tree))


# --- Explaining an exception ----------------------------------------------------------------------------


def _explain(error: Exception, answer: Any) -> str:
    """One sentence about an exception: what it is, and on which line of the learner's code it was raised."""
    text = " ".join(str(error).split())
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    files = {function.__code__.co_filename for function in _functions(answer)}
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
    if not frames:
        return f"Your answer could not be checked: {what}"
    line = linecache.getline(frames[-1].filename, frames[-1].lineno).strip()
    return f"Your code stopped with {what} (line {frames[-1].lineno}: `{line}`)"
