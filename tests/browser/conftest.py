"""A real JupyterLab in a headless Chromium: skipped, with the reason, where either is missing."""

import os
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import numpy as np
import pytest
from PIL import Image

from tools.browser import FLAGS, chromium
from tools.workbook import ROOT

KEPT = ROOT / "build" / "browser"  # screenshots, kept by continuous integration
CLIP = 60  # frames of the clip that stands in for a camera, two seconds
FAKE = "--use-fake-device-for-media-stream"
SETTINGS = {  # no pop-ups, and every cell in the page, not only those in sight
    "notebook-extension/tracker": '{"windowingMode": "none"}',
    "apputils-extension/notification": '{"fetchNews": "false", "checkForUpdates": false}',
}
READY = """() => {
    const session = window.jupyterapp?.shell?.currentWidget?.sessionContext;
    return session && session.isReady && session.session?.kernel?.status === "idle";
}"""
ASK = """async code => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const run = kernel.requestExecute({ code, store_history: false });
    let text = "";
    run.onIOPub = message => { text += message.content.text ?? message.content.evalue ?? ""; };
    await run.done;
    return text;
}"""
RUN_ALL = "() => window.jupyterapp.commands.execute('notebook:run-all-cells')"


@pytest.fixture(scope="session")
def browser():
    if not chromium():
        pytest.skip("no Chromium here: `apt-get install chromium`, or set FACESEG_CHROMIUM to one")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `make setup`")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium(), headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """Two seconds of a rendered portrait that moves; four times a frame's number is the grey of its corner."""
    file = tmp_path_factory.mktemp("clip") / "clip.y4m"
    with Image.open(ROOT / "data" / "sample" / "images" / "0000.jpg") as portrait, open(file, "wb") as clip:
        portrait = portrait.convert("YCbCr").resize((360, 480))
        clip.write(b"YUV4MPEG2 W640 H480 F30:1 Ip A1:1 C420jpeg\n")
        for number in range(CLIP):
            frame = Image.new("YCbCr", (640, 480), (200, 128, 128))
            frame.paste(portrait, (100 + number, 0))
            frame.paste((4 * number, 128, 128), (0, 0, 64, 64))
            y, cb, cr = (np.asarray(plane) for plane in frame.split())
            clip.write(b"FRAME\n" + y.tobytes() + cb[::2, ::2].tobytes() + cr[::2, ::2].tobytes())
    return file


def until(done, seconds=60):
    """Wait until `done()`, asked from here: the demo's policy forbids Playwright's own way to wait for a function."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "the page did not get there"
        time.sleep(0.05)


class Lab:
    """A JupyterLab server in a folder of its own, with kernels that see this checkout."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "notebooks").mkdir()
        for name, text in SETTINGS.items():
            file = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        own = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        own |= {
            "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "spaces"),
        }
        own |= {"PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder / "ipython")}
        own |= {"OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1"}
        own |= {"FACESEG_DATASET": "sample", "FACESEG_PROFILE": "quick"}
        flags = ["--no-browser", "--allow-root", "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True",
                 f"--ServerApp.port={self.url.rsplit(':')[-1]}", "--LabApp.expose_app_in_browser=True",
                 f"--ServerApp.root_dir={folder / 'notebooks'}"]  # fmt: skip
        self.log = open(folder / "lab.log", "w")
        self.process = subprocess.Popen([sys.executable, "-m", "jupyterlab", *flags], env=os.environ | own,
                                        stdout=self.log, stderr=subprocess.STDOUT)  # fmt: skip
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{self.url}/api/status", timeout=2).close()
                return
            except OSError:
                assert self.process.poll() is None, (folder / "lab.log").read_text()[-2000:]
                time.sleep(0.2)
        self.stop()
        raise RuntimeError("JupyterLab did not answer within a minute: " + (folder / "lab.log").read_text()[-2000:])

    def write(self, name: str, cells: list[str]) -> None:
        """A notebook of these code cells."""
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
        notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
        nbformat.write(notebook, self.folder / "notebooks" / name)

    def run_all(self, page, name: str, minutes: float = 1.5) -> None:
        """Open a notebook in the page and run all its cells; fails when one of them raises."""
        page.goto(f"{self.url}/lab/tree/{name}?reset", wait_until="domcontentloaded")
        page.wait_for_function(READY, timeout=60_000)
        page.evaluate("window.done = null")
        page.evaluate(f"() => {{ ({RUN_ALL})().then(() => {{ window.done = true; }}) }}")
        page.wait_for_function("() => window.done", timeout=minutes * 60_000)
        page.wait_for_function(READY)
        raised = page.locator('.jp-RenderedText[data-mime-type="application/vnd.jupyter.error"]')
        assert raised.count() == 0, raised.first.inner_text()

    def ask(self, page, code: str) -> str:
        """What `code` prints in the kernel of the notebook that is open in the page."""
        return page.evaluate(ASK, code).strip()

    def told(self, page, code: str, expected: str, seconds: float = 15) -> str:
        """What `code` prints, asked again until it is `expected`: a widget tells the kernel in its own time."""
        end = time.monotonic() + seconds
        while (answer := self.ask(page, code)) != expected and time.monotonic() < end:
            time.sleep(0.1)
        return answer

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


@pytest.fixture(scope="session")
def lab(browser, tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab
    lab.stop()


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(60_000)
    yield page
    page.close()


@pytest.fixture(autouse=True)
def screenshot(page, request):
    """What the page looked like when the test ended, in build/browser under the test's name."""
    yield
    KEPT.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=KEPT / f"{request.node.name}.png")
