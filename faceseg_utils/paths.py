"""Where things lie, which revision runs, how a file is written whole, and how a wrong name is answered.

A leaf: it imports nothing of the package.
"""

import contextlib
import difflib
import functools
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path


def course_root() -> Path:
    """The folder of the course: the nearest one above the current folder or above the package, else the current one.

    Only a folder whose pyproject.toml is that of this package counts: a reader's own project may have notebooks/ and
    a pyproject.toml, too.
    """
    for start in (Path.cwd(), Path(__file__).resolve().parent.parent):
        for folder in (start, *start.parents):
            if (folder / "notebooks").is_dir() and _is_ours(folder / "pyproject.toml"):
                return folder
    return Path.cwd()


def _is_ours(pyproject: Path) -> bool:
    try:
        return 'name = "faceseg-utils"' in pyproject.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False


def data_root() -> Path:
    """The folder that holds the datasets: `FACESEG_DATA_DIR`, else data/ of the course."""
    chosen = os.environ.get("FACESEG_DATA_DIR")
    return Path(chosen).expanduser() if chosen else course_root() / "data"


def models_folder() -> Path:
    """The models of record: models/ of the course, or the copy inside an installed package."""
    inside = Path(__file__).resolve().parent / "models"
    return inside if inside.is_dir() else course_root() / "models"


def demo_folder() -> Path:
    """The browser page: demo/ of the course, or the copy inside an installed package."""
    inside = Path(__file__).resolve().parent / "demo"
    return inside if inside.is_dir() else course_root() / "demo"


def experiments_folder() -> Path:
    """The log of record: experiments/ of the course."""
    return course_root() / "experiments"


@functools.cache
def revision() -> str:
    """The commit of the code that is running, with "+" if the package was changed since; "unknown" outside of git.

    Asked once per process, and by `train` before it begins: the files may change while a long run goes on.
    """
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        here = {"cwd": course_root(), "capture_output": True, "text": True, "check": True}
        commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], **here).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "--", "faceseg_utils"], **here).stdout.strip()
        return commit + ("+" if changed else "")
    return "unknown"


@contextlib.contextmanager
def written_whole(path: str | Path, remedy: str = "free some space and try again"):
    """Gives a place beside `path` to write to, and renames it to `path` once everything is written.

    So `path`, a file or a folder, is there whole or as it was before. Raises OSError that names `path` and the
    remedy when the disk is full or the place cannot be written to; nothing half-written stays.
    """
    path = Path(path)
    fresh = path.with_name(f".{path.name}.new")  # a name that nobody gives a file
    try:
        _remove(fresh)  # left by a process that was killed
        yield fresh
        if fresh.is_file():
            with open(fresh, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(fresh, path)
        else:
            path.mkdir(parents=True, exist_ok=True)
            for file in fresh.iterdir():
                os.replace(file, path / file.name)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{path}: could not be written ({reason}); {remedy}") from error
    finally:
        with contextlib.suppress(OSError):
            _remove(fresh)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: str | Path, content: str, **options) -> None:
    """Write a text file whole, in UTF-8 and with "\\n" as the end of a line on every system."""
    with written_whole(path, **options) as fresh:
        fresh.write_text(content, encoding="utf-8", newline="\n")


def one_line(text, longest: int = 200) -> str:
    """A text, such as an error of another package, on one line; what is longer than `longest` characters is cut."""
    line = " ".join(str(text).split())
    return line if len(line) <= longest else line[:longest] + "..."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """" Did you mean '...'?" with the nearest of the known names, or nothing if none is near."""
    near = difflib.get_close_matches(str(name), [*known], n=1)
    return f" Did you mean '{near[0]}'?" if near else ""
