"""The address of the repository stands in pyproject.toml; notebooks, README and CITATION agree with it."""

import shutil

import nbformat
import pytest

from tools import links, workbook

FORK = "https://github.com/my-school/my.course"


def test_links_agree_with_pyproject():
    assert links.link_all(write=False) == [], "run `make links`"


def test_notebook_opens_itself(path):
    notebook = nbformat.read(path, as_version=4)
    slug = links.address().removeprefix("https://github.com/")
    badge = notebook.cells[workbook.tagged(notebook, "colab")[0]].source
    setup = notebook.cells[workbook.tagged(notebook, "setup")[0]].source
    assert f"github/{slug}/blob/{links.BRANCH}/notebooks/{path.name})" in badge
    assert f'faceseg_utils.start("{path.stem}")' in setup


@pytest.fixture
def fork(tmp_path):
    """A small workbook whose pyproject.toml already has the fork's address, and nothing else has."""
    text = (workbook.ROOT / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(text.replace(links.address(), FORK))
    shutil.copy(workbook.ROOT / "CITATION.cff", tmp_path)
    (tmp_path / "README.md").write_text(
        "https://github.com/old/name stays\n<!-- repo-links -->\n"
        "- [01 a on Colab](https://colab.research.google.com/github/old/name/blob/main/notebooks/01_a.ipynb)\n"
        "<!-- /repo-links -->\nThe end\n"
    )
    (tmp_path / "notebooks").mkdir()
    cells = [nbformat.v4.new_markdown_cell("# Title"), nbformat.v4.new_code_cell("1 + 1")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks" / "01_a.ipynb")
    return tmp_path


def test_a_fork_needs_one_edit(fork):
    stale = ["notebooks/01_a.ipynb", "README.md", "CITATION.cff"]
    assert links.link_all(fork, write=False) == stale
    assert links.link_all(fork) == stale
    assert links.link_all(fork) == []

    readme = (fork / "README.md").read_text()
    assert "github.com/old/name stays" in readme and readme.count("old/name") == 1
    assert "github/my-school/my.course/blob/colab/notebooks/01_a.ipynb)\n<!--" in readme and "The end" in readme
    assert f'repository-code: "{FORK}"' in (fork / "CITATION.cff").read_text()
    cells = nbformat.read(fork / "notebooks" / "01_a.ipynb", as_version=4).cells
    assert [cell.metadata.get("tags", []) for cell in cells] == [[], ["colab"], ["setup"], []]
    assert FORK in cells[2].source and len(cells[2].source.splitlines()) <= 15
    compile(cells[2].source, "setup", "exec")


def test_colab_needs_github(fork):
    text = (fork / "pyproject.toml").read_text()
    (fork / "pyproject.toml").write_text(text.replace(FORK, "https://example.org/course"))
    with pytest.raises(ValueError, match="pyproject.toml: Repository"):
        links.link_all(fork)
