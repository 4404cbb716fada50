"""Every exercise of every notebook: stub, solution, wrong answers, difficulty, hint.

The solution comes from the notebook itself. The wrong answers stand in `wrong/<notebook>.py`:

    WRONG = {"dice_score": [("def dice_score(a, b): ...", "part of the message meant for it"), ...]}

Each is what a learner would type instead of the stub.
"""

import runpy
from pathlib import Path

from faceseg_utils.exercises import CHECKS
from tools import workbook
from tools.answers import grade_source, names_before, run_source

WRONG = Path(__file__).parent / "wrong"


def wrong_answers(stem: str) -> dict[str, list[tuple[str, str]]]:
    file = WRONG / f"{stem}.py"
    return runpy.run_path(str(file))["WRONG"] if file.is_file() else {}


def test_solution_passes(exercise):
    assert exercise.solution, (
        f"cell {exercise.cell}: no <details><summary>Solution</summary> with a ```python block below it"
    )
    result = grade_source(exercise, exercise.solution)
    assert result.status == "correct", result.message


def test_stub_reads_as_not_attempted(exercise, capsys):
    namespace = names_before(exercise)
    exec("from faceseg_utils.exercises import check", namespace)
    run_source(exercise.stub, namespace)
    assert capsys.readouterr().out == f"Exercise {exercise.name}: not attempted yet.\n"


def test_wrong_answers_get_the_message_meant_for_them(exercise):
    answers = wrong_answers(exercise.notebook.stem).get(exercise.name, [])
    file = f"wrong/{exercise.notebook.stem}.py"
    assert len(answers) >= 3, f"{file} should have three wrong answers to {exercise.name}"
    assert len({fragment for _, fragment in answers}) >= 3, f"{file}: not three different mistakes"
    for source, fragment in answers:
        result = grade_source(exercise, source)
        assert result.status == "wrong", f"taken for {result.status}:\n{source}"
        assert fragment and fragment in result.message, f"{result.message}\nis not the message for\n{source}"
        assert exercise.solution.strip() not in result.message


def test_difficulty_minutes_and_hint_are_given(exercise):
    assert workbook.DIFFICULTY.search(exercise.before), (
        f'cell {exercise.cell}: the text just above says "Difficulty 2 of 3 · 5 minutes", or the like'
    )
    hint, solution = workbook.HINT.search(exercise.after), workbook.SOLUTION.search(exercise.after)
    assert hint, f"cell {exercise.cell}: no <details><summary>Hint</summary> in the text below"
    assert solution and hint.start() < solution.start(), "the hint comes before the solution"
    assert exercise.after.count("<details>") == exercise.after.count("</details>")


def test_every_notebook_has_an_exercise(path):
    names = [exercise.name for exercise in workbook.exercises(path)]
    assert names and len(set(names)) == len(names)
    unknown = set(wrong_answers(path.stem)) - set(names)
    assert not unknown, f"wrong/{path.stem}.py speaks of {unknown}, which the notebook does not have"


def test_every_check_is_used(path):
    """Checks and exercises have not drifted apart. The same for each notebook, so that none is no test."""
    used = {exercise.name for notebook in workbook.notebooks() for exercise in workbook.exercises(notebook)}
    assert set(CHECKS) <= used, f"no notebook asks for {set(CHECKS) - used}"
