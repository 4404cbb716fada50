"""Notebook 05 as a reader has it: opened in JupyterLab, run from top to bottom, its widgets used by keyboard."""

import hashlib
import shutil

import numpy as np
import pytest
from PIL import Image

from faceseg_utils.dataset import PortraitDataset
from tests.browser.reading import in_words, milliseconds, pixels, wait_until_drawn
from tools.workbook import NOTEBOOKS

pytestmark = pytest.mark.browser
NAME = "05_error_analysis.ipynb"


@pytest.fixture(scope="module")
def notebook(lab, page):
    """Notebook 05 in the page, all cells run; `notebook(source)`: the cell that holds this source."""
    shutil.copy(NOTEBOOKS / NAME, lab.folder / "notebooks")
    lab.run_all(page, NAME, minutes=8)  # one is enough, unless 03 has left no network and the machine is busy
    return lambda source: page.locator(".jp-Notebook .jp-CodeCell").filter(has_text=source)


def digest(picture: np.ndarray) -> str:
    return hashlib.sha256(picture.tobytes()).hexdigest()


def test_every_cell_ran(page, notebook):
    prompts = page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt").all_inner_texts()
    assert prompts == [f"[{k + 1}]:" for k in range(len(prompts))]


def test_overlay_answers_the_keyboard_and_paints_what_python_says(lab, page, notebook):
    cell = notebook("overlay = widgets.MaskOverlay(")
    root, canvas = cell.locator(".faceseg-overlay"), cell.locator("canvas")
    canvas.scroll_into_view_if_needed()
    before = pixels(canvas)
    said = "import hashlib; print(hashlib.sha256(overlay.pixels().tobytes()).hexdigest())"
    assert digest(before) == lab.ask(page, said)

    threshold = root.get_by_role("slider", name="threshold")
    wait_until_drawn(root, lambda: threshold.press("ArrowRight"), times=25)
    assert lab.told(page, "print(round(overlay.threshold, 2))", "0.75") == "0.75"
    after = pixels(canvas)
    assert (after != before).any() and digest(after) == lab.told(page, said, digest(after))

    wait_until_drawn(root, lambda: root.get_by_role("radio", name="prediction").check())
    wait_until_drawn(root, lambda: root.get_by_role("slider", name="opacity").press("ArrowLeft"), times=5)
    mixed = digest(pixels(canvas))
    assert lab.told(page, said, mixed) == mixed
    wait_until_drawn(root, lambda: root.get_by_role("checkbox", name="person").uncheck())
    bare = digest(pixels(canvas))
    assert lab.told(page, said, bare) == bare == lab.ask(page, said.replace("pixels()", "pixels('photo')"))
    wait_until_drawn(root, lambda: root.get_by_role("checkbox", name="person").check())

    times = milliseconds(root, threshold, "ArrowLeft", 40)
    print(f"\nnotebook 05: {in_words(times)}")


def test_dial_follows_the_keyboard(lab, page, notebook):
    cell = notebook("view = widgets.DialView(")
    root, canvases = cell.locator(".faceseg-dial"), cell.locator("canvas")
    canvases.first.scroll_into_view_if_needed()
    slider = root.get_by_role("slider", name="setting")
    wait_until_drawn(root, lambda: slider.press("End"))
    said = "import hashlib; print(*(hashlib.sha256(p.tobytes()).hexdigest() for p in view.pixels(5)))"
    assert [digest(pixels(canvases.nth(k))) for k in (0, 1)] == lab.ask(page, said).split()
    assert root.get_by_role("status").inner_text() == lab.ask(page, "print(view.text(5))")


def test_gallery_opens_what_enter_is_pressed_on(lab, page, notebook):
    cell = notebook("widgets.Gallery(")
    cell.get_by_label("sort by").select_option("false_positives")
    cell.get_by_label("order").select_option("highest first")
    most = lab.ask(page, "print(widgets.select_rows(table, 'false_positives', False)[0])")
    first = cell.locator(".faceseg-gallery button").first
    page.wait_for_function(
        "([grid, row]) => grid.firstElementChild.dataset.index === row",
        arg=[cell.locator(".faceseg-gallery").element_handle(), most],
    )
    first.focus()
    page.keyboard.press("Enter")
    canvas = cell.locator(".faceseg-overlay canvas")
    canvas.wait_for()
    said = "import hashlib; print(hashlib.sha256(gallery.overlay.pixels().tobytes()).hexdigest())"
    assert digest(pixels(canvas)) == lab.ask(page, said)
    assert lab.ask(page, f"print(table.index[{most}])") in canvas.get_attribute("aria-label")


def test_own_photo_after_a_bad_file(lab, page, notebook, tmp_path):
    cell = notebook("widgets.TryYourPhoto(")
    photo, mask = PortraitDataset("sample", "train", "person")[0]
    (tmp_path / "notes.jpg").write_text("no photo at all")
    Image.fromarray(photo).save(tmp_path / "me.png")
    chooser, line = cell.locator("input[type=file]"), cell.locator(".faceseg-upload [role=status]")
    for name, words in (("notes.jpg", "no image that can be read"), ("me.png", "shown at 240 x 320")):
        chooser.set_input_files(tmp_path / name)
        page.wait_for_function("([a, b]) => a.textContent.includes(b)", arg=[line.element_handle(), words])
    canvas = cell.locator(".faceseg-overlay canvas")
    canvas.wait_for()
    said = "import hashlib; print(hashlib.sha256(tryout.place.children[0].pixels().tobytes()).hexdigest())"
    assert digest(pixels(canvas)) == lab.ask(page, said)
    with page.expect_download() as download:
        cell.get_by_role("link", name="Save me_cutout.png").click()
    cutout = np.asarray(Image.open(download.value.path()))
    kept = cutout[..., 3] > 0
    assert (cutout[kept][:, :3] == photo[kept]).all() and not cutout[~kept].any()  # nothing hidden behind alpha 0
    assert (cutout[..., 3][mask == 1] > 127).mean() > 0.5 > (cutout[..., 3][mask == 0] > 127).mean()
