"""Small JSON files that outlive a kernel: bets.json and scoreboard.json.

They lie in work/ of the course, beside the learner's copies of the notebooks (git ignores it), wherever the kernel
runs, on Colab too; `FACESEG_BETS` names another folder. No trouble with a file stops a notebook: each is one printed
line, and what could not be written is kept until the kernel ends.
"""

import json
import os
from itertools import count
from pathlib import Path

from faceseg_utils import paths

_unwritten: dict[Path, dict] = {}  # what this process could not write: nothing is lost while it runs


def place(name: str) -> Path:
    """Where the file of this name lies."""
    chosen = os.environ.get("FACESEG_BETS")
    return (Path(chosen).expanduser() if chosen else paths.course_root() / "work") / f"{name}.json"


def load(name: str) -> dict:
    """What is remembered, a dict of dicts. A damaged file is renamed, with one line, and an empty one begins."""
    path = place(name)
    if path in _unwritten:
        return _unwritten[path]
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and all(isinstance(entry, dict) for entry in content.values()):
            return content
    except FileNotFoundError:
        return {}
    except OSError as error:
        print(f"{path} cannot be read ({error.strerror}): beginning without it")
        return {}
    except ValueError:
        pass
    _put_aside(path)
    return {}


def _put_aside(path: Path) -> None:
    aside = next(p for n in count(1) if not (p := path.with_name(f"{path.stem}.damaged{n}.json")).exists())
    try:
        path.rename(aside)
        print(f"{path} was damaged: it is kept as {aside.name}, and a new one begins")
    except OSError as error:
        print(f"{path} is damaged and cannot be renamed ({error.strerror}): delete it, or repair it by hand")


def save(name: str, content: dict) -> None:
    """Remember `content`. Where the file cannot be written, it is remembered until the kernel ends."""
    path = place(name)
    try:
        if path.exists() and not path.stat().st_mode & 0o200:  # a file put in its place would not ask
            raise PermissionError(f"{path} is read-only: make it writable")
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        paths.write_text(path, text, remedy="free some space, or set FACESEG_BETS to another folder")
        _unwritten.pop(path, None)
    except OSError as error:
        _unwritten[path] = content
        print(f"{error}. Until then it is remembered in this kernel only")
