"""widgets.Webcam in a real JupyterLab, with Chromium's fake camera: the newest frame alone goes to the kernel."""

import time

import numpy as np
import pytest

from tests.browser.conftest import CLIP, FAKE, KEPT, until
from tests.browser.reading import pixels
from tools.browser import FLAGS, chromium

pytestmark = pytest.mark.browser
SETUP = """
import time
import numpy as np
from faceseg_utils import widgets

class Slow:
    classes = ("background", "person")
    greys, open = [], 0

    def predict(self, photo):
        assert not Slow.open, "two frames at once"
        Slow.open += 1
        time.sleep(0.2)
        Slow.greys.append(int(photo[16, 16].mean()))
        Slow.open -= 1
        return (np.indices(photo.shape[:2])[1] >= photo.shape[1] // 2) * np.float32(1)   # the right half
"""
SHOWN = "camera = widgets.Webcam(Slow())\ncamera"
BROKEN = """
class Broken(Slow):
    def predict(self, photo):
        raise ValueError("the network is broken")

broken = widgets.Webcam(Broken())
broken"""


@pytest.fixture
def opened(browser, lab, request):
    """`opened(cells, *flags, allowed=True)`: a notebook of these cells, run, in a browser with further flags."""
    own = []

    def opened(cells, *flags, allowed=True):
        own.append(browser.browser_type.launch(executable_path=chromium(), headless=True, args=[*FLAGS, *flags]))
        context = own[0].new_context(viewport={"width": 1400, "height": 1000})
        if allowed:
            context.grant_permissions(["camera"])
        page = context.new_page()
        page.set_default_timeout(60_000)
        lab.write("webcam.ipynb", cells)
        lab.run_all(page, "webcam.ipynb")
        own.append(page)
        return page

    yield opened
    KEPT.mkdir(parents=True, exist_ok=True)
    own[-1].screenshot(path=KEPT / f"{request.node.name}.png")
    own[0].close()


@pytest.fixture(autouse=True)
def screenshot():
    """In place of that of conftest.py: each test has a browser of its own."""


def line(page, k=0):
    return page.locator(".faceseg-webcam").nth(k).get_by_role("status")


def start(page, k=0):
    page.locator(".faceseg-webcam").nth(k).get_by_role("button", name="Start the camera").click()


def test_the_newest_frame_goes_and_the_next_when_the_answer_has_come(lab, opened, clip):
    page = opened([SETUP, SHOWN, BROKEN], FAKE, f"--use-file-for-fake-video-capture={clip}")
    root, canvas = page.locator(".faceseg-webcam").first, page.locator(".faceseg-webcam canvas").first
    assert "this notebook's kernel only" in line(page).inner_text() and not canvas.is_visible()
    start(page)
    until(lambda: int(root.get_attribute("data-drawn") or 0) >= 8)
    print(f"\n{line(page).inner_text()}")
    assert "frames per second" in line(page).inner_text() and "left out" in line(page).inner_text()
    root.get_by_role("button", name="Stop").click()
    assert line(page).inner_text() == "The camera is off."

    greys = np.array(eval(lab.ask(page, "print(Slow.greys)")))
    steps = np.diff(greys) % (4 * CLIP)
    print(f"greys of the corner: {greys.tolist()}")
    assert np.median(steps) >= 4 * 4, "frames were queued: at 30 per second and 0.2 s each, five or six pass by"
    before = len(greys)
    time.sleep(1)
    assert len(eval(lab.ask(page, "print(Slow.greys)"))) <= before + 1, "frames are sent after the stop"

    shown = pixels(canvas).astype(int)
    assert shown.shape[:2] == (240, 320)
    spread = np.ptp(shown[..., :3], axis=-1)
    assert spread[:, 90:155].max() <= 4 < 30 < spread[:, 165:220].max()  # the portrait: grey on the left, then colour

    start(page, 1)  # another widget on the same page, whose network fails
    until(lambda: line(page, 1).inner_text() == "the network is broken")
    assert "faceseg-failed" in line(page, 1).get_attribute("class")
    assert line(page).inner_text() == "The camera is off."


@pytest.mark.parametrize(
    ("flag", "allowed", "words"),
    [(FAKE, False, "The camera is blocked. Allow it"), (f"{FAKE}=device-count=0", True, "No camera was found.")],
)
def test_a_camera_that_is_denied_or_missing(opened, flag, allowed, words):
    page = opened([SETUP, SHOWN], flag, allowed=allowed)
    start(page)
    until(lambda: line(page).inner_text().startswith(words))
    assert "faceseg-failed" in line(page).get_attribute("class")
    assert page.locator(".faceseg-webcam").get_by_role("button").inner_text() == "Start the camera"
