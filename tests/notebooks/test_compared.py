"""nbval compares more than half of what a notebook prints, and a fault planted in notebook 03 turns it red."""

import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest

from tools import compared, run_notebooks, task, workbook

new = nbformat.v4


def test_more_than_half_of_what_is_printed_is_compared(path):
    count, shown = compared.count(nbformat.read(path, as_version=4))
    print(f"{path.stem}: {count} of {shown} code cells that print text or tables are compared")
    assert count > shown / 2, f"python -m tools.compared {path.stem}"


# --- The job turns red ------------------------------------------------------------------------------------------------


@pytest.fixture
def excerpts(tmp_path):
    """Notebook 03 up to its first compared cell with a number: as it is, with an exception, with another digit."""
    (path,) = workbook.NOTEBOOKS.glob("03_*.ipynb")
    last = next(i for i, cell in enumerate(nbformat.read(path, as_version=4).cells)
                if compared.is_tagged(cell) and not compared.is_tagged(cell, "setup") and with_another_digit(cell)
                )  # fmt: skip
    places = []
    for name in ("sound", "exception", "digit"):
        notebook = nbformat.read(path, as_version=4)
        notebook.cells = notebook.cells[: last + 1]
        if name == "exception":
            notebook.cells[last].source += "\n1 / 0"
        elif name == "digit":
            assert with_another_digit(notebook.cells[last])
        places.append(tmp_path / f"{name}.ipynb")
        nbformat.write(notebook, places[-1])
    return places, len(compared.code_cells(notebook)) - 1


def with_another_digit(cell) -> bool:
    """Change the first digit of what a cell prints. Is there one?"""
    for output in cell.outputs:
        texts = output.data if "data" in output else output
        for kind in {"text", "text/plain", "text/html", "text/markdown"} & set(texts):
            changed = re.sub(r"\d", lambda digit: str((int(digit[0]) + 1) % 10), texts[kind], count=1)
            if changed != texts[kind]:
                texts[kind] = changed
                return True
    return False


def command_of_ci(monkeypatch, notebooks) -> list[str]:
    """The command line with which `notebooks-test 03` calls nbval, on these notebooks instead."""
    calls = []
    monkeypatch.setattr(task, "setup", lambda: None)
    monkeypatch.setattr(task, "PYTHON", sys.executable)
    monkeypatch.setattr(task, "call", lambda *command, **variables: calls.append((command, variables)))
    task.notebooks_test("03")
    command, variables = next((command, variables) for command, variables in calls if "--nbval-lax" in command)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    others = [str(part) for part in command if not str(part).endswith(".ipynb")]
    assert len(others) == len(command) - 1
    return [*others, *map(str, notebooks)]


@pytest.mark.slow
def test_an_exception_and_a_changed_digit_fail_the_job(excerpts, monkeypatch):
    places, last = excerpts
    command = command_of_ci(monkeypatch, places)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=workbook.ROOT, env=environment, capture_output=True, text=True)
    red = set(re.findall(r"^FAILED \S*?(\w+)\.ipynb::Cell (\d+)", done.stdout, re.MULTILINE))
    assert done.returncode == 1 and red == {("exception", str(last)), ("digit", str(last))}, done.stdout
    assert "ZeroDivisionError" in done.stdout and "Cell outputs differ" in done.stdout


# --- The tool ---------------------------------------------------------------------------------------------------------


def cell(*outputs, tags=()):
    return new.new_code_cell("x", outputs=[*outputs], metadata={"tags": [*tags]} if tags else {})


def shown_as(**data):
    return new.new_output("display_data", data={kind.replace("_", "/"): text for kind, text in data.items()})


PRINTED, TABLE = new.new_output("stream", text="0.5\n"), shown_as(text_html="<table></table>", text_plain="a  b")


@pytest.mark.parametrize(
    "outputs, counts",
    [
        ([PRINTED], True), ([TABLE], True), ([shown_as(text_plain="0.5")], True), ([shown_as(text_markdown="a")], True),
        ([], False), ([new.new_output("stream", name="stderr", text="0.5")], False),
        ([new.new_output("stream", text="\n")], False),
        ([new.new_output("display_data", data={"image/png": "", "text/plain": "A portrait."})], False),
        ([new.new_output("display_data", data={"image/png": ""}), shown_as(text_markdown="*A caption.*")], True),
    ],
)  # fmt: skip
def test_what_counts_as_text(outputs, counts):
    assert compared.shows_text(cell(*outputs)) == counts


def test_tags_follow_what_was_the_same():
    tag, left_out = compared.TAG, compared.LEFT_OUT
    cells = [cell(PRINTED), new.new_markdown_cell("text"), cell(PRINTED, tags=[tag]), cell(tags=[tag]),
             cell(PRINTED, tags=["exercise"]), cell(PRINTED, tags=[left_out])]  # fmt: skip
    notebook = new.new_notebook(cells=cells)
    compared.tag_cells(notebook, {0, 2, 3, 4})
    assert [c.metadata.get("tags", []) for c in notebook.cells] == [[tag], [], [], [], ["exercise", tag], [left_out]]
    assert compared.count(notebook) == (2, 4)


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of one notebook, whose outputs are as they come in tmp_path itself."""
    for name in ("tools/__init__.py", "tools/task.py", "tools/nbval_kernels.py", "tests/notebooks/sanitize.cfg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(workbook.ROOT / name, tmp_path / name)
    path = tmp_path / "notebooks" / "01_all.ipynb"
    path.parent.mkdir()
    monkeypatch.setattr(workbook, "ROOT", tmp_path)
    monkeypatch.setattr(workbook, "notebooks", lambda: [path])
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)

    def write(*sources):
        notebook = new.new_notebook(cells=[new.new_code_cell(source) for source in sources])
        nbformat.write(run_notebooks.execute(notebook, path.stem, folder=path.parent), path)
        return path

    return write


def test_what_varies_is_not_compared(course):
    """Executed as CI does, under both conditions; neither the banner nor an address is a difference."""
    threads = "os.environ.get('OMP_NUM_THREADS')"
    varies = ["time.time()", "hash('a')", "os.getcwd()", threads, "time.localtime().tm_gmtoff"]
    same = ["0.1 + 0.2", "object()", f"print('01 | quick | CPU (' + str({threads}) + ') | torch 2.1, numpy 2.0')"]
    path = course("import os, time", *varies, *same)
    assert compared.main(["01"]) == 0
    cells = nbformat.read(path, as_version=4).cells
    assert [c.source for c in cells if compared.is_tagged(c)] == same


def test_a_notebook_that_fails_is_left_as_it_is(course, capsys):
    path = course("import os", "0.5")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].source = "1 / 0"
    nbformat.write(notebook, path)
    before = path.read_bytes()
    assert compared.main(["01"]) == 1 and path.read_bytes() == before
    assert "ZeroDivisionError" in capsys.readouterr().err
