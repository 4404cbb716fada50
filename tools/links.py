"""Write the repository's address, as pyproject.toml has it, everywhere it is needed: `make links`.

Places: the cell tagged `colab` and the cell tagged `setup` in every notebook (made if they are missing), the
list in README.md between `<!-- repo-links -->` and `<!-- /repo-links -->`, and CITATION.cff. With `--check`
nothing is written; the places that differ are named, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import nbformat

from tools import workbook
from tools.colab_branch import BRANCH

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
BLOCK = re.compile(r"(<!-- repo-links -->\n).*?(<!-- /repo-links -->)", re.DOTALL)

SETUP = '''\
import importlib.util, runpy, subprocess, sys
from pathlib import Path

sys.path.insert(0, str(Path.cwd().parent))                # the repository, when the notebook lies inside it
if importlib.util.find_spec("faceseg_utils") is None:     # on Colab or Kaggle: fetch it, keep their torch
    repository, folder = "{address}", "{name}"
    if not Path(folder).is_dir():
        subprocess.run(["git", "clone", "-q", "--depth", "1", repository, folder], check=True)
    runpy.run_path(f"{{folder}}/tools/colab.py", run_name="__main__")

import faceseg_utils

session = faceseg_utils.start("{notebook}")'''


def address(root: Path = workbook.ROOT) -> str:
    """The address of the repository on GitHub, without a slash or `.git` at its end.

    Raises:
        ValueError: `[project.urls] Repository` is not on GitHub, and Colab opens notebooks from there.
    """
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    url = tomllib.loads(text)["project"]["urls"]["Repository"].rstrip("/").removesuffix(".git")
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", url):
        raise ValueError(f"pyproject.toml: Repository = {url!r} is not of the form https://github.com/OWNER/NAME")
    return url


def colab_url(notebook: str, url: str) -> str:
    """Where Colab opens the notebook without outputs: no answer stands below its question."""
    slug = url.removeprefix("https://github.com/")
    return f"https://colab.research.google.com/github/{slug}/blob/{BRANCH}/notebooks/{notebook}.ipynb"


def colab_cell(notebook: str, url: str) -> str:
    """The badge that opens `notebook` (its stem) on Colab."""
    return f"[![Open in Colab]({BADGE})]({colab_url(notebook, url)})"


def setup_cell(notebook: str, url: str) -> str:
    """The first code cell of `notebook` (its stem)."""
    return SETUP.format(address=url, name=url.rsplit("/", 1)[1], notebook=notebook)


def link_notebook(notebook: nbformat.NotebookNode, name: str, url: str) -> bool:
    """Set the two cells. Says whether anything changed."""
    changed = False
    for tag, source, make in [
        ("colab", colab_cell(name, url), nbformat.v4.new_markdown_cell),
        ("setup", setup_cell(name, url), nbformat.v4.new_code_cell),
    ]:
        places = workbook.tagged(notebook, tag)
        if not places:  # the badge below the title, the set-up before the first code
            first_code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
            end = len(notebook.cells)
            place = min(1, end) if tag == "colab" else min([*first_code, end])
            notebook.cells.insert(place, make(source, metadata={"tags": [tag]}))
            changed = True
        elif notebook.cells[places[0]].source != source:
            notebook.cells[places[0]].source = source
            changed = True
    return changed


def link_readme(text: str, notebooks: list[str], url: str) -> str:
    """`text` with the list between the markers made anew: each notebook on Colab."""
    lines = [f"- [{name.replace('_', ' ')} on Colab]({colab_url(name, url)})\n"
             for name in notebooks]  # fmt: skip
    return BLOCK.sub(lambda block: f"{block[1]}{''.join(lines)}{block[2]}", text)


def link_citation(text: str, url: str) -> str:
    """`text` of CITATION.cff with the address in its place."""
    return re.sub(r"(?m)^repository-code: .*$", f'repository-code: "{url}"', text)


def link_all(root: Path = workbook.ROOT, write: bool = True) -> list[str]:
    """Set all links under `root` and return the names of the files that were not right."""
    url = address(root)
    stale = []
    for path in workbook.notebooks(root / "notebooks"):
        notebook = nbformat.read(path, as_version=4)
        if link_notebook(notebook, path.stem, url):
            stale.append(f"notebooks/{path.name}")
            if write:
                nbformat.write(notebook, path)
    names = [path.stem for path in workbook.notebooks(root / "notebooks")]
    for name, link in [("README.md", lambda text: link_readme(text, names, url)),
                       ("CITATION.cff", lambda text: link_citation(text, url))]:  # fmt: skip
        path = root / name
        old = path.read_text(encoding="utf-8") if path.is_file() else ""
        if link(old) != old:
            stale.append(name)
            if write:
                path.write_text(link(old), encoding="utf-8")
    return stale


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.links", description="Set all links.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if something differs")
    options = parser.parse_args(argv)
    try:
        stale = link_all(write=not options.check)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    if stale and options.check:
        print(f"links differ from pyproject.toml in {', '.join(stale)}: run `make links`", file=sys.stderr)
        return 1
    print(f"links: {', '.join(stale) + ' rewritten' if stale else 'all agree with pyproject.toml'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
