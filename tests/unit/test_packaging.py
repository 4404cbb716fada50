"""pyproject.toml, requirements.lock and environment.yml say the same, and the package is whole."""

import re

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.links import tomllib
from tools.workbook import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and line[0] != "#"]
PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]


def environments():
    for python in PYTHONS:
        for system, platform in [("Linux", "linux"), ("Darwin", "darwin"), ("Windows", "win32")]:
            yield {
                "python_version": python, "python_full_version": f"{python}.5", "platform_system": system,
                "sys_platform": platform, "platform_machine": "x86_64", "extra": "",
                "implementation_name": "cpython", "platform_python_implementation": "CPython",
            }  # fmt: skip


def declared():
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    return [Requirement(line) for line in PROJECT["dependencies"] + extras]


@pytest.mark.parametrize("wanted", declared(), ids=str)
def test_lock_holds_each_dependency_within_its_bounds(wanted):
    locked = [Requirement(line) for line in LOCK]
    same = [line for line in locked if canonicalize_name(line.name) == canonicalize_name(wanted.name)]
    for environment in environments():
        if wanted.marker and not wanted.marker.evaluate(environment):
            continue
        here = [line for line in same if not line.marker or line.marker.evaluate(environment)]
        assert len(here) == 1, f"{wanted.name} is {len(here)} times in the lock for {environment}: make lock"
        version = str(here[0].specifier).removeprefix("==")
        assert wanted.specifier.contains(version, prereleases=True), f"{here[0]} is not {wanted}: make lock"


def test_lock_names_versions_only():
    for line in LOCK:
        assert re.fullmatch(r"[\w.\[\]-]+==[\w.!+]+( ; .+)?", line), line
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text and "--index" not in text and "--find-links" not in text
    assert not re.search(r"^torch==2\.13\.0\b", text, re.MULTILINE)


def test_environment_is_python_pip_and_the_lock():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, section = environment["dependencies"]
    assert (pip, section) == ("pip", {"pip": ["-r requirements.lock", "-e ."]})
    name, bounds = python.split()
    assert name == "python"
    accepts = Requirement(f"python{bounds}").specifier
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(PYTHONS[0])
    assert accepts.contains(PYTHONS[0]) and not accepts.contains("3.9") and accepts.contains("3.13")
