"""FACESEG_NO_SKIPS=1 (set by CI): what the browser and the renderer should have tested may not be skipped."""

import os
from pathlib import Path

import pytest

FOLDERS = {"browser", "render"}


def _refuse(report, path: Path) -> None:
    """Turn a skip in one of FOLDERS into a failure that gives the reason of the skip."""
    inside = FOLDERS & {folder.name for folder in path.parents}
    if os.environ.get("FACESEG_NO_SKIPS") == "1" and report.skipped and inside and not hasattr(report, "wasxfail"):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason}\nFACESEG_NO_SKIPS=1: this may not be skipped"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    _refuse(report, item.path)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    _refuse(report, collector.path)
    return report
