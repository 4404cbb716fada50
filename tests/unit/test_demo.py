"""The demo's folder: what is vendored is what it says, what is written is whole, and the server is this machine's own.

What the page does is tested in tests/browser.
"""

import gzip
import hashlib
import re
import signal
import socket
import struct
import subprocess
import sys
import urllib.request

import numpy as np
import pytest

from faceseg_utils import paths
from faceseg_utils.__main__ import main
from faceseg_utils.deploy.demo import new_server, write_demo
from faceseg_utils.model import Segmenter, UNet
from faceseg_utils.network.saved import ModelConfig

DEMO = paths.demo_folder()


def tiny() -> Segmenter:
    config = ModelConfig("unet", ("background", "person"), (64, 96), (0.5,) * 3, (0.5,) * 3, {"width": 4, "depth": 2})
    return Segmenter(UNet(width=4, depth=2).eval(), config)


def tree(folder) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_the_runtime_is_that_of_its_package():
    folder = DEMO / "vendor" / "onnxruntime-web"
    digests = dict(re.findall(r"`dist/(\S+)` \| `(\w{64})`", (folder / "README.md").read_text(encoding="utf-8")))
    content = {path.name: path.read_bytes() for path in folder.iterdir()}
    packed = content.pop("ort-wasm-simd-threaded.wasm.gz")
    content["ort-wasm-simd-threaded.wasm"] = gzip.decompress(packed)
    assert {name: hashlib.sha256(content[name]).hexdigest() for name in digests} == digests
    assert content.keys() == {*digests, "README.md", "LICENSE"}


def test_the_page_has_every_file_that_it_names_and_no_address_elsewhere():
    attributes, strings, modules = r'(?:href|src)="(\w[\w.]*)"', r'"(\w+\.(?:js|onnx|jpg))"', r'"\./([^"]+)"'
    named = {"index.html": attributes, "demo.js": strings, "network.js": modules}
    for name, pattern in named.items():
        text = (DEMO / name).read_text(encoding="utf-8")
        files = re.findall(pattern, text)
        assert files and all((DEMO / file).is_file() for file in files), name
        assert not re.search(r"https?://(?!127\.0\.0\.1)|\beval\(|new Function", text), name
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', (DEMO / "index.html").read_text()).group(1)
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy and "unsafe-inline" not in policy


def test_the_network_of_the_page_is_a_file_of_export():
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    session = onnxruntime.InferenceSession(str(DEMO / "model.onnx"))
    about = session.get_modelmeta().custom_metadata_map
    assert {"size", "classes", "mean", "std", "about"} <= about.keys() and "Apache" in about["about"]
    assert [value.name for value in (*session.get_inputs(), *session.get_outputs())] == ["photo", "probability"]
    assert (DEMO / "model.onnx").stat().st_size < 1_000_000 and "Apache License" in (DEMO / "model.LICENSE").read_text()
    (answer,) = session.run(None, {"photo": np.zeros((1, 3, 256, 256), np.float32)})
    assert answer.shape == (1, 1, 256, 256)


def test_a_page_with_a_network_of_ones_own(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    pytest.importorskip("onnx", reason="the extra `export` is not installed")
    tiny().save(tmp_path / "model")
    out = tmp_path / "deep" / "my demo"
    for _ in range(2):  # an older page is replaced
        assert main(["demo", "--model", str(tmp_path / "model"), "--out", str(out)]) == 0
    assert tree(out) == tree(DEMO) - {"README.md", "model.LICENSE"}
    assert onnxruntime.InferenceSession(str(out / "model.onnx")).get_inputs()[0].shape == ["batch", 3, 64, 96]
    assert (out / "index.html").read_bytes() == (DEMO / "index.html").read_bytes()


def test_the_page_as_it_is(tmp_path):
    assert main(["demo", "--out", str(tmp_path / "page")]) == 0
    assert {name: (tmp_path / "page" / name).read_bytes() for name in tree(DEMO)} == {
        name: (DEMO / name).read_bytes() for name in tree(DEMO)
    }


def test_a_folder_with_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "index.html").write_text("mine")
    for place in ("thesis", "thesis/index.html"):
        assert main(["demo", "--out", str(tmp_path / place)]) == 1
        assert "holds something else: choose another folder" in capsys.readouterr().err
    assert tree(tmp_path) == {"thesis/index.html"} and (tmp_path / "thesis" / "index.html").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    write_demo(tmp_path / "empty")
    assert tree(tmp_path / "empty") == tree(DEMO)


def test_the_command_serves_the_page_until_it_is_interrupted(capsys):
    command = [sys.executable, "-m", "faceseg_utils", "demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            address = process.stdout.readline().split()[0]
            assert address.startswith("http://127.0.0.1:")
            kinds = {}
            for name in ("", "demo.js", "demo.css", "model.onnx", "vendor/onnxruntime-web/ort.wasm.bundle.min.mjs"):
                with urllib.request.urlopen(address + name) as answer:
                    kinds[name.rpartition(".")[2]] = answer.headers["Content-Type"]
                    assert answer.headers["Cache-Control"] == "no-cache" and answer.read()
            host, port = address.removeprefix("http://").strip("/").split(":")
            with socket.create_connection((host, int(port))) as leaving:  # who leaves early is no error
                leaving.sendall(b"GET /model.onnx HTTP/1.1\r\nHost: localhost\r\n\r\n")
                leaving.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            assert (kinds[""], kinds["css"]) == ("text/html", "text/css")
            assert kinds["js"] == kinds["mjs"] == "text/javascript" and kinds["onnx"] == "application/octet-stream"
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0 and process.stderr.read() == ""
        finally:
            process.kill()


def test_a_taken_port_is_one_line(tmp_path, capsys):
    with new_server(tmp_path, 0) as server:
        assert server.server_address[0] == "127.0.0.1"
        assert main(["demo", "--port", str(server.server_port)]) == 1
    assert f"port {server.server_port} cannot be used" in capsys.readouterr().err
