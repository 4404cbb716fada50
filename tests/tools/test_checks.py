"""The small checks: weight of the notebooks, external addresses, and no skips in CI."""

import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tools import urls, weight
from tools.workbook import ROOT

ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # a pytest of seconds


def test_no_notebook_is_above_its_limit():
    assert weight.too_heavy() == []


def test_a_heavy_notebook_is_named_with_the_remedy(tmp_path):
    (tmp_path / "04_experiment_log.ipynb").write_bytes(b" " * 1_010_000)
    (tmp_path / "05_error_analysis.ipynb").write_bytes(b" " * 10)
    (heavy,) = weight.too_heavy(tmp_path)
    assert heavy.startswith("notebooks/04_experiment_log.ipynb weighs 1.01 MB, its limit is 1.00: save its figures")


@pytest.fixture
def server():
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(int(self.path[1:4]))
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_address_that_is_gone_is_told_from_one_that_refuses(server):
    assert urls.answer(f"{server}/200") == ""
    assert urls.gone(urls.answer(f"{server}/404#part")) and urls.gone(urls.answer(f"{server}/410"))
    refused = urls.answer(f"{server}/403")
    assert refused.startswith("403") and not urls.gone(refused)
    assert urls.gone("[Errno -2] Name or service not known") and not urls.gone("timed out")


def test_addresses_of_the_data_and_of_all_texts_are_asked(tmp_path):
    (tmp_path / "README.md").write_text("[a](https://a.org/x_(y)), <https://b.org/z>. Not ours: "
                                        "https://colab.research.google.com/github/x", encoding="utf-8")  # fmt: skip
    found = urls.addresses(tmp_path)
    assert [address for address, name in found.items() if name == "README.md"] == ["https://a.org/x_(y",
                                                                                  "https://b.org/z"]  # fmt: skip
    assert any(name == "picsart" for name in found.values())


@pytest.mark.parametrize("folder, allowed, code", [("browser", "0", 0), ("browser", "1", 1), ("render", "1", 1),
                                                   ("unit", "1", 0)])  # fmt: skip
def test_ci_fails_on_a_skip_in_the_browser_or_the_renderer(tmp_path, folder, allowed, code):
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "test_it.py").write_text(
        "import pytest\n@pytest.fixture\ndef browser():\n    pytest.skip('no Chromium here')\n"
        "def test_page(browser):\n    pass\n"
        "@pytest.mark.skipif(True, reason='no renderer')\ndef test_mask():\n    pass\n"
        "@pytest.mark.xfail\ndef test_known():\n    assert False\n", encoding="utf-8")  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | ALONE | {"FACESEG_NO_SKIPS": allowed},
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == code, done.stdout
    assert "no Chromium here" in done.stdout
    assert ("1 xfailed, 2 errors" if code else "2 skipped, 1 xfailed") in done.stdout


def test_ci_fails_on_a_module_that_skips_itself(tmp_path):
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "browser").mkdir()
    (tmp_path / "browser" / "test_it.py").write_text("import pytest\npytest.importorskip('no_such_module')\n",
                                                     encoding="utf-8")  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | ALONE | {"FACESEG_NO_SKIPS": "1"},
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode not in (0, 5) and "no_such_module" in done.stdout
