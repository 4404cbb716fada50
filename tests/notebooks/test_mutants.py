"""Mutants of right answers: which are made, which count, which are refused; and those of the notebooks, every N-th."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch

from faceseg_utils.exercises import expect, framework
from tools import mutants, workbook
from tools.mutate import mutants as mutants_of
from tools.replay import outcome, plain, recorded, same, varied

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="mutants play in forked processes")


@needs_fork
def test_checks_refuse_mistakes(path):
    """A fixed part of all mutants: `python -m tools.mutants NAME` plays every one."""
    command = [sys.executable, "-m", "tools.mutants", path.stem, "--every", "7"]
    done = subprocess.run(command, cwd=workbook.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# --- What is made -----------------------------------------------------------------------------------------------------

MEAN = """def mean_above(scores, least):
    kept = scores[scores >= least]
    total = 0
    for score in kept:
        total += score
    return total / len(kept)
"""


def test_every_kind_of_mistake_is_made_once():
    made = mutants_of(MEAN)
    changes = {f"{each.kind}: {each.change}" for each in made}
    for wanted in [
        "comparison: kept = scores[scores >= least] -> kept = scores[scores > least]",
        "order of lines: order: total = 0 | kept = scores[scores >= least]",
        "off by one: total = 0 -> total = 1",
        "operator: total += score -> total -= score",
        "operator: total += score -> total = score",
        "loop without its last: for score in kept: -> for score in list(kept)[:-1]:",
        "order of operands: return total / len(kept) -> return len(kept) / total",
        "line dropped: total = 0 -> ",
    ]:
        assert wanted in changes, "\n".join(sorted(changes))
    assert {"order of lines", "input spoiled, scores", "works for what it saw first"} <= {each.kind for each in made}
    assert len({each.source for each in made}) == len({each.change for each in made}) == len(made)
    for each in made:
        compile(each.source, "mutant", "exec")


def test_axes_are_changed():
    changes = [each.change for each in mutants_of("def f(x):\n    return x.sum(axis=0) + x.mean((1, 2))")]
    for part in ("sum(axis=1)", "x.sum() +", "mean()", "mean((2, 2))"):
        assert any(part in change.split(" -> ")[1] for change in changes), changes


# --- What counts ------------------------------------------------------------------------------------------------------


@pytest.fixture
def made_up(tmp_path, monkeypatch):
    """`made_up(solution, check)`: an exercise with this solution and this check, in a notebook of its own."""
    monkeypatch.setattr(framework, "CHECKS", {})

    def make(solution, check_answer, answer="answer"):
        framework.CHECKS["made_up"] = check_answer
        cells = [
            nbformat.v4.new_code_cell(
                "import numpy as np\nimport torch\nfrom torch import nn\nfrom pathlib import Path"
            ),
            nbformat.v4.new_code_cell(f'check("made_up", {answer})', metadata={"tags": ["exercise"]}),
            nbformat.v4.new_markdown_cell(
                f"<details><summary>Solution</summary>\n\n```python\n{solution}\n```\n</details>"
            ),
        ]
        file = tmp_path / "90_made_up.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=cells), file)
        return workbook.exercise_at(file, 1)

    return make


SHARE = "def answer(mask):\n    return (mask > 0).mean()"


def strict(learner):
    for mask in (np.array([[0, 1], [2, 3]]), np.eye(3), np.zeros((2, 5))):
        expect(np.isclose(learner(mask.copy()), (mask > 0).mean()), "The share is another.")


def lenient(learner):
    expect(0 <= learner(np.array([[0, 1], [2, 3]])) <= 1, "A share is between 0 and 1.")


@needs_fork
def test_a_strict_check_refuses_all_and_a_lenient_one_is_found_out(made_up, monkeypatch, tmp_path):
    exercise = made_up(SHARE, strict)
    found = mutants.try_all(exercise)
    counts = mutants.counted(found)
    assert counts["change"] == counts["refused"] > 5 and mutants.survivors(exercise, found) == []

    exercise = made_up(SHARE, lenient)
    left = mutants.survivors(exercise, mutants.try_all(exercise))
    assert "...return (mask > 0).mean() -> ...return (mask >= 0).mean()".replace("...", "") in {m.change for m in left}
    assert not any("spoiled" in mutant.kind for mutant in left), "the framework looks after that"

    monkeypatch.setattr(mutants, "WRONG", tmp_path)
    known = {"made_up": {mutant.change: "made up" for mutant in left}}
    (tmp_path / "90_made_up.py").write_text(f"SURVIVORS = {known!r}")
    assert mutants.survivors(exercise, mutants.try_all(exercise)) == []


@needs_fork
def test_the_command_passes_only_when_survivors_are_known_and_current(made_up, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(mutants, "WRONG", tmp_path)
    exercise = made_up(SHARE, strict)
    assert mutants.report(exercise.notebook) and "no survivors" in capsys.readouterr().out
    (tmp_path / "90_made_up.py").write_text("SURVIVORS = {'made_up': {'a -> b': 'old'}}")
    assert not mutants.report(exercise.notebook)
    assert "survives no longer, take it out of SURVIVORS: a -> b" in capsys.readouterr().out
    assert mutants.report(exercise.notebook, every=2), "a part says nothing about the others"
    made_up(SHARE, lenient)
    assert not mutants.report(exercise.notebook)
    assert "made_up: comparison: return (mask > 0).mean() -> return (mask >= 0).mean()" in capsys.readouterr().out


@needs_fork
def test_mutants_that_change_nothing_are_set_aside(made_up):
    def check_distance(learner):
        for a, b in ((1, 5), (7, 2)):
            expect(learner(a, b) == abs(a - b), "no")

    solution = "def answer(a, b):\n    low = min(a, b)\n    high = max(a, b)\n    return high - low"
    found = mutants.try_all(made_up(solution, check_distance))
    assert {"order of lines", "arguments swapped"} <= {each.mutant.kind for each in found if not each.changes}
    assert all(each.refused for each in found if each.changes)


@needs_fork
def test_a_mutant_that_hangs_or_dies_is_stopped(made_up, monkeypatch):
    monkeypatch.setattr(mutants, "LIMIT", 2)
    solution = "def answer(n):\n    count = 0\n    while n > 0:\n        n -= 1\n        count += 1\n    return count"
    exercise = made_up(solution, lambda learner: [expect(learner(n) == n, "no") for n in (0, 1, 4)])
    hangs = [each for each in mutants.try_all(exercise) if each.message == "hangs"]
    assert hangs and all(each.refused and each.changes for each in hangs)

    stage = mutants.Stage(exercise)
    dying = mutants.Mutant("made up", "", "def answer(n):\n    import os\n    os._exit(1)")
    assert stage.play_apart(dying).message == "dies"
    stage.close()


def test_a_solution_that_does_not_pass_is_said(made_up, capsys):
    exercise = made_up("def answer(mask):\n    return mask.mean()", strict)
    assert not mutants.report(exercise.notebook)
    assert "made_up: the folded solution does not pass: Not yet. The share is another." in capsys.readouterr().out


@needs_fork
def test_inputs_of_our_own_and_none(made_up, monkeypatch, tmp_path):
    """The check tries 3 only, and so do variations of it."""
    monkeypatch.setattr(mutants, "WRONG", tmp_path)
    exercise = made_up("def answer(n):\n    return n // 2", lambda learner: expect(int(learner(3)) == 1, "no"))

    def float_division_counts():
        return next(
            each.changes for each in mutants.try_all(exercise) if each.mutant.change.endswith("-> return n // 3")
        )

    assert not float_division_counts()
    file = tmp_path / "90_made_up.py"
    file.write_text("INPUTS = {'made_up': lambda random: (int(random.integers(0, 99)),)}")
    assert float_division_counts()
    file.write_text("INPUTS = {'made_up': None}")
    assert not float_division_counts()


# --- Recording and playing again --------------------------------------------------------------------------------------

BLOCK = """class answer(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.conv = nn.Conv2d(i, o, 3, padding=1)

    def forward(self, x):
        return self.after(self.conv(x))

    def after(self, x):
        return x.relu()
"""


def check_block(learner):
    block = learner(4, 6)
    expect(block(torch.ones(2, 4, 8, 12)).shape == (2, 6, 8, 12), "another shape")


def test_classes_are_recorded_instance_by_instance(made_up):
    stage = mutants.Stage(made_up(BLOCK, check_block))
    (making, forward), _ = stage.inputs[0]
    assert (making.name, making.args) == ("", (4, 6)) and forward.name == "forward", "`after` is no call of the check"
    assert len(stage.inputs) > 20, "variations of sizes, channels alike everywhere"
    shapes = {tuple(episode[1].args[0].shape) for episode, _ in stage.inputs}
    assert len(shapes) > 5 and all(episode[0].args[0] == episode[1].args[0].shape[1] for episode, _ in stage.inputs)
    assert any(episode[1].args[0].shape[0] != 2 for episode, _ in stage.inputs), "other batches"


def test_files_of_a_check_are_still_there_when_played_again(made_up):
    def check_length(learner):
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "a.txt").write_text("abc")
            expect(learner(Path(folder) / "a.txt") == 3, "no")

    stage = mutants.Stage(made_up("def answer(file):\n    return len(Path(file).read_text())", check_length))
    (_, result), *_ = stage.inputs
    assert result[0][0] == 3
    stage.close()
    assert not Path(stage.kept).exists()


def test_a_value_is_compared_itself(made_up):
    stage = mutants.Stage(made_up("answer = 3 * 4", lambda value: expect(value == 12, "no")))
    played = {each.change: stage.play(each) for each in mutants_of("answer = 3 * 4")}
    assert played["answer = 3 * 4 -> answer = 3 / 4"].changes and played["answer = 3 * 4 -> answer = 3 / 4"].refused


def test_variations_keep_lists_of_one_length_together():
    episodes = []
    function = recorded(lambda names, scores: len(names), episodes)
    function(["a", "b", "c"], ["A", "B", "C"])
    random = np.random.default_rng(0)
    for _ in range(20):
        (call,) = varied(episodes, random)
        assert [name.upper() for name in call.args[0]] == call.args[1]


def test_what_counts_as_the_same():
    for a, b in ((1, 1.0), (np.ones(2, bool), np.ones(2)), ([1, [2.0]], [1, [2.0 + 1e-12]]), (np.nan, np.nan)):
        assert same(a, b)
    for a, b in ((1, 2), (np.ones(2), np.ones((2, 1))), ([1], [1, 1]), ("a", "b"), (None, 0), (1, "raised ValueError")):
        assert not same(a, b)


def test_everything_that_a_check_may_pass_can_be_compared():
    layer = torch.nn.Linear(2, 1)
    before = plain([layer, torch.nn.Linear, len, {"b": torch.ones(2), "a": None}, pd.DataFrame({"x": [1.5]})])
    assert before[1:3] == ["Linear", "len"] and same(before[3], [["a", None], ["b", np.ones(2)]])
    layer(torch.ones(2)).sum().backward()
    assert not same(plain(layer), before[0]), "gradients are seen"


def test_a_change_of_the_input_is_a_change():
    episodes = []
    recorded(lambda x: 1, episodes)(np.ones(3))

    def spoils(x):
        x[0] = 5
        return 1

    assert not same(outcome(spoils, episodes[0]), outcome(lambda x: 1, episodes[0]))
    assert episodes[0][0].args[0].tolist() == [1, 1, 1], "played on copies"
