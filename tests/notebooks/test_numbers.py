"""A number in the text is one that a cell of the same section printed: change the output, and this turns red.

Checked are decimals, percentages, numbers with a thousands comma and the two of "22 of 49", and in a paragraph that
begins "**What we found" all numbers; each as the text rounds it. A section goes from one heading of level 2 to the
next. Free are guesses (sentences that end in a question mark, questions to recall), what the section's code sets,
such as a threshold, and what is no prose: code, links, statements of exercises, what is folded.
"""

import copy
import re

import nbformat
import pytest

from tools import workbook

NOT_PROSE = re.compile(
    r"```.*?```|<details>.*?</details>|`[^`]*`|\]\([^)]*\)|<[^>]*>|^#[^\n]*|^\d+\. [^\n]*\?$|(?:arXiv|doi) \S+"
    r"|\b(?:[Ss]ection|[Nn]otebook|[Ee]xercise)s? \d+(?:(?:,| and| to) \d+)*",
    re.DOTALL | re.MULTILINE,
)
QUESTION = re.compile(r"(?:(?<=[.?!:;]\s)|(?<=\*\*)|(?m:^))(?:(?![.?!:;]\s)[^\n])*?\?")
NUMBER = re.compile(r"(?<![\w.,])(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.\d+|\d+)(?: ?%)?(?!\w|[.,]\d)")
COUNTS = re.compile(r"(?<![\w.,])(\d+) of (\d+)(?![\w.,]\d)")
FINDING = re.compile(r"^\*\*What we found.*$", re.MULTILINE)


def claims(prose: str) -> list[str]:
    """The numbers in a text that have to be in the outputs, as they stand there."""
    prose = QUESTION.sub("", NOT_PROSE.sub(" ", prose))
    found = [number for number in NUMBER.findall(prose) if re.search(r"[.,%]", number)]
    found += [number for pair in COUNTS.findall(prose) for number in pair]
    found += [number for finding in FINDING.findall(prose) for number in NUMBER.findall(finding)]
    return list(dict.fromkeys(found))


def value(number: str) -> tuple[float, float]:
    """A number as it is written, and half a unit of its last place; 61 % is 0.61."""
    digits, scale = number.rstrip("% ").replace(",", ""), 0.01 if "%" in number else 1
    return float(digits) * scale, 0.5000001 * 10 ** -len(digits.partition(".")[2]) * scale


def kind_shown(output) -> str:
    """Under which key an output has what a reader sees."""
    return next((kind for kind in ("text/html", "text/markdown", "text/plain") if kind in output.get("data", {})), "")


def text_shown(output) -> str:
    text = output.data[kind_shown(output)] if kind_shown(output) else output.get("text", "")
    return re.sub(r"<style.*?</style>|<[^>]*>", " ", text, flags=re.DOTALL)


def sections(notebook) -> dict[str, dict[str, str]]:
    """{heading: {"text": ..., "code": ..., "output": ...}}; "" is what stands above the first heading."""
    found, heading = {}, ""

    def add(kind, text):
        found.setdefault(heading, dict.fromkeys(("text", "code", "output"), ""))[kind] += text + "\n"

    for cell in notebook.cells:
        if cell.cell_type == "code":
            add("code", cell.source)
            add("output", "\n".join(map(text_shown, cell.outputs)))
        elif cell.cell_type == "markdown" and not workbook.DIFFICULTY.search(cell.source):
            fenced = False
            for line in cell.source.splitlines():
                fenced ^= line.startswith("```")
                if line.startswith("## ") and not fenced:
                    heading = line.removeprefix("## ").strip()
                add("text", line)
    return found


def is_backed(claim: str, section: dict[str, str]) -> bool:
    """Has an output of the section this number, rounded as in the text, or its code the very same one?"""
    wanted, half = value(claim)
    printed, written = (
        [value(number)[0] for number in NUMBER.findall(re.sub(r"(?<=\d)_(?=\d)", "", section[kind]))]
        for kind in ("output", "code")
    )
    return wanted in written or any(abs(wanted - number) <= half for number in printed)


def unbacked(notebook) -> dict[str, list[str]]:
    """The claims of each section that nothing in it has."""
    found = {heading: [claim for claim in claims(section["text"]) if not is_backed(claim, section)]
             for heading, section in sections(notebook).items()}  # fmt: skip
    return {heading: wrong for heading, wrong in found.items() if wrong}


def test_numbers_in_the_text_are_printed_in_their_section(path):
    assert unbacked(nbformat.read(path, as_version=4)) == {}, "print them in this section, or take them out of the text"


def test_one_changed_digit_of_an_output_is_noticed():
    """In the real notebooks, wherever a claim rests on a single number of one output."""
    noticed = 0
    for path in workbook.notebooks():
        notebook = nbformat.read(path, as_version=4)
        for heading, section in sections(notebook).items():
            for claim in claims(section["text"]):
                if changed := with_another_digit(notebook, claim, section):
                    assert claim in unbacked(changed).get(heading, []), f"{path.stem}, {heading}: {claim}"
                    noticed += 1
    assert noticed


def with_another_digit(notebook, claim: str, section: dict[str, str]):
    """A copy in which the one number that backs `claim` has another last digit; None where there is not one such."""
    wanted, half = value(claim)
    backing = [n for n in NUMBER.findall(section["output"]) if abs(value(n)[0] - wanted) <= half]
    if len(backing) != 1 or is_backed(claim, section | {"output": ""}):
        return None
    number = re.compile(rf"(?<![\w.,]){re.escape(backing[0])}(?!\w|[.,]\d)")
    places = [(i, k) for i, cell in enumerate(notebook.cells) for k, output in enumerate(cell.get("outputs", []))
              if number.search(text_shown(output)) and text_shown(output) in section["output"]]  # fmt: skip
    digits = claim.rstrip("% ")
    if len(places) != 1 or not backing[0].startswith(digits):
        return None
    changed = copy.deepcopy(notebook)
    output = changed.cells[places[0][0]].outputs[places[0][1]]
    other = digits[:-1] + str((int(digits[-1]) + 1) % 10) + backing[0][len(digits) :]
    where, key = (output.data, kind_shown(output)) if kind_shown(output) else (output, "text")
    where[key] = number.sub(other, where[key])
    return changed


def made_up(*cells):
    """A notebook of texts, and of (source, printed) for code."""
    new = nbformat.v4
    made = [new.new_markdown_cell(cell) if isinstance(cell, str) else
            new.new_code_cell(cell[0], outputs=[new.new_output("stream", text=cell[1])]) for cell in cells]  # fmt: skip
    return new.new_notebook(cells=made)


@pytest.mark.parametrize(
    "text",
    ["Dice is 0.984.", "So .984 it is", "That is 98 % of them", "1,341 photos", "It fell in 22 of 49 epochs",
     "**What we found.** After 7 steps."],
)  # fmt: skip
def test_a_number_has_to_be_printed_in_its_own_section(text):
    printed = ("print(score)", "Dice 0.98372, 1341 photos, 22 of 49 epochs, 7 steps")
    assert unbacked(made_up("## 1. A", text, printed)) == {}
    assert unbacked(made_up("## 1. A", text, "## 2. B", printed)).keys() == {"1. A"}
    assert unbacked(made_up("## 1. A", text, ("x", "Dice 0.9732, 1342, 23 of 48, 8"))).keys() == {"1. A"}


def test_a_heading_in_the_middle_of_a_cell_begins_a_section():
    notebook = made_up("## 1. A\n\nAbout 0.25.\n\n```sh\n## no heading\n```\n\n## 2. B\n\nAbout 0.75.", ("x", "0.75"))
    assert unbacked(notebook) == {"1. A": ["0.25"]}


@pytest.mark.parametrize(
    "text",
    ["**Will it be 0.5 or 0.75?**", "Bet: above 0.95?", "1. With 0.3 it fails. Why?", "`0.123` and [it](a.b/0.1)",
     "Smith, arXiv 1803.09820", "the limit of 0.125", "**What we found** in section 11 and notebook 04.", "64 x 64",
     "<details>0.77</details>", "### Exercise 1\n\nDifficulty 2 of 3 · 8 minutes\n\nThe rate falls to 0.3."],
)  # fmt: skip
def test_what_is_free(text):
    assert unbacked(made_up("## 1. A", text, ("limit = 0.125", ""))) == {}


def test_a_claim_after_a_question_is_one():
    assert unbacked(made_up("## 1. A", "How much? It is 0.4. And 0.3?")) == {"1. A": ["0.4"]}
