"""The framework of the exercises: stubs are recognised, mistakes named, nothing raises."""

import copy
import linecache
import textwrap
import warnings

import numpy as np
import pytest
import torch

from faceseg_utils.exercises import (
    CHECKS,
    Mistake,
    Result,
    as_array,
    as_number,
    check,
    exercise,
    expect,
    framework,
    grade,
    refuse,
)


@pytest.fixture(autouse=True)
def example(monkeypatch):
    """One registered exercise, gone again after the test."""
    monkeypatch.setattr(framework, "CHECKS", {})

    @exercise("dice_score")
    def check_dice_score(learner):
        one = np.ones((4, 4), dtype=np.uint8)
        score = as_number(learner(one, one))
        if score == 2:
            raise Mistake("The Dice of two equal masks is 2: does the denominator add both areas?")
        expect(abs(score - 1) < 1e-6, f"The Dice of two equal masks should be 1, yours is {score:.3f}.")
        half = np.array([1, 0]).repeat(2)
        expect(learner(half, 1 - half) == 0, "Masks that share nothing should have Dice 0.")
        return "1 for equal masks, 0 for masks that share nothing."

    @exercise("value")
    def check_value(answer):
        expect(answer == {"rows": 3}, "Count the rows again.")

    @exercise("block")
    def check_block(learner):
        expect(as_array(learner()(torch.ones(1, 2))).shape == (1, 2), "The shape should stay.")


def learner(source: str, name: str = "answer"):
    """What a cell with this source defines, its source on record as IPython does it."""
    source = textwrap.dedent(source)
    file = f"<cell {hash(source)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    namespace = {"np": np, "torch": torch, "__name__": "__main__"}
    exec(compile(source, file, "exec"), namespace)
    return namespace[name]


STUBS = {
    "dots": "def answer(a, b):\n    ...",
    "docstring": "def answer(a, b):\n    '''Dice of two masks.'''\n    ...",
    "docstring alone": "def answer(a, b):\n    '''Dice of two masks.'''",
    "pass": "def answer(a, b):\n    pass",
    "hole in the middle": "def answer(a, b):\n    total = ...\n    return 2 * (a & b).sum() / total",
    "return dots": "def answer(a, b):\n    return ...",
    "lambda": "answer = lambda a, b: ...",
}


@pytest.mark.parametrize("source", STUBS.values(), ids=STUBS)
def test_stub_is_not_attempted(source, capsys):
    assert grade("dice_score", learner(source)).status == "not attempted"
    assert check("dice_score", learner(source)) is None
    assert capsys.readouterr().out == "Exercise dice_score: not attempted yet.\n"


@pytest.mark.parametrize("answer", [..., {"rows": ...}, (3, ...), {"rows": [1, (2, ...)]}])
def test_value_with_dots_is_not_attempted(answer):
    assert grade("value", answer).status == "not attempted"


@pytest.mark.parametrize("body", [
    "...",
    "def __init__(self):\n        self.conv = ...\n    def forward(self, x):\n        return x",
    "def __init__(self):\n        super().__init__()\n    def forward(self, x):\n        ...",
])
def test_class_with_dots_is_not_attempted(body):
    assert grade("block", learner(f"class answer(torch.nn.Module):\n    {body}")).status == "not attempted"


def test_instance_of_a_learners_class_with_dots_is_not_attempted():
    source = "class Net:\n    def __call__(self, x):\n        ...\nanswer = Net()"
    assert grade("block", learner(source)).status == "not attempted"


def test_right_answers():
    right = learner("def answer(a, b):\n    return 2 * (a & b).sum() / (a.sum() + b.sum())")
    result = grade("dice_score", right)
    assert result.status == "correct"
    assert result.message == "Correct. 1 for equal masks, 0 for masks that share nothing."
    assert grade("value", {"rows": 3}).message == "Correct."
    same = learner("class answer:\n    def __call__(self, x):\n        return x")
    assert grade("block", same).status == "correct"


def test_dots_inside_an_index_are_no_stub():
    right = learner("""
        def answer(a, b):
            return 2 * (a[..., :] & b[...]).sum() / (a.sum() + b.sum())
        """)
    assert grade("dice_score", right).status == "correct"


@pytest.mark.parametrize("source, message", [
    ("def answer(a, b):\n    return 2 * (a & b).sum() / a.size * 1.0 + 1 - 2 + 1", None),
    ("def answer(a, b):\n    return 2", "is 2: does the denominator"),
    ("def answer(a, b):\n    return 0.5", "yours is 0.500"),
    ("def answer(a, b):\n    return 1", "share nothing"),
    ("def answer(a, b):\n    x = 1", "gave None: is there a `return`?"),
    ("def answer(a, b):\n    return a", "one number, but gave an array of shape (4, 4)"),
    ("def answer(a, b):\n    return 'one'", "should give numbers, but gave a str"),
    ("def answer(a, b):\n    return [[1], [1, 2]]", "should give numbers, but gave a list"),
    ("def answer(a):\n    return 1", "could not be checked: TypeError"),
    ("def answer(a, b):\n    c = a @ b\n    return c[99]", "IndexError: index 99 is out of bounds"),
    ("def answer(a, b):\n    c = a @ b\n    return c[99]", "(line 3: `return c[99]`)"),
])
def test_wrong_answers_are_told_the_mistake(source, message):
    result = grade("dice_score", learner(source))
    assert result.status == "wrong" and result.message.startswith("Not yet. ")
    assert "\n" not in result.message and (message is None or message in result.message)


@pytest.mark.parametrize("action", ["error", "always"])
def test_a_warning_of_the_learners_code_is_no_error_and_no_second_line(action, capfd):
    noisy = learner("def answer(a, b):\n    np.array([]).mean()\n    return 2 * (a & b).sum() / (a.sum() + b.sum())")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter(action)
        assert grade("dice_score", noisy).status == "correct"
    assert not seen and not capfd.readouterr().err


def test_error_inside_a_learners_module_names_its_line():
    source = """
        class answer(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = torch.nn.Linear(3, 2)
            def forward(self, x):
                return self.conv(x)
        """
    message = grade("block", learner(source)).message
    assert "RuntimeError: " in message and "mat1 and mat2" in message and "`return self.conv(x)`" in message


def test_an_answer_without_source_is_checked():
    namespace = {}
    exec("def answer(a, b):\n    return 2", namespace)
    assert grade("dice_score", namespace["answer"]).status == "wrong"
    assert grade("dice_score", max).status == "wrong"
    assert grade("dice_score", None).status == "wrong"


@pytest.mark.parametrize("given", [np.array([0.5, np.nan]), torch.tensor([0.5, np.nan]), [1, 2], np.array(["a", "b"])])
def test_who_changes_the_input_is_told(given):
    function = learner("def answer(a, b=None):\n    a[0] = a[1]\n    return 1")
    untouched = learner("def answer(a, b=None):\n    return 1")

    @exercise("by_place")
    def check_by_place(answer):
        answer(copy.deepcopy(given))

    @exercise("pair")
    def check_pair(answer):
        first, second = answer
        first(copy.deepcopy(given))
        second(a=copy.deepcopy(given))

    message = "Not yet. Your code changes its input in place: whoever calls it still needs that. Work on a copy."
    assert grade("by_place", untouched).status == grade("pair", (untouched, untouched)).status == "correct"
    assert grade("pair", (untouched, function)) == grade("by_place", function) == Result("wrong", message)


def test_right_and_wrong_look_different(capsys):
    check("value", {"rows": 3})
    check("value", {"rows": 4})
    right, wrong = capsys.readouterr().out.splitlines()
    assert right.startswith(framework.MARKS["correct"] + "Exercise value: Correct.")
    assert wrong.startswith(framework.MARKS["wrong"] + "Exercise value: Not yet.")


def test_unknown_name(capsys):
    with pytest.raises(ValueError, match="no exercise is called 'dice_scor'. Did you mean 'dice_score'"):
        grade("dice_scor", ...)
    check("dice_scor", ...)
    assert "Did you mean 'dice_score'?" in capsys.readouterr().out


def test_every_check_is_named_after_its_exercise():
    assert CHECKS and all(function.__name__ == f"check_{name}" for name, function in CHECKS.items())


def test_refuse_names_the_mistake_that_gives_this_answer():
    wrong = {"twice too large": 2.0, "a list": np.ones(3), "right by chance": 1.0}
    refuse(1.0, wrong, right=1.0)
    refuse(3.0, wrong, right=1.0)
    with pytest.raises(Mistake, match="twice too large"):
        refuse(2.0 + 1e-9, wrong, right=1.0)
    with pytest.raises(Mistake, match="a list"):
        refuse(np.ones(3), wrong, right=np.zeros(3))


def test_two_modules_cannot_share_a_name():
    def other(learner):
        pass

    other.__module__ = "elsewhere"
    with pytest.raises(ValueError, match="take another name"):
        exercise("value")(other)


def test_numbers_and_arrays_of_all_sorts():
    assert as_number(torch.tensor([0.5], requires_grad=True)) == 0.5
    assert as_number(np.float32(0.5)) == as_number(np.array([[0.5]])) == as_number(0.5)
    assert as_array(torch.ones(2, 3).bool()).shape == (2, 3)
