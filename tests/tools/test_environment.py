"""environment.yml names what a conda user expects to read there, as pyproject.toml has it."""

import yaml
from packaging.requirements import Requirement

from tools.links import tomllib
from tools.workbook import ROOT

EXPECTED = {"torch", "segmentation-models-pytorch", "albumentations", "matplotlib", "ipywidgets", "pandas",
            "jupyterlab", "nbval"}  # fmt: skip


def test_named_packages_have_the_bounds_of_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    declared = {Requirement(line).name: Requirement(line).specifier for line in project["dependencies"] + extras}
    section = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"][-1]
    named = {Requirement(line).name: Requirement(line).specifier for line in section["pip"] if line[0] != "-"}
    assert set(named) == EXPECTED
    assert named == {name: declared[name] for name in named}
