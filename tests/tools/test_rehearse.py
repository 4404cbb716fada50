"""Rehearsals: lists of the clouds' versions, and a kernel whose git clones this checkout."""

import json
import os
import re
import subprocess
import sys

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import colab, links, rehearse
from tools.workbook import NOTEBOOKS, ROOT

LISTS = sorted(rehearse.LISTS.glob("*.txt"))


def pinned(path):
    lines = [Requirement(line) for line in path.read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    return {canonicalize_name(line.name): str(line.specifier).removeprefix("==") for line in lines}


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_list_says_its_python_source_and_date(path):
    text = path.read_text(encoding="utf-8")
    assert re.match(r"# python: 3\.1[0-3]\n# source: github\.com/\S+, \S+", text) and re.search(r"\b20\d\d\b", text)
    assert all(re.fullmatch(r"[\w.-]+==[\w.+]+", line) for line in text.splitlines() if line[0] != "#")


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_the_course_accepts_what_the_cloud_has(path):
    versions = pinned(path)
    needs = links.tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    for need in map(Requirement, needs):
        version = versions.get(canonicalize_name(need.name))
        assert version is None or need.specifier.contains(version), f"{path.stem} has {need.name} {version}"
    assert set(colab.KEEP) <= set(versions)
    assert "segmentation-models-pytorch" not in versions  # the set-up cell has to install it


def test_the_kernel_clones_this_checkout(tmp_path):
    rehearse.kernel(sys.executable, tmp_path)
    spec = json.loads((tmp_path / "kernels" / "cloud" / "kernel.json").read_text(encoding="utf-8"))
    assert spec["argv"][0] == sys.executable
    setup = links.setup_cell("01_data_exploration", links.address())
    assert '["git", "clone", "-q", "--depth", "1", repository, folder]' in setup
    clone = ["git", "clone", "-q", "--depth", "1", links.address(), tmp_path / "course"]
    subprocess.run(clone, env=os.environ | spec["env"], check=True)
    head = ["git", "rev-parse", "HEAD"]
    here, there = (subprocess.run(head, cwd=folder, check=True, capture_output=True).stdout
                   for folder in (ROOT, tmp_path / "course"))  # fmt: skip
    assert here == there


def test_what_a_cloud_keeps_is_read_from_its_own_interpreter():
    said = rehearse.kept(sys.executable)
    assert all(f"{name} " in said for name in colab.KEEP)


def test_notebooks_are_chosen_by_parts_of_their_names(monkeypatch, capsys):
    played = []
    monkeypatch.setattr(rehearse, "environment", lambda *_: sys.executable)
    monkeypatch.setattr(rehearse, "play", lambda path, folder: played.append((path, folder)) or 5.2)
    assert rehearse.main(["colab", "01", "04"]) == 0
    assert [path for path, _ in played] == [path for path in sorted(NOTEBOOKS.glob("*.ipynb")) if path.name[1] in "14"]
    assert all(ROOT not in folder.parents for _, folder in played)  # a new machine, not a folder of the course
    assert capsys.readouterr().out.count("longer than 5 minutes") == 2
