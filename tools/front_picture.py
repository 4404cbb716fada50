"""The first picture of the README: what the model of record finds in a real portrait, and the overlay at work.

    python -m tools.front_picture        writes docs/front.jpg; needs a Chromium and `playwright`

The photo is NASA's portrait of the astronaut Eileen Collins (public domain). The overlay is the widget of the
notebooks, run by a browser without a kernel, on the rendered portrait of the validation part that the model gets
most wrong.
"""

import base64
import io
import json

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from faceseg_utils import PortraitDataset, Segmenter, evaluate
from faceseg_utils.__main__ import RECORD
from faceseg_utils.data.images import read_image
from faceseg_utils.deploy.files import cut_out
from faceseg_utils.paths import course_root
from faceseg_utils.widgets.overlay import STATIC, MaskOverlay
from tools.browser import FLAGS, chromium

PAGE = """<!doctype html><meta charset="utf-8"><style>{css}
body {{ margin: 14px; width: 1120px; background: white; color: #222; font: 15px sans-serif; --jp-ui-font-color1: #222 }}
main {{ display: flex; gap: 20px; align-items: flex-start }}
figure {{ margin: 0 }} figure:last-child {{ flex: 1 }} figcaption {{ margin-bottom: 6px; font-weight: 600 }}
</style><main>
<figure><figcaption>a portrait</figcaption><img src="{photo}" height="270"></figure>
<figure><figcaption>the person, cut out</figcaption><img src="{person}" height="270"></figure>
<figure><figcaption>where a model is wrong</figcaption><div id="widget"></div></figure>
</main><script type="module">
import widget from "data:text/javascript;base64,{script}";
const state = {state};
const bytes = text => {{ const b = Uint8Array.from(atob(text), c => c.charCodeAt(0)); return new DataView(b.buffer); }};
for (const name of ["photo", "truth", "levels"]) state[name] = bytes(state[name]);
const model = {{ get: name => state[name], set() {{}}, save_changes() {{}}, on() {{}}, off() {{}} }};
widget.render({{ model, el: document.getElementById("widget") }});
</script>"""


def data_url(picture: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def page() -> str:
    """The whole picture as one HTML page that loads nothing."""
    segmenter = Segmenter.load(RECORD)
    astronaut = read_image(course_root() / "data" / "astronaut.png")
    person = np.asarray(cut_out(astronaut, segmenter.predict(astronaut)))  # [H, W, 4]
    rendered = PortraitDataset("sample", "val")
    photo, mask = rendered[int(evaluate(segmenter, rendered)["dice"].to_numpy().argmin())]
    overlay = MaskOverlay(photo, mask, segmenter.predict(photo), layer="error map")
    state = {name: getattr(overlay, name) for name in overlay.trait_names(sync=True) if not name.startswith("_")}
    state = {name: base64.b64encode(v).decode() if isinstance(v, bytes) else v for name, v in state.items()}
    script = base64.b64encode((STATIC / "overlay.js").read_bytes()).decode()
    css = (STATIC / "overlay.css").read_text(encoding="utf-8")
    state = json.dumps({name: value for name, value in state.items() if isinstance(value, str | int | float | list)})
    return PAGE.format(css=css, photo=data_url(astronaut), person=data_url(person), script=script, state=state)


def main() -> None:
    out = course_root() / "docs" / "front.jpg"
    out.parent.mkdir(exist_ok=True)
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium(), args=FLAGS)
        tab = browser.new_page(viewport={"width": 1134, "height": 300}, device_scale_factor=1.5)
        tab.set_content(page())
        tab.wait_for_selector("[data-drawn]")
        tab.screenshot(path=out.with_suffix(".png"), full_page=True)
        browser.close()
    Image.open(out.with_suffix(".png")).convert("RGB").save(out, quality=85, optimize=True)
    out.with_suffix(".png").unlink()
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
