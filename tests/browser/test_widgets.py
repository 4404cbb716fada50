"""The widgets in a real JupyterLab: what the page paints is what the pure functions say, by mouse and by keyboard."""

import io

import numpy as np
import pytest
from PIL import Image

from faceseg_utils.analysis import errors
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.deploy.files import cut_out
from faceseg_utils.widgets import MaskOverlay, select_rows
from tests.browser.reading import in_words, milliseconds, pixels, wait_until_drawn

pytestmark = pytest.mark.browser

# A network is not needed here: blurred masks stand in for probabilities, the same in the kernel and in the test.
SETUP = """
import numpy as np
from scipy import ndimage
from faceseg_utils import widgets
from faceseg_utils.analysis import errors
from faceseg_utils.dataset import PortraitDataset

def blurred(view, count=16):
    data = PortraitDataset("sample", "val", view)
    photos, masks = zip(*(data[i] for i in range(count)))
    probabilities = []
    for mask in masks:
        p = np.stack([ndimage.gaussian_filter((mask == k).astype(float), 6) for k in range(len(data.classes))])
        probabilities.append(p[1] / p.sum(axis=0) if len(p) == 2 else p / p.sum(axis=0))
    return data, photos, masks, probabilities

class Bright:
    classes = ("background", "person")

    def __init__(self, power=1):
        self.power = power

    def predict(self, photo):
        return (photo[..., 0] / 255) ** self.power
"""
OVERLAY = """
data, photos, masks, probabilities = blurred("{view}", 4)
widgets.MaskOverlay(photos[3], masks[3], probabilities[3], data.classes, layer="prediction")
"""
GALLERY = """
data, photos, masks, probabilities = blurred("person")
table = errors.score_table([p > 0.3 for p in probabilities], masks, data.stems[:16], data.table)
widgets.Gallery(photos, masks, probabilities, table)
"""
OWN = "widgets.TryYourPhoto(Bright())"
TRAINING = """
import pandas as pd

data, photos, masks, probabilities = blurred("person", 2)
view, rows = widgets.TrainingView(photos, masks), []
for epoch in range(3):
    rows.append({"epoch": epoch, "train_loss": 1.0, "val_loss": 0.9 - epoch / 4, "train_dice": 0.8, "val_dice": 0.9})
    view(pd.DataFrame(rows), Bright(epoch + 1))
"""
FIELD = """
import torch
from faceseg_utils.model import UNet

def receptive_field():
    torch.manual_seed(0)
    x = torch.rand(3, 64, 48) * 2 - 1
    photo = ((x.permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
    return widgets.ReceptiveField(UNet(width=8), x, photo)
"""
DIAL = """
def dial():
    data, photos, masks, probabilities = blurred("person", 4)
    return widgets.DialView(photos, masks, probabilities, ["0 stops", "1 stop", "2 stops", "3 stops"])
"""
SHOWN = FIELD + "field = receptive_field()\nfield"
NAMES = {}  # what the cells SETUP, FIELD and DIAL define, here
exec(SETUP + FIELD + DIAL, NAMES)
PIXELS = """canvas => Array.from(
    canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data)"""


@pytest.fixture(scope="module")
def cell(lab, page):
    """`cell(k)`: the k-th cell of the notebook in the page, run."""
    overlays = [OVERLAY.format(view=view) for view in ("person", "parts")]
    cells = [SETUP, *overlays, GALLERY, OWN, TRAINING, SHOWN, "view.slider()", DIAL + "turned = dial()\nturned"]
    lab.write("widgets.ipynb", cells)
    lab.run_all(page, "widgets.ipynb")
    return lambda k: page.locator(".jp-Notebook .jp-Cell").nth(k)


@pytest.mark.parametrize("view, k", [("person", 1), ("parts", 2)], ids=["person", "parts"])
def test_overlay_paints_what_the_functions_say(page, cell, view, k):
    data, photos, masks, probabilities = NAMES["blurred"](view, 4)
    twin = MaskOverlay(photos[3], masks[3], probabilities[3], data.classes, layer="prediction")
    root, canvas = cell(k).locator(".faceseg-overlay"), cell(k).locator("canvas")
    threshold, opacity, zoom = (root.get_by_role("slider", name=name) for name in ("threshold", "opacity", "zoom"))
    before = pixels(canvas)
    assert (before == twin.pixels()).all()

    wait_until_drawn(root, lambda: threshold.press("ArrowRight"), times=20)
    twin.threshold = float(threshold.input_value())
    assert twin.threshold == pytest.approx(0.7)
    assert (pixels(canvas) == twin.pixels()).all() and (pixels(canvas) != before).any()

    wait_until_drawn(root, lambda: opacity.press("End"))
    twin.opacity = 1.0
    assert (pixels(canvas) == twin.pixels()).all()

    name = data.classes[-1]
    wait_until_drawn(root, lambda: root.get_by_role("checkbox", name=name, exact=True).press("Space"))
    twin.visible = twin.visible[:-1]
    assert (pixels(canvas) == twin.pixels()).all()

    for layer in ("photo", "true mask", "error map"):
        wait_until_drawn(root, lambda layer=layer: root.get_by_role("radio", name=layer).check())
        assert (pixels(canvas) == twin.pixels(layer)).all()
        assert canvas.get_attribute("aria-label").startswith(f"{layer} at threshold 0.70")

    width, place = canvas.bounding_box()["width"], zoom.bounding_box()
    zoom.press("ArrowRight")
    page.wait_for_function(
        "([c, w]) => c.getBoundingClientRect().width === 2 * w", arg=[canvas.element_handle(), width]
    )
    assert zoom.bounding_box() == place, "the slider moved while it was used"

    canvas.focus()
    canvas.press("Shift+ArrowUp")
    height, wide = masks[3].shape
    assert f"row {height // 2 - 10}, column {wide // 2}: truth " in root.get_by_role("status").inner_text()

    times = milliseconds(root, threshold, "ArrowLeft", 25)
    print(f"\n{view}: {in_words(times)}")


def test_gallery_sorts_filters_and_opens(page, cell):
    data, photos, masks, probabilities = NAMES["blurred"]("person")
    table = errors.score_table([p > 0.3 for p in probabilities], masks, data.stems[:16], data.table)
    here, buttons = cell(3), cell(3).locator(".faceseg-gallery button")

    def wait_for(rows):
        page.wait_for_function(
            "([grid, rows]) => JSON.stringify([...grid.children].map(b => +b.dataset.index)) === JSON.stringify(rows)",
            arg=[here.locator(".faceseg-gallery").element_handle(), rows.tolist()],
        )

    wait_for(select_rows(table, "dice")[:12])
    assert all("dice" in alt for alt in here.locator("img").evaluate_all("all => all.map(image => image.alt)"))
    here.get_by_label("sort by").select_option("false_positives")
    here.get_by_label("order").select_option("highest first")
    wait_for(select_rows(table, "false_positives", ascending=False)[:12])
    here.get_by_label("only").select_option("sex")
    here.get_by_label("which").select_option("female")
    wanted = select_rows(table, "false_positives", False, "sex", "female")[:12]
    wait_for(wanted)

    window = page.viewport_size
    page.set_viewport_size({"width": window["width"], "height": 620})  # an overlay below the grid is out of sight
    buttons.nth(2).focus()
    page.keyboard.press("Enter")
    canvas = here.locator(".faceseg-overlay canvas")
    canvas.wait_for()
    in_sight = "c => { const box = c.getBoundingClientRect(); return box.top >= 0 && box.bottom <= innerHeight; }"
    page.wait_for_function(in_sight, arg=canvas.element_handle())  # the page has scrolled to it
    page.set_viewport_size(window)
    row = wanted[2]
    twin = MaskOverlay(photos[row], masks[row], probabilities[row])
    assert (pixels(canvas) == twin.pixels()).all()
    assert buttons.nth(2).get_attribute("aria-pressed") == "true"
    assert table.index[row] in canvas.get_attribute("aria-label")


def test_own_photo_bad_files_then_a_good_one(page, cell, tmp_path):
    photo, _ = PortraitDataset("sample", "val", "person")[0]
    (tmp_path / "notes.jpg").write_text("no photo at all")
    (tmp_path / "empty.jpg").write_bytes(b"")
    Image.fromarray(photo).save(tmp_path / "me.png")
    noise = np.random.default_rng(0).integers(0, 256, (7100, 7100, 3), dtype=np.uint8)  # 50 megapixels, over 10 MiB
    Image.fromarray(noise).save(tmp_path / "large.jpg", quality=40)
    assert (tmp_path / "large.jpg").stat().st_size > 10 * 2**20

    here = cell(4)
    button, line = here.locator("input[type=file]"), here.locator(".faceseg-upload [role=status]")
    for name, words in (
        ("notes.jpg", "no image that can be read"),
        ("empty.jpg", "the file is empty"),
        ("large.jpg", "shown at 1414 x 1414"),
        ("notes.jpg", "no image that can be read"),
        ("me.png", "shown at 240 x 320"),
    ):
        button.set_input_files(tmp_path / name)
        said = "([line, a, b]) => line.textContent.includes(a) && line.textContent.includes(b)"
        page.wait_for_function(said, arg=[line.element_handle(), name, words])
    canvas = here.locator("canvas[width='240']")
    canvas.wait_for()
    twin = MaskOverlay(photo, None, photo[..., 0] / 255)
    assert (pixels(canvas) == twin.pixels()).all()

    with page.expect_download() as download:
        here.get_by_role("link", name="Save me_cutout.png").click()
    saved = np.asarray(Image.open(io.BytesIO(download.value.path().read_bytes())))
    assert (saved == np.asarray(cut_out(photo, photo[..., 0] / 255))).all()


def test_training_is_one_picture_redrawn_and_then_the_static_figure(lab, page, cell):
    live = cell(5).locator("img")
    page.wait_for_function("image => image.alt.includes('epoch 3')", arg=live.element_handle())
    assert live.count() == 1 and live.evaluate("image => image.naturalWidth") > 400
    lab.ask(page, "view.show(alt='Curves of a training and two masks.')")
    live.wait_for(state="detached")


def test_the_slider_goes_through_the_epochs_by_keyboard(page, cell):
    picture, handle = cell(7).locator("img"), cell(7).get_by_role("slider")
    seen = [picture.get_attribute("src")]
    for epoch in (2, 3):
        handle.press("ArrowRight")
        shows = "([cell, words]) => cell.querySelector('img').alt === words"
        page.wait_for_function(shows, arg=[cell(7).element_handle(), f"Masks after epoch {epoch}."])
        assert cell(7).locator(".widget-readout").inner_text() == str(epoch)
        seen.append(picture.get_attribute("src"))
    assert len(set(seen)) == 3, "each epoch has masks of its own"


def test_receptive_field_answers_a_click_and_the_keys(lab, page, cell):
    twin, root, canvases = NAMES["receptive_field"](), cell(6).locator(".faceseg-field"), cell(6).locator("canvas")
    scale = canvases.first.evaluate("canvas => canvas.width") // 48
    middle = {"x": 30 * scale + scale // 2, "y": 20 * scale + scale // 2}

    wait_until_drawn(root, lambda: canvases.nth(2).click(position=middle))
    assert lab.told(page, "print(field.pixel)", "[20, 30]") == "[20, 30]"
    _shows(twin, root, canvases, scale, 20, 30)
    wait_until_drawn(root, lambda: canvases.first.press("ArrowLeft"))
    wait_until_drawn(root, lambda: canvases.first.press("ArrowDown"))
    _shows(twin, root, canvases, scale, 21, 29)

    times = milliseconds(root, canvases.first, "ArrowRight", 15)
    print(f"\nreceptive field: {in_words(times)}")


def _shows(twin, root, canvases, scale, row, column):
    """The three canvases show what the functions say, but for the frame around the pixel."""
    assert root.get_by_role("status").inner_text() == twin.describe(row, column)
    for k, wanted in enumerate(twin.pictures(row, column)):
        shown = pixels(canvases.nth(k))[scale // 2 :: scale, scale // 2 :: scale].copy()
        shown[row - 1 : row + 2, column - 1 : column + 2] = wanted[row - 1 : row + 2, column - 1 : column + 2]
        assert np.abs(shown.astype(int) - wanted).max() <= 1  # the last bit of a float may differ from kernel to kernel


def test_dial_paints_and_counts_what_the_functions_say(lab, page, cell):
    twin, root, canvases = NAMES["dial"](), cell(8).locator(".faceseg-dial"), cell(8).locator("canvas")
    slider, line = root.get_by_role("slider", name="setting"), root.get_by_role("status")

    def shows(k):
        assert line.inner_text() == twin.text(k) and slider.get_attribute("aria-valuetext") == twin.labels[k]
        for canvas, wanted in zip((canvases.nth(0), canvases.nth(1)), twin.pixels(k)):
            assert (pixels(canvas) == wanted).all() and twin.text(k) in canvas.get_attribute("aria-label")

    shows(0)
    wait_until_drawn(root, lambda: slider.press("ArrowRight"))
    shows(1)
    wait_until_drawn(root, lambda: slider.press("End"))
    shows(3)
    assert lab.told(page, "print(turned.setting)", "3") == "3"

    slider.press("Home")
    print(f"\ndial: {in_words(milliseconds(root, slider, 'ArrowRight', 3))}")
