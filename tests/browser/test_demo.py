"""demo/ in a real Chromium: its masks are Python's, the camera gives the newest frame, and what goes wrong is one line.

A camera that plays a clip of rendered portraits stands in for a real one.
"""

import base64
import contextlib
import http.server
import io
import json
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from faceseg_utils import paths
from faceseg_utils.__main__ import RECORD, main
from faceseg_utils.data.catalog import FACE
from faceseg_utils.data.images import read_image
from faceseg_utils.deploy.demo import new_server
from faceseg_utils.deploy.files import cut_out
from faceseg_utils.deploy.onnx import export_onnx
from faceseg_utils.model import Segmenter, build_model
from faceseg_utils.network.saved import ModelConfig
from tests.browser.conftest import CLIP, FAKE, KEPT, until
from tools.browser import FLAGS, chromium
from tools.workbook import ROOT

onnx = pytest.importorskip("onnx", reason="the extra `export` is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `make setup`").expect
pytestmark = pytest.mark.browser

# What the page's masks may differ from Python's: decoders of JPEG and roundings differ in the last bit.
OPACITY, FLIPPED = 0.001, 0.0005  # mean difference of a photo's opacity (0..1); share of its pixels
SAMPLE = ROOT / "data" / "sample" / "images"


# --- The network of a folder, in Python -------------------------------------------------------------------------------


class Logits(torch.nn.Module):
    """An ONNX file of `faceseg export` as a network: normalised photos [B, 3, h, w] -> logits [B, 1, h, w]."""

    def __init__(self, file, config):
        super().__init__()
        self.session, self.config = onnxruntime.InferenceSession(str(file)), config
        self.place = torch.nn.Parameter(torch.zeros(1))  # `Segmenter` asks where the weights are

    def forward(self, x):
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (self.config.mean, self.config.std))
        (probability,) = self.session.run(None, {"photo": ((x * std + mean) * 255).contiguous().numpy()})
        return torch.from_numpy(probability).logit(1e-7)


def python_twin(folder) -> Segmenter:
    about = {entry.key: entry.value for entry in onnx.load(folder / "model.onnx").metadata_props}
    config = ModelConfig("unet", *(json.loads(about[name]) for name in ("classes", "size", "mean", "std")))
    return Segmenter(Logits(folder / "model.onnx", config), config)


# --- The page ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def served(folder):
    with new_server(folder, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def address():
    with served(paths.demo_folder()) as address:
        yield address


@pytest.fixture
def new_page(browser, request):
    """`new_page(address, *flags)`: the page in a browser with further flags; all that it asked for in `page.asked`."""
    pages = []
    with contextlib.ExitStack() as stack:

        def new(address, *flags, camera=False, **options):
            own = browser
            if flags:
                start = browser.browser_type.launch
                own = stack.enter_context(start(executable_path=chromium(), headless=True, args=[*FLAGS, *flags]))
            context = stack.enter_context(own.new_context(viewport={"width": 1000, "height": 950}, **options))
            if camera:
                context.grant_permissions(["camera"])
            page = context.new_page()
            page.set_default_timeout(60_000)
            page.asked = []
            page.on("request", lambda request: page.asked.append(request.url))
            page.goto(address)
            pages.append(page)
            return page

        yield new
        KEPT.mkdir(parents=True, exist_ok=True)
        for number, page in enumerate(pages):
            page.screenshot(path=KEPT / f"{request.node.name}{number or ''}.png")


@pytest.fixture(autouse=True)
def screenshot():
    """In place of that of conftest.py: here a test may have several pages, and `new_page` keeps a picture of each."""


def says(page, *words):
    for part in words:
        expect(page.locator("#line")).to_contain_text(part, timeout=60_000)


def complains(page, *words):
    says(page, *words)
    assert "bad" in page.locator("#line").get_attribute("class")


def choose(page, file):
    page.locator("#file").set_input_files(file)


def show(page, mode):
    page.get_by_role("radio", name=mode, exact=True).check(force=True)


def seen(page, mode):
    """The canvas, RGBA."""
    show(page, mode)
    url = page.locator("#view").evaluate("canvas => canvas.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGBA"))


def drawn(page) -> int:
    """How often the page has drawn."""
    return page.evaluate("() => +(document.body.dataset.drawn ?? 0)")


def compare(page, segmenter, photo, name):
    """The page's mask beside Python's, of the photo that both have."""
    probability = segmenter.predict(photo)
    opacity = np.asarray(cut_out(photo, probability))[..., 3] / 255
    shown = seen(page, "Mask")[..., 0] / 255
    assert shown.shape == opacity.shape
    difference, flipped = np.abs(shown - opacity).mean(), ((shown > 0.5) != (probability > 0.5)).mean()
    print(f"\n{name}: opacity differs by {difference:.5f} (at most {np.abs(shown - opacity).max():.3f}), "
          f"{flipped:.5%} of the pixels flip; {page.locator('#times').inner_text()}")  # fmt: skip
    assert difference <= OPACITY and flipped <= FLIPPED


# --- Masks ------------------------------------------------------------------------------------------------------------


def test_masks_are_pythons_for_photos_of_any_size(new_page, address, tmp_path):
    segmenter, page = python_twin(paths.demo_folder()), new_page(address)
    says(page, "The astronaut: the person covers")
    compare(page, segmenter, read_image(paths.demo_folder() / "astronaut.jpg"), "astronaut")
    with Image.open(SAMPLE / "0000.jpg") as photo:
        photo = photo.convert("RGB")
    for width, height in ((240, 320), (640, 480), (1203, 901), (90, 61), (1000, 35)):
        file = tmp_path / f"{width}x{height}.png"
        photo.resize((width, height), Image.Resampling.BICUBIC).save(file)
        choose(page, file)
        says(page, f"{file.name}: the person covers")
        compare(page, segmenter, read_image(file), file.name)
    exif = Image.Exif()
    exif[0x0112] = 6  # a phone's photo that lies on its side
    photo.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    choose(page, tmp_path / "turned.jpg")
    says(page, "turned.jpg")
    compare(page, segmenter, read_image(tmp_path / "turned.jpg"), "turned.jpg")
    assert not [url for url in page.asked if not url.startswith((address, f"blob:{address}", "data:"))]


def test_what_is_shown_and_saved(new_page, address, tmp_path):
    segmenter, page = python_twin(paths.demo_folder()), new_page(address)
    photo = read_image(paths.demo_folder() / "astronaut.jpg")
    says(page, "The astronaut")
    person = np.asarray(cut_out(photo, segmenter.predict(photo)))
    sure = person[..., 3] == 255
    outside = person[..., 3] == 0

    assert np.abs(seen(page, "Original")[..., :3].astype(int) - photo).max() <= 3
    shown = seen(page, "Cut-out")
    assert np.abs(shown[..., 3].astype(int) - person[..., 3]).mean() < 1
    assert np.abs(shown[sure][:, :3].astype(int) - photo[sure]).mean() < 1 and (shown[outside] == 0).mean() > 0.999
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as PNG").click()
    assert download.value.suggested_filename == "The_astronaut_cutout.png"
    assert (np.asarray(Image.open(download.value.path())) == shown).all()

    show(page, "Colour")
    page.get_by_label("Background", exact=True).fill("#102030")
    assert (np.median(seen(page, "Colour")[outside], axis=0) == (16, 32, 48, 255)).all()
    Image.new("RGB", (50, 20), (0, 200, 0)).save(tmp_path / "green.png")
    before = drawn(page)
    page.locator("#ground").set_input_files(tmp_path / "green.png")
    until(lambda: drawn(page) > before)
    assert (np.median(seen(page, "Picture")[outside], axis=0) == (0, 200, 0, 255)).all()
    blurred = seen(page, "Blur")
    assert (blurred[..., 3] == 255).all() and np.abs(blurred[sure][:, :3].astype(int) - photo[sure]).mean() < 1
    rough = [np.abs(np.diff(picture[..., :3].astype(int), axis=1)).mean(-1)[outside[:, 1:]].mean()
             for picture in (photo, blurred)]  # fmt: skip
    assert rough[1] < rough[0] / 3


def test_a_photo_may_be_dropped_or_pasted(new_page, address):
    page = new_page(address)
    says(page, "The astronaut")
    give = """([kind, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(bytes)], `${kind}ed.jpg`, { type: "image/jpeg" }));
        const event = kind === "paste" ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
                                       : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
        document.querySelector("#stage").dispatchEvent(event);
    }"""
    for kind in ("drop", "paste"):
        page.evaluate(give, [kind, list((SAMPLE / "0001.jpg").read_bytes())])
        says(page, f"{kind}ed.jpg: the person covers")


def test_by_keyboard_and_for_screen_readers(new_page, address):
    page = new_page(address)
    says(page, "The astronaut")
    names = []
    for _ in range(5):
        page.keyboard.press("Tab")
        names.append(page.evaluate("() => document.activeElement.value || document.activeElement.id"))
    assert names == ["choose", "webcam", "astronaut", "cutout", "save"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("radio", name="Blur").is_checked()
    expect(page.get_by_role("img", name="Blurred background. The person covers")).to_be_visible()
    for name in ("Choose a photo", "Webcam", "Astronaut"):
        expect(page.get_by_role("button", name=name)).to_be_enabled()
    expect(page.get_by_role("status")).to_contain_text("covers")
    assert page.get_by_role("group").count() == 2 and page.get_by_role("heading").count() == 1


# --- The camera -------------------------------------------------------------------------------------------------------


def test_the_webcam_shows_the_newest_frame_and_the_last_one_stays(new_page, address, clip):
    page = new_page(address, FAKE, f"--use-file-for-fake-video-capture={clip}", camera=True)
    button = page.get_by_role("button", name="Webcam")
    button.click()
    says(page, "The webcam is on. Its pictures stay in this page.")
    for mode in ("Cut-out", "Blur", "Picture"):
        show(page, mode)
        before = drawn(page)
        until(lambda: drawn(page) > before + 5)  # noqa: B023
        expect(page.locator("#times")).to_contain_text("frames per second")
        print(f"\n{mode}: {page.locator('#times').inner_text()}")
    page.get_by_role("button", name="Stop").click()
    says(page, "The webcam is off. Its last frame stays here.")
    frame = seen(page, "Original")[..., :3]
    assert frame.shape == (480, 640, 3)
    compare(page, python_twin(paths.demo_folder()), frame, "last frame")
    assert page.evaluate("() => document.querySelector('video').srcObject") is None


def test_frames_that_come_too_fast_are_left_out(new_page, clip, tmp_path):
    """The model of record needs longer than a camera's frame: the page skips frames and does not fall behind."""
    assert main(["demo", "--model", RECORD, "--out", str(tmp_path / "slow")]) == 0
    with served(tmp_path / "slow") as address:
        page = new_page(address, FAKE, f"--use-file-for-fake-video-capture={clip}", camera=True)
        page.evaluate("""() => {
            window.numbers = [];
            const read = document.querySelector("#view").getContext("2d");
            new MutationObserver(() => {
                const video = document.querySelector("video"), now = document.createElement("canvas").getContext("2d");
                now.drawImage(video, 0, 0);
                const corner = context => Math.round(context.getImageData(32, 32, 1, 1).data[0] / 4);
                window.numbers.push([corner(read), corner(now)]);
            }).observe(document.body, { attributes: true, attributeFilter: ["data-drawn"] });
        }""")
        says(page, "The astronaut")
        show(page, "Original")
        page.evaluate("() => { window.numbers = []; }")
        page.get_by_role("button", name="Webcam").click()
        until(lambda: page.evaluate("() => window.numbers.length") >= 8)
        shown = np.array(page.evaluate("() => window.numbers"))[1:]
    steps = np.diff(shown[:, 0]) % CLIP
    print(f"\nframes shown: {shown[:, 0].tolist()}; {page.locator('#times').inner_text()}")
    assert np.median(steps) > 1, "each frame was waited for"
    # A queue would grow: each picture older than the one before by the frames that were left in it.
    assert np.median((shown[:, 1] - shown[:, 0]) % CLIP) <= np.median(steps) + 3


# --- What goes wrong --------------------------------------------------------------------------------------------------


def test_a_camera_that_is_denied_or_missing(new_page, address):
    page = new_page(address, FAKE)
    says(page, "The astronaut")
    page.get_by_role("button", name="Webcam").click()
    complains(page, "The camera is blocked. Allow it for this page")
    page = new_page(address, f"{FAKE}=device-count=0", camera=True)
    says(page, "The astronaut")
    page.get_by_role("button", name="Webcam").click()
    complains(page, "No camera was found. Connect one, or choose a photo.")
    choose(page, SAMPLE / "0001.jpg")
    says(page, "0001.jpg: the person covers")


@pytest.mark.parametrize(
    ("flag", "words"),
    [("--jitless", "WebAssembly is switched off"), ("--no-enable-sse4-1", "no WebAssembly SIMD")],
)
def test_a_browser_that_cannot_run_the_network(new_page, address, flag, words):
    page = new_page(address, f"--js-flags={flag}")
    complains(page, words)
    expect(page.get_by_role("button", name="Webcam")).to_be_disabled()


def test_photos_that_are_huge_or_none(new_page, address, tmp_path):
    page = new_page(address)
    says(page, "The astronaut")
    Image.new("L", (12500, 8000), 90).save(tmp_path / "huge.jpg", quality=30)
    choose(page, tmp_path / "huge.jpg")
    says(page, "huge.jpg", "It has 100 megapixels and was scaled down to 2500 x 1600.")
    assert seen(page, "Original").shape == (1600, 2500, 4) and np.abs(seen(page, "Original")[800, 1250, 0] - 90.0) < 3
    for name, content in (("notes.jpg", b"no photo at all"), ("empty.png", b"")):
        (tmp_path / name).write_bytes(content)
        choose(page, tmp_path / name)
        complains(page, f"{name} is no picture that this browser can read")
    choose(page, SAMPLE / "0001.jpg")
    says(page, "0001.jpg: the person covers")


def another(path, metadata, input="photo", size=(64, 64)):
    """An ONNX file that gives back what it gets."""
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 3, *size])
             for name in (input, "probability")]  # fmt: skip
    node = onnx.helper.make_node("Identity", [input], ["probability"])
    graph = onnx.helper.make_graph([node], "g", value[:1], value[1:])
    model = onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 17)])
    onnx.helper.set_model_props(model, metadata)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_file_of_another_model(new_page, address, tmp_path):
    page = new_page(address)
    says(page, "The astronaut")
    (tmp_path / "text.onnx").write_text("no network at all")
    of_ours = {"size": "[64, 64]", "classes": '["background", "person"]'}
    damaged = (paths.demo_folder() / "model.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(damaged[: len(damaged) // 2])
    for file, words in (
        (tmp_path / "text.onnx", "text.onnx is not an ONNX file, or it is damaged."),
        (tmp_path / "cut.onnx", "cut.onnx is not an ONNX file, or it is damaged."),
        (another(tmp_path / "plain.onnx", {}), "plain.onnx does not say how it is to be used. This page takes what"),
        (another(tmp_path / "x.onnx", of_ours, "x"), 'x.onnx goes from "x" to "probability", this page needs "photo"'),
        (another(tmp_path / "size.onnx", of_ours, size=(32, 64)), 'this page needs "photo" of 3 x 64 x 64'),
    ):  # fmt: skip
        choose(page, file)
        complains(page, words)
    choose(page, SAMPLE / "0001.jpg")  # the network that was there goes on
    says(page, "0001.jpg: the person covers")
    choose(page, another(tmp_path / "same.onnx", of_ours))  # its "probabilities" are the photo's pixels
    complains(page, "The network answers what is no probability")
    choose(page, paths.demo_folder() / "model.onnx")
    says(page, "model.onnx is the network now.")

    folder = tmp_path / "page"
    shutil.copytree(paths.demo_folder(), folder)
    shutil.copy(tmp_path / "plain.onnx", folder / "model.onnx")
    with served(folder) as other:
        complains(new_page(other), "model.onnx does not say how it is to be used")
        (folder / "model.onnx").unlink()
        complains(new_page(other), "model.onnx is missing beside this page")


def test_nothing_leaves_the_page(new_page, address):
    """Neither the page nor its worker reaches another address, even when told to."""
    reached = []

    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            reached.append(self.path)
            self.send_response(200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
        page, url = new_page(address), f"http://127.0.0.1:{elsewhere.server_port}"
        says(page, "The astronaut")
        send = "url => fetch(url, { method: 'POST', body: 'photo' }).then(() => 'sent', () => 'refused')"
        (worker,) = page.workers
        assert (page.evaluate(send, f"{url}/page"), worker.evaluate(send, f"{url}/worker")) == ("refused", "refused")
        page.evaluate("""url => {
            new Image().src = `${url}/image`;
            navigator.sendBeacon(`${url}/beacon`, "photo");
            document.head.append(Object.assign(document.createElement("script"), { src: `${url}/script` }));
        }""", url)  # fmt: skip
        page.wait_for_timeout(500)
        elsewhere.shutdown()
    assert reached == []


def test_of_several_classes_all_but_the_background_is_shown(new_page, address, tmp_path):
    torch.manual_seed(0)
    config = ModelConfig("unet", FACE, (64, 96), (0.5,) * 3, (0.25,) * 3)
    segmenter = Segmenter(build_model("unet", 6, width=4, depth=2).eval(), config)
    segmenter.network.head.weight.data *= 100  # untrained, it would be undecided everywhere
    export_onnx(segmenter, tmp_path / "face.onnx")
    page = new_page(address)
    says(page, "The astronaut")
    choose(page, tmp_path / "face.onnx")
    says(page, "face.onnx is the network now.")
    foreground = 1 - segmenter.predict(read_image(paths.demo_folder() / "astronaut.jpg"))[0]
    shown = seen(page, "Mask")[..., 0] / 255
    assert np.abs(shown - ((foreground - 0.1) / 0.8).clip(0, 1)).mean() < 0.01 and shown.std() > 0.03


# --- A page of one's own ----------------------------------------------------------------------------------------------


def test_a_page_with_the_readers_network_on_a_plain_server(new_page, tmp_path):
    assert main(["demo", "--model", RECORD, "--out", str(tmp_path / "my demo")]) == 0
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, **quiet) as server:
        port = server.stdout.readline().split(" port ")[1].split()[0]
        page = new_page(f"http://127.0.0.1:{port}/my%20demo/")  # in a folder of the server, as on GitHub Pages
        says(page, "The astronaut")
        assert "input 320 x 256" in page.locator("#about").inner_text()
        segmenter = Segmenter.load(RECORD).to("cpu")
        compare(page, segmenter, read_image(paths.demo_folder() / "astronaut.jpg"), "record, astronaut")
        choose(page, SAMPLE / "0001.jpg")
        says(page, "0001.jpg")
        compare(page, segmenter, read_image(SAMPLE / "0001.jpg"), "record, 0001.jpg")
        server.terminate()
