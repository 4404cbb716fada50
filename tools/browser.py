"""The browser of the tests and of the README's picture: where a Chromium lies, and how it is started."""

import os
import shutil

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


def chromium() -> str:
    """Where a Chromium lies: FACESEG_CHROMIUM, else what the system has; empty if there is none."""
    names = [os.environ.get("FACESEG_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    return next(filter(None, map(shutil.which, filter(None, names))), "")
