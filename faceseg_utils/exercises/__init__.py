"""Checks of the exercises that stand in the notebooks.

In a notebook an exercise is one code cell, tagged `exercise`: a stub whose body is `...`, then the call

    from faceseg_utils.exercises import check

    def dice_score(prediction, truth):
        ...

    check("dice_score", dice_score)

which prints one line and never raises: "not attempted yet", "Correct. ..." or the likely mistake.

A check is a function in the module of its notebook (`data.py`, `network.py`, `training.py`, `log.py`, `errors.py`,
`deployment.py`; a new module in this folder is found without being listed anywhere):

    from faceseg_utils.exercises.framework import Mistake, as_number, exercise, expect

    @exercise("dice_score")
    def check_dice_score(learner):
        same = np.ones((4, 4), dtype=np.uint8)
        score = as_number(learner(same, same))
        if score == 2:
            raise Mistake("The Dice of two equal masks is 2: is the sum in the denominator over both masks?")
        expect(abs(score - 1) < 1e-6, f"The Dice of two equal masks should be 1, yours is {score:.3f}.")
        return "Your Dice is 1 for equal masks."

Ask for the likely mistakes one by one, the most telling first, each with a message that names the mistake and not the
solution; `refuse` compares an answer with those that typical mistakes lead to. Inputs are small, fixed and freshly
made, so that the same answer gets the same line. `tests/notebooks` proves every exercise: the folded solution passes,
the stub reads as not attempted, and the wrong answers in `tests/notebooks/wrong/<notebook>.py` are refused, each with
the message meant for it.
"""

import importlib
import pkgutil

from faceseg_utils.exercises.framework import (
    CHECKS,
    Mistake,
    Result,
    as_array,
    as_number,
    check,
    exercise,
    expect,
    grade,
    refuse,
)

__all__ = ["CHECKS", "Mistake", "Result", "as_array", "as_number", "check", "exercise", "expect", "grade", "refuse"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
