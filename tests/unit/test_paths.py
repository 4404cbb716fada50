"""Where things lie, which revision runs, and files that are written whole or stay as they were."""

import os
import subprocess

import pytest

from faceseg_utils import paths

resource = pytest.importorskip("resource", reason="not on Windows")


def project(folder, name):
    (folder / "notebooks").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n')
    return folder


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The package lies in a folder of installed packages, not in the course."""
    place = tmp_path / "site-packages" / "faceseg_utils" / "paths.py"
    place.parent.mkdir(parents=True)
    monkeypatch.setattr(paths, "__file__", str(place))
    return place.parent


def test_the_course_is_found_from_inside_it(tmp_path, monkeypatch, installed):
    course = project(tmp_path / "course", "faceseg-utils")
    monkeypatch.chdir(course / "notebooks")
    assert paths.course_root() == course


@pytest.mark.parametrize("pyproject", ['[project]\nname = "thesis"\n', "\xff", None])
def test_a_project_of_the_readers_own_is_not_the_course(tmp_path, monkeypatch, pyproject):
    """It has notebooks/ and pyproject.toml, too, but neither our datasets nor our revision."""
    theirs = project(tmp_path / "thesis", "thesis")
    if pyproject is None:
        (theirs / "pyproject.toml").unlink()
        (theirs / "pyproject.toml").mkdir()
    else:
        (theirs / "pyproject.toml").write_text(pyproject, encoding="latin-1")
    here = paths.course_root()
    monkeypatch.chdir(theirs)
    assert paths.course_root() == here != theirs
    assert (paths.course_root() / "data" / "sample").is_dir()


def test_without_the_course_everything_lies_in_the_current_folder(tmp_path, monkeypatch, installed):
    project(tmp_path / "thesis", "thesis")
    monkeypatch.chdir(tmp_path / "thesis")
    monkeypatch.delenv("FACESEG_DATA_DIR", raising=False)
    assert paths.course_root() == tmp_path / "thesis"
    assert paths.data_root() == tmp_path / "thesis" / "data"
    monkeypatch.setenv("FACESEG_DATA_DIR", "~/photos")
    assert paths.data_root() == paths.Path.home() / "photos"


def test_an_installed_package_brings_its_models(tmp_path, monkeypatch, installed):
    monkeypatch.chdir(tmp_path)
    assert paths.models_folder() == tmp_path / "models"
    (installed / "models").mkdir()
    assert paths.models_folder() == installed / "models"


def test_the_revision_is_the_commit_with_a_plus_for_changes(tmp_path, monkeypatch):
    """The process remembers it, so the function under its cache is asked."""
    monkeypatch.setattr(paths, "course_root", lambda: tmp_path)
    revision = paths.revision.__wrapped__
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert revision() == "unknown"
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a"}

    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=tmp_path, env=os.environ | who, check=True, capture_output=True)

    git("init")
    git("commit", "--allow-empty", "-m", "one")
    commit = git("rev-parse", "HEAD").stdout.decode()[:12]
    (tmp_path / "notes").touch()
    assert revision() == commit
    (tmp_path / "faceseg_utils").mkdir()
    (tmp_path / "faceseg_utils" / "new.py").touch()
    assert revision() == commit + "+"


def test_a_text_is_written_in_utf_8_with_plain_line_ends(tmp_path):
    paths.write_text(tmp_path / "file", "ä\nb\n")
    assert (tmp_path / "file").read_bytes() == "ä\nb\n".encode()


def test_a_folder_is_written_whole_into_the_one_that_is_there(tmp_path):
    (tmp_path / "model").mkdir()
    for name in ("README.md", "config.json"):
        (tmp_path / "model" / name).write_text("old")
    (tmp_path / ".model.new").mkdir()  # left by a process that was killed
    (tmp_path / ".model.new" / "half").touch()
    with paths.written_whole(tmp_path / "model") as fresh:
        fresh.mkdir()
        (fresh / "config.json").write_text("new")
    assert {p.name: p.read_text() for p in (tmp_path / "model").iterdir()} == {"README.md": "old", "config.json": "new"}
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_full_disk_leaves_what_was_there(tmp_path, kind):
    """A real refusal of the system: no file may grow beyond 10 bytes."""
    place = tmp_path / "there"
    old = place if kind == "file" else place / "part"
    old.parent.mkdir(exist_ok=True)
    old.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(OSError, match=r"there: could not be written \(File too large\); free some space and"):
            with paths.written_whole(place) as fresh:
                if kind == "folder":
                    fresh.mkdir()
                (fresh if kind == "file" else fresh / "part").write_text("more than there is room for")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert old.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["there"]


def test_a_failure_of_the_writer_leaves_what_was_there(tmp_path):
    paths.write_text(tmp_path / "file", "old")
    with pytest.raises(ZeroDivisionError), paths.written_whole(tmp_path / "file") as fresh:
        fresh.write_text("half")
        1 / 0  # noqa: B018
    assert (tmp_path / "file").read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_place_that_is_no_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file/model: could not be written \(Not a directory\)"):
        paths.write_text(tmp_path / "file" / "model", "")


def test_a_text_of_several_lines_becomes_one():
    assert paths.one_line(ValueError("first\n  second")) == "first second"
    assert paths.one_line("abcdef", 3) == "abc..." and paths.one_line("abc", 3) == "abc"


def test_the_nearest_name_is_proposed():
    assert paths.did_you_mean("picsrt", ["sample", "picsart"]) == " Did you mean 'picsart'?"
    assert paths.did_you_mean("zzz", ["sample", "picsart"]) == paths.did_you_mean("zzz", []) == ""
