"""The check of the run clinic in notebook 03: one diagnosis and one deciding test per case.

The truth is in experiments/clinic/answers.json, with the evidence that decides each case.
"""

import json

from faceseg_utils.exercises.framework import Mistake, exercise, expect
from faceseg_utils.paths import did_you_mean, experiments_folder
from faceseg_utils.play.clinic import CASES

FAULTS = (
    "rate too high",
    "rate too low",
    "masks of other photos",
    "leak",
    "eval mode forgotten",
    "normalisation forgotten",
    "photo turned without its mask",
    "best of twenty seeds",
    "network too small",  # a decoy: no case has it
    "person and background swapped",  # a decoy
)
TESTS = (
    "try a tenth of the rate",
    "try a hundred times the rate",
    "draw training photos with their masks, before augmentation",
    "draw training photos with their masks, after augmentation",
    "look for photos that are in train and in validation",
    "predict one photo alone and in a batch",
    "print mean and range of the input in training and in validation",
    "train again with other seeds",
    "train a larger network",  # a decoy: it decides none of the cases
    "count the pixels of each class in the masks",  # a decoy
)


def answers() -> dict[str, dict]:
    """The truth: for each case its fault, the deciding test, the evidence, and the faults with curves alike."""
    return json.loads((experiments_folder() / "clinic" / "answers.json").read_text(encoding="utf-8"))["cases"]


@exercise("clinic")
def check_clinic(learner):
    expect(isinstance(learner, dict), 'Your answer should be a dictionary: {"case-a": (a fault, a test), ...}.')
    truth, solved = answers(), 0
    for case, said in learner.items():
        expect(case in CASES, f"No case is called {case!r}.{did_you_mean(case, CASES)}")
        if said is ... or said is None:
            continue
        expect(isinstance(said, tuple) and len(said) == 2, f"{case}: a fault and a test are asked for, as a pair.")
        if ... in said:
            continue
        for name, value, known in (("fault", said[0], FAULTS), ("test", said[1], TESTS)):
            expect(value in known, f"{case}: {value!r} is no {name} of the list.{did_you_mean(value, known)}")
        _judge(case, *said, truth[case])
        solved += 1
    return f"{solved} of {len(CASES)} cases solved."


def _judge(case: str, fault: str, test: str, true: dict) -> None:
    """Raises `Mistake` for a diagnosis or a test that is not `true["fault"]`, `true["test"]`."""
    if fault in true["alike"]:
        raise Mistake(
            f"{case}: the curves alone do not decide between '{fault}' and '{true['fault']}': which test would? "
            f"And what else did the run keep? {true['evidence']}"
        )
    expect(fault == true["fault"], f"{case}: {true['evidence']} Would '{fault}' do that?")
    expect(
        test == true["test"],
        f"{case}: the fault is right, but '{test}' would come out the same with and without it. Which test would not?",
    )
