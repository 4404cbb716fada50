"""Do the checks catch mistakes? `python -m tools.mutants 01` plays mutants of every folded solution against its check.

A mutant (`tools.mutate`) counts if it changes a result on any valid input: on what the check itself passes to the
solution, or on variations of it (other sizes, other values), or on the inputs that `INPUTS` in
tests/notebooks/wrong/NOTEBOOK.py makes for this exercise:

    INPUTS = {"conv_output_size": lambda random: (int(random.integers(5, 99)), 3, 1, 1)}   # arguments of one call

(for a pair of functions a list of such tuples, one for each; None: no variations). The others are set aside. Every
mutant plays in a process of its own with a time limit. Survivors that may survive stand with their reasons in
`SURVIVORS` of the same file, {exercise: {change: reason}}; an entry that is no longer needed is named.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import runpy
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from faceseg_utils.exercises import grade
from tools import answers, workbook
from tools.mutate import Mutant, helpers, mutants
from tools.replay import Call, Episode, finite, outcome, plain, recorded, same, varied

WRONG = workbook.ROOT / "tests" / "notebooks" / "wrong"
GOAL = 0.95
TRIES = 40  # variations of the inputs
LIMIT = 20.0  # seconds for one mutant, beside ten times what the solution takes


class Found(NamedTuple):
    """What became of one mutant."""

    mutant: Mutant
    changes: bool  # some result
    refused: bool  # by the check
    message: str


# --- One exercise -----------------------------------------------------------------------------------------------------


class Stage:
    """An exercise with its solution, ready to try mutants: inputs with the results that are right on them."""

    def __init__(self, exercise: workbook.Exercise, inputs: Callable | None | bool = True):
        self.exercise, self.names = exercise, answers.names_before(exercise)
        self.value = None  # an answer that is no function: there is nothing to call
        self.kept = tempfile.mkdtemp(prefix="mutants-")
        episodes: list[Episode] = []
        with _files_stay(self.kept):  # inputs that are files have to be there when they are played again
            start = time.perf_counter()
            result = grade(exercise.name, recorded(self.answer(exercise.solution), episodes))
            self.seconds = time.perf_counter() - start
        if result.status != "correct":
            raise ValueError(f"{exercise.name}: the folded solution does not pass: {result.message}")
        solution = self.answer(exercise.solution)
        if not episodes:
            self.value, self.inputs = plain(solution), []
            return
        self.inputs = [(episode, outcome(solution, episode)) for episode in episodes]
        if inputs is not None:
            self.inputs += self._valid(solution, episodes, inputs)

    def answer(self, source: str) -> Any:
        """The answer that `source` defines."""
        namespace = self.names | helpers()
        answers.run_source(source, namespace)
        return eval(self.exercise.answer, namespace)

    def _valid(self, solution, episodes: list[Episode], make) -> Iterator[tuple[Episode, list]]:
        """Variations on which the solution gives finite numbers, without an error or a warning."""
        rng = np.random.default_rng(0)
        for _ in range(TRIES):
            if callable(make):
                made = make(rng)
                made = made if isinstance(made, list) else [made]
                each = [[Call(part, "", args, {})] for part, args in enumerate(made)]
            else:
                each = [varied(episodes, rng)]
            for episode in each:
                with warnings.catch_warnings():
                    warnings.simplefilter("error", RuntimeWarning)
                    result = outcome(solution, episode)
                if finite(result):
                    yield episode, result

    def play(self, mutant: Mutant) -> Found:
        """Try one mutant here, in this process."""
        try:
            result = grade(self.exercise.name, self.answer(mutant.source))
            refused, message = result.status != "correct", result.message
        except Exception as error:  # the cell itself fails: no check is reached
            return Found(mutant, True, True, f"{type(error).__name__}: {error}")
        answer = self.answer(mutant.source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            changes = any(not same(outcome(answer, episode), right) for episode, right in self.inputs)
        if self.value is not None:
            changes = not same(plain(answer), self.value)
        return Found(mutant, changes, refused, message)

    def play_apart(self, mutant: Mutant) -> Found:
        """Try one mutant in a process of its own; one that hangs or dies is not accepted by any check."""
        here, there = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("fork")
        process = context.Process(target=self._report, args=(mutant, there))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a fork beside threads: there is one that works
            process.start()
        there.close()
        try:
            if here.poll(LIMIT + 10 * self.seconds):
                return here.recv()
            return Found(mutant, True, True, "hangs")
        except EOFError:
            return Found(mutant, True, True, "dies")
        finally:
            process.kill()
            process.join()
            here.close()

    def _report(self, mutant: Mutant, pipe) -> None:
        nowhere = open(os.devnull, "w", encoding="utf-8")  # closed with its process
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            pipe.send(self.play(mutant))

    def close(self) -> None:
        shutil.rmtree(self.kept, ignore_errors=True)


@contextlib.contextmanager
def _files_stay(folder: str):
    """Temporary folders of a check are made inside `folder` and not removed."""

    class Stays(contextlib.nullcontext):
        def __init__(self, *_, **__):
            super().__init__(tempfile.mkdtemp(dir=folder))

    usual, tempfile.TemporaryDirectory = tempfile.TemporaryDirectory, Stays
    try:
        yield
    finally:
        tempfile.TemporaryDirectory = usual


def try_all(exercise: workbook.Exercise, every: int = 1) -> list[Found]:
    """All mutants of an exercise's solution, or each `every`-th."""
    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
    stage = Stage(exercise, _listed(exercise, "INPUTS").get(exercise.name, True))
    try:
        return [stage.play_apart(mutant) for mutant in mutants(exercise.solution)[::every]]
    finally:
        stage.close()


def _listed(exercise: workbook.Exercise, name: str) -> dict:
    file = WRONG / f"{exercise.notebook.stem}.py"
    return runpy.run_path(str(file)).get(name, {}) if file.is_file() else {}


def survivors(exercise: workbook.Exercise, found: list[Found]) -> list[Mutant]:
    """Mutants that change a result, are accepted, and are not known with a reason."""
    known = _listed(exercise, "SURVIVORS").get(exercise.name, {})
    return [each.mutant for each in found if each.changes and not each.refused and each.mutant.change not in known]


# --- The command ------------------------------------------------------------------------------------------------------

COLUMNS = ("mutants", "change", "refused", "share", "same", "same, refused")


def report(path: Path, every: int = 1, verbose: bool = False) -> bool:
    """Print the table of one notebook and what survives. Is it well: enough refused, the others known with reasons?"""
    print(f"\n{path.stem:24}" + "".join(f"{name:>{len(name) + 3}}" for name in COLUMNS))
    total, lines, well = Counter(), [], True
    for exercise in workbook.exercises(path):
        try:
            found = try_all(exercise, every)
        except ValueError as error:  # its solution does not pass
            well = False
            lines.append(f"  {error}")
            continue
        row = counted(found)
        total.update(row)
        _print_row(exercise.name, row)
        known = _listed(exercise, "SURVIVORS").get(exercise.name, {})
        for mutant in survivors(exercise, found):
            well = False
            lines.append(f"  {exercise.name}: {mutant.kind}: {mutant.change}")
        accepted = {each.mutant.change for each in found if each.changes and not each.refused}
        for change, reason in known.items():
            if change in accepted:
                lines.append(f"  {exercise.name}: known, {reason}: {change}")
            elif every == 1:
                well = False
                lines.append(f"  {exercise.name}: survives no longer, take it out of SURVIVORS: {change}")
        if verbose:
            for mutant, changes, refused, message in found:
                result = f"{'changes' if changes else 'same'}, {'refused' if refused else 'accepted'}"
                print(f"    {result:20}{mutant.kind}: {mutant.change}\n{'':24}{message}")
    _print_row("all", total)
    print("survivors:" if lines else "no survivors", *lines, sep="\n")
    return well and total["refused"] >= GOAL * total["change"]


def counted(found: list[Found]) -> dict[str, int]:
    """How many mutants, how many change a result, how many of these are refused; of the others, how many are, too."""
    real, alike = ([each for each in found if each.changes == changes] for changes in (True, False))
    return {"mutants": len(found), "change": len(real), "refused": sum(each.refused for each in real),
            "same": len(alike), "same, refused": sum(each.refused for each in alike)}  # fmt: skip


def _print_row(name: str, row: Mapping[str, int]) -> None:
    share = f"{row['refused'] / row['change']:.0%}" if row["change"] else "-"
    cells = {column: share if column == "share" else row[column] for column in COLUMNS}
    print(f"{name:24}" + "".join(f"{cell:>{len(column) + 3}}" for column, cell in cells.items()), flush=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description="Play mutants against the checks.")
    parser.add_argument("notebook", nargs="*", help="names or parts of names, e.g. 01; all if none is given")
    parser.add_argument("--every", type=int, default=1, help="try each N-th mutant only")
    parser.add_argument("--verbose", action="store_true", help="print each mutant and what the check said")
    options = parser.parse_args(arguments)
    paths = [p for p in workbook.notebooks() if not options.notebook or any(n in p.stem for n in options.notebook)]
    if not paths or not hasattr(os, "fork"):
        print("no such notebook" if hasattr(os, "fork") else "needs fork: Linux, macOS or WSL", file=sys.stderr)
        return 1
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # torch forbids a fork once it has used a GPU
    return int(not all([report(path, options.every, options.verbose) for path in paths]))


if __name__ == "__main__":
    sys.exit(main())
