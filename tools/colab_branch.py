"""Push the notebooks without outputs to the branch `colab`, which the badges open: `python -m tools.colab_branch`.

The workflow colab.yml runs this after each change on main. The branch holds one commit, made anew each time, so that
it does not grow. Pushes to `origin`, with GITHUB_TOKEN if there is one. Only the standard library, and git.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tools import copies

BRANCH = "colab"
ABOUT = """# Notebooks for Colab

The notebooks of main (commit {commit}) without their outputs. A workflow makes this branch anew after each change;
edit the notebooks on main.
"""


def git(folder: Path, *arguments: str, **variables: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, env={**os.environ, **variables}, check=True,
                          stdout=subprocess.PIPE, encoding="utf-8")  # fmt: skip
    return done.stdout.strip()


def fill(folder: Path, commit: str, notebooks: Path = copies.ROOT / "notebooks") -> None:
    """Write the files of the branch into `folder`."""
    (folder / "notebooks").mkdir()
    for original in sorted(notebooks.glob("[0-9]*.ipynb")):
        with open(folder / "notebooks" / original.name, "w", encoding="utf-8", newline="\n") as file:
            file.write(copies.text(copies.bare(original)))
    (folder / "README.md").write_text(ABOUT.format(commit=commit), encoding="utf-8")


def push(remote: str) -> None:
    """Replace the branch at `remote` (an address, or the name of a remote of this checkout) by one commit."""
    commit, date = git(copies.ROOT, "log", "-1", "--format=%h %cI").split()
    if remote in git(copies.ROOT, "remote").split():
        remote = git(copies.ROOT, "remote", "get-url", remote)
    who = {f"GIT_{role}_{field}": value for role in ("AUTHOR", "COMMITTER") for field, value in
           (("NAME", "colab workflow"), ("EMAIL", "colab@localhost"), ("DATE", date))}  # fmt: skip
    if token := os.environ.get("GITHUB_TOKEN"):  # as a header in the environment: no command line shows it
        secret = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        who |= {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "http.https://github.com/.extraheader",
                "GIT_CONFIG_VALUE_0": f"AUTHORIZATION: basic {secret}"}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), commit)
        git(folder, "init", "--quiet", "--initial-branch", BRANCH)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message", f"Notebooks of {commit} without outputs", **who)
        git(folder, "push", "--quiet", "--force", remote, BRANCH, **who)
    print(f"{BRANCH}: the notebooks of {commit} without outputs")


if __name__ == "__main__":
    push(*sys.argv[1:] or ["origin"])
