"""The browser page demo/: served on this machine, or written to a folder with a network of the reader's own."""

import functools
import http.server
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from faceseg_utils import paths

OURS = {"README.md", "model.onnx", "model.LICENSE"}  # what concerns the network that comes with the page


def write_demo(out: str | Path, export: Callable[[Path], object] | None = None) -> None:
    """Write the page to a folder for any host of static files.

    `export(file)` writes the ONNX file of another network in place of the page's own (`deploy.onnx.export_onnx`). An
    older page there is replaced. Raises FileExistsError where `out` holds something else, and what `export` raises.
    """
    out = Path(out)
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "model.onnx").is_file()):
        raise FileExistsError(f"{out} holds something else: choose another folder for the page")
    if export:
        export(out / "model.onnx")
    page = str(paths.demo_folder())
    shutil.copytree(page, out, dirs_exist_ok=True, ignore=lambda at, _: OURS if export and at == page else ())


class _Handler(http.server.SimpleHTTPRequestHandler):
    # Written out: on Windows the registry decides, and may call a module "text/plain", which browsers refuse.
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".mjs": "text/javascript",
        ".onnx": "application/octet-stream", ".gz": "application/gzip", ".jpg": "image/jpeg",
    }  # fmt: skip

    def end_headers(self):
        self.send_header("Cache-Control", "no-cache")  # a page that was written anew is seen anew
        super().end_headers()

    def log_message(self, *_):
        pass


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # that one: the browser has left before the end
            super().handle_error(request, client_address)


def new_server(folder: str | Path, port: int) -> http.server.ThreadingHTTPServer:
    """A server of `folder` for this machine alone, at `port` (0: any free one). Raises OSError for a taken port."""
    try:
        handler = functools.partial(_Handler, directory=str(folder))
        return _Server(("127.0.0.1", port), handler)
    except OSError as error:
        raise OSError(f"port {port} cannot be used ({error.strerror}): --port 0 takes a free one") from None
