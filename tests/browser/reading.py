"""What a test reads from an overlay in the page: its pixels, its redraws, its times."""

import base64
import io

import numpy as np
from PIL import Image


def pixels(canvas) -> np.ndarray:
    """The canvas as the page has it, uint8 [H, W, 3]; PNG loses nothing."""
    url = canvas.evaluate("canvas => canvas.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))


def wait_until_drawn(root, press, times=1):
    """Do `press` so many times and wait for the redraws that it causes."""
    drawn = root.evaluate("root => +root.dataset.drawn")
    for _ in range(times):
        press()
    done = "([root, drawn]) => +root.dataset.drawn >= drawn"
    root.page.wait_for_function(done, arg=[root.element_handle(), drawn + times])


def milliseconds(root, slider, key, presses) -> list[float]:
    """From key press to painted frame, `presses` times."""
    root.page.evaluate(
        """([root, slider]) => {
            window.times = [];
            slider.addEventListener("keydown", () => { window.pressed = performance.now(); }, true);
            new MutationObserver(() => requestAnimationFrame(() => {  // drawn: wait until the frame is on its way
                const channel = new MessageChannel();
                channel.port1.onmessage = () => window.times.push(performance.now() - window.pressed);
                channel.port2.postMessage(0);
            })).observe(root, { attributes: true, attributeFilter: ["data-drawn"] });
        }""",
        [root.element_handle(), slider.element_handle()],
    )
    for count in range(1, presses + 1):
        slider.press(key)
        root.page.wait_for_function("count => window.times.length >= count", arg=count)
    return root.page.evaluate("window.times")


def in_words(times) -> str:
    """Times in milliseconds as one line."""
    middle, most = np.median(times), np.quantile(times, 0.9)
    return f"key press to painted frame, {len(times)} times: median {middle:.1f} ms, 90 % below {most:.1f} ms"
