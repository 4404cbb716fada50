"""Learners' copies in work/, and the branch that Colab opens: the notebooks without outputs."""

import json
import shutil
import subprocess
import sys

import nbformat
import pytest

from tools import colab_branch, copies
from tools.workbook import NOTEBOOKS, ROOT

NAME = "03_training.ipynb"


@pytest.fixture
def originals(tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    shutil.copy(NOTEBOOKS / NAME, folder)
    return folder


@pytest.fixture
def work(tmp_path, originals):
    """work/ with a fresh copy of the one notebook in `originals`."""
    assert copies.copy_all(tmp_path / "work", notebooks=originals) == [f"{NAME}: copied, without outputs"]
    return tmp_path / "work"


def change(path, source="# a new section"):
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_markdown_cell(source))
    nbformat.write(notebook, path)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("[0-9]*.ipynb")), ids=lambda path: path.stem)
def test_bare_notebook_is_the_original_as_if_never_run(path):
    bare = nbformat.reads(copies.text(copies.bare(path)), as_version=4)
    original = nbformat.read(path, as_version=4)
    nbformat.validate(bare)
    assert [cell.source for cell in bare.cells] == [cell.source for cell in original.cells]
    assert [cell.id for cell in bare.cells] == [cell.id for cell in original.cells]
    tags = [[t for t in cell.metadata.get("tags", []) if not t.startswith("nbval-")] for cell in original.cells]
    assert [cell.metadata.get("tags", []) for cell in bare.cells] == tags
    code = [cell for cell in bare.cells if cell.cell_type == "code"]
    assert code and not any(cell.outputs or cell.execution_count for cell in code)
    assert "widgets" not in bare.metadata


def test_an_up_to_date_copy_is_left_alone_and_nothing_is_said(work, originals):
    mine = (work / NAME).read_text(encoding="utf-8").replace("## ", "## My own ")
    (work / NAME).write_text(mine, encoding="utf-8")
    assert copies.copy_all(work, notebooks=originals) == copies.copy_all(work, new=True, notebooks=originals) == []
    assert (work / NAME).read_text(encoding="utf-8") == mine


def test_running_the_original_again_is_no_news(work, originals):
    notebook = nbformat.read(originals / NAME, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [nbformat.v4.new_output("stream", text="another 0.93\n")], 99
            cell.metadata["tags"] = [*cell.metadata.get("tags", []), "nbval-check-output"]
    nbformat.write(notebook, originals / NAME)
    assert copies.copy_all(work, notebooks=originals) == []


def test_a_changed_original_is_said_in_one_line_and_put_beside_on_request(work, originals):
    before = (work / NAME).read_bytes()
    change(originals / NAME)
    (line,) = copies.copy_all(work, notebooks=originals)
    assert line.startswith(f"{NAME}: the notebook has changed since") and "make lab ARGS=--new" in line
    assert "\n" not in line and sorted(path.name for path in work.iterdir()) == [NAME]
    assert copies.copy_all(work, new=True, notebooks=originals) == ["03_training.new.ipynb: copied, without outputs"]
    assert (work / NAME).read_bytes() == before
    assert nbformat.read(work / "03_training.new.ipynb", as_version=4).cells[-1].source == "# a new section"
    assert copies.copy_all(work, notebooks=originals) == []  # they have it


def test_a_second_change_does_not_overwrite_the_first_new_copy(work, originals):
    for number in (1, 2):
        change(originals / NAME, f"change {number}")
        copies.copy_all(work, new=True, notebooks=originals)
    last = {path.name: nbformat.read(path, as_version=4).cells[-1].source for path in work.iterdir()}
    assert (last["03_training.new.ipynb"], last["03_training.new2.ipynb"]) == ("change 1", "change 2")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"metadata": []}', "\x00"])
def test_a_copy_that_cannot_be_read_is_not_overwritten(work, originals, content):
    (work / NAME).write_text(content, encoding="utf-8")
    (line,) = copies.copy_all(work, notebooks=originals)
    assert line.startswith(NAME) and (work / NAME).read_text(encoding="utf-8") == content


def test_a_copy_finds_the_course_from_its_folder():
    """As in work/, a neighbour of notebooks/ in a checkout; git ignores that folder."""
    (ROOT / "work").mkdir(exist_ok=True)
    code = "from faceseg_utils import paths; print(paths.course_root())"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "work", check=True, text=True, capture_output=True)
    assert found.stdout.strip() == str(ROOT)
    assert "work/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.fixture
def remote(tmp_path):
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "remote.git"], check=True)
    return tmp_path / "remote.git"


def show(remote, *arguments):
    return subprocess.run(["git", "-C", remote, *arguments], check=True, capture_output=True, encoding="utf-8").stdout


def test_colab_branch_is_one_commit_of_bare_notebooks(remote, monkeypatch):
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    colab_branch.push(str(remote))
    first = show(remote, "rev-parse", "colab")
    colab_branch.push(str(remote))  # again: the same commit, or one that replaces it
    assert show(remote, "rev-list", "--count", "colab").strip() == "1" and show(remote, "rev-parse", "colab") == first
    names = show(remote, "ls-tree", "-r", "--name-only", "colab").split()
    assert names == ["README.md", *(f"notebooks/{path.name}" for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb")))]
    for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb")):
        assert json.loads(show(remote, "show", f"colab:notebooks/{path.name}")) == copies.bare(path)


def test_badges_open_the_branch():
    from tools import links

    assert f"/blob/{colab_branch.BRANCH}/notebooks/" in links.colab_url("01_data_exploration", links.address())
    workflow = (ROOT / ".github" / "workflows" / "colab.yml").read_text(encoding="utf-8")
    assert "python -m tools.task colab-branch" in workflow
