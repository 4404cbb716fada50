"""A notebook as a learner first sees it: a copy without outputs, in which no answer stands below its question."""

import pytest

from tests.browser.conftest import READY
from tools import copies

pytestmark = pytest.mark.browser
NAME = "01_data_exploration.ipynb"
RUN_NEXT = "() => window.jupyterapp.commands.execute('notebook:run-cell-and-select-next')"


@pytest.fixture(scope="module")
def copy(lab, page):
    """Notebook 01 copied and opened, nothing run."""
    copies.copy_all(lab.folder / "notebooks")
    page.goto(f"{lab.url}/lab/tree/{NAME}?reset", wait_until="domcontentloaded")
    page.wait_for_function(READY, timeout=60_000)
    return page.locator(".jp-Notebook")


def test_no_output_before_the_first_run(copy):
    prompts = copy.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()
    assert prompts.count("[ ]:") > 20 and set(prompts) <= {"[ ]:", ""}  # "": a collapsed cell shows no prompt
    assert copy.locator(".jp-OutputArea-output").count() == 0
    assert copy.locator(".jp-MarkdownCell").count() > 20  # the text is there


def test_the_set_up_runs_in_the_copy_and_shows_its_banner(page, copy):
    setup = copy.locator(".jp-CodeCell").first
    setup.locator(".cm-content").click()
    page.evaluate(RUN_NEXT)
    banner = setup.locator(".jp-OutputArea-output").first
    banner.wait_for(timeout=90_000)
    assert banner.inner_text().startswith("01_data_exploration | dataset sample | profile quick")
    assert copy.locator(".jp-OutputArea-output").count() == 1
