"""Downloads from a server on this machine: both archives' layouts, every way in which one can fail, and kill -9."""

import errno
import http.server
import io
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from faceseg_utils import __main__ as commands
from faceseg_utils import paths
from faceseg_utils.data import catalog, download, images
from faceseg_utils.data.catalog import DATASETS, Source
from faceseg_utils.data.download import DownloadError, fetch, folder_digest, folder_files, state, status
from faceseg_utils.dataset import PortraitDataset

MEMBERS = DATASETS["picsart"].members


class Server(http.server.ThreadingHTTPServer):
    """`answers` maps a path to (status, content, announced length, seconds between chunks)."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.asked = {}, []

    def offer(self, path, content, status=200, length=None, pause=0.0, root=""):
        self.answers[path] = status, content, len(content) if length is None else length, pause
        return Source(f"http://127.0.0.1:{self.server_port}{path}", root)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        status, content, length, pause = self.server.answers.get(self.path, (404, b"", 0, 0))
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        try:
            for start in range(0, len(content), 2**14) if pause else [0]:
                self.wfile.write(content[start : start + 2**14] if pause else content)
                time.sleep(pause)
        except (BrokenPipeError, ConnectionResetError):
            pass  # our client was killed

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def original(tmp_path, make_dataset, monkeypatch):
    """A tiny picsart whose digest the catalog holds."""
    folder = make_dataset("picsart", 5, tmp_path / "original")
    known = replace(DATASETS["picsart"], digest=folder_digest(folder, MEMBERS))
    monkeypatch.setitem(DATASETS, "picsart", known)
    return folder


@pytest.fixture
def target(tmp_path):
    return tmp_path / "data" / "picsart"


def zipped(folder, root="", also=()) -> bytes:
    """The folder as a zip below `root`, with further (name or ZipInfo, content) pairs."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, root + path.relative_to(folder).as_posix())
        for name, content in also:
            file.writestr(name, content)
    return buffer.getvalue()


def bucket(folder) -> bytes:
    """As the S3 bucket has it: the three folders at the root, a table, what macOS left."""
    return zipped(folder, also=[("sample_submission.csv", "id"), ("__MACOSX/train/._1.jpg", "x")])


def github(folder) -> bytes:
    """As GitHub has it: everything in a folder with the name of the commit."""
    also = [("repo-abc/README.md", "x"), ("repo-abc/data/train/.DS_Store", "x"), ("repo-abc/train/99.jpg", "x")]
    return zipped(folder, "repo-abc/data/", also)


def whole(folder) -> bool:
    return state("picsart", folder) == download.WHOLE


def everything(folder) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def assert_nothing_left(target):
    assert not target.parent.exists() or list(target.parent.iterdir()) == []


def refused(server, target, content, **options) -> str:
    """The reason that is given for the only source; nothing may be left behind."""
    source = server.offer("/a.zip", content, **options)
    with pytest.raises(DownloadError) as error:
        fetch("picsart", target, (source,))
    message = str(error.value)
    assert "\n" not in message and source.url in message and str(target) in message
    assert_nothing_left(target)
    return message


# --- What is there -------------------------------------------------------------------------------------------------


def test_the_digest_sees_names_and_contents_and_nothing_else(original, copy_of):
    digest = folder_digest(original, MEMBERS)
    other = copy_of(original)
    for name in ("train/.DS_Store", "train/Thumbs.db", "sample_submission.csv", "train/JPEG/1.jpg"):
        (other / name).parent.mkdir(exist_ok=True)
        (other / name).write_text("x")
    assert folder_digest(other, MEMBERS) == digest
    (other / "train/1.jpg").rename(other / "train/01.jpg")
    assert folder_digest(other, MEMBERS) != digest
    (other / "train/01.jpg").rename(other / "train/1.jpg")
    content = bytearray((other / "test/6.jpg").read_bytes())
    content[-1] ^= 1
    (other / "test/6.jpg").write_bytes(content)
    assert folder_digest(other, MEMBERS) != digest


def test_files_are_sorted_by_their_whole_names(tmp_path):
    for name in ("b/1", "b/10", "b/2", "a/z"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert folder_files(tmp_path, ("b", "a")) == ["a/z", "b/1", "b/10", "b/2"]
    assert folder_files(tmp_path, ("b",)) == ["b/1", "b/10", "b/2"]


def test_status_tells_missing_whole_and_damaged_apart(original, tmp_path, make_dataset, monkeypatch):
    monkeypatch.setenv("FACESEG_DATA_DIR", str(tmp_path))
    root = tmp_path / "picsart"
    assert status("picsart") == f"picsart: missing ({root}); fetch it: python -m faceseg_utils data picsart"
    root.mkdir()
    assert state("picsart", root) == download.MISSING
    shutil.copytree(original, root, dirs_exist_ok=True)
    assert whole(root) and status("picsart") == f"picsart: present, whole ({root})"
    (root / "train_mask/3.png").unlink()
    assert state("picsart", root) == download.DAMAGED
    assert status("picsart").endswith(f"NOT whole ({root}); remove it, then: python -m faceseg_utils data picsart")
    assert state("picsart", make_dataset("report")) == download.OTHER_LAYOUT


def test_a_damaged_sample_comes_back_with_the_repository(named):
    root = named("sample")
    assert status("sample") == f"sample: present, NOT whole ({root}); remove it, then: git checkout data/sample"


def test_the_real_photos_are_whole(real_photos):
    assert whole(real_photos)
    assert len(folder_files(real_photos, MEMBERS)) == 2 * 1491 + 2177


# --- Fetching ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack, root", [(bucket, ""), (github, "repo-abc/data")])
def test_each_source_gives_the_whole_dataset_and_only_that(server, original, target, pack, root):
    assert fetch("picsart", target, (server.offer("/a.zip", pack(original), root=root),)) == target
    assert whole(target)
    assert sorted(p.name for p in target.iterdir()) == sorted(MEMBERS)
    assert everything(target) == everything(original)
    assert list(target.parent.iterdir()) == [target]


def test_fasseg_leaves_its_other_versions_behind(server, tmp_path, make_dataset, monkeypatch, capsys):
    original = make_dataset("fasseg", 2)
    info = DATASETS["fasseg"]
    monkeypatch.setitem(DATASETS, "fasseg", replace(info, digest=folder_digest(original, info.members)))
    (published,) = info.sources
    commit = "7817f332b68decc858c9e741f8c0b366b9e0289c"
    assert published.url == f"https://github.com/massimomauro/FASSEG-repository/archive/{commit}.zip"
    assert published.root == f"FASSEG-repository-{commit}", "the folder that GitHub puts everything into"
    others = ("V1/Train_RGB/1.bmp", "V2/Test_RGB/JPEG/1.jpg", "V2/.DS_Store", "V3/Train_RGB/1.bmp", "README.md")
    archive = zipped(original, f"{published.root}/", [(f"{published.root}/{name}", "x") for name in others])
    source = server.offer(f"/archive/{commit}.zip", archive, root=published.root)
    monkeypatch.setitem(DATASETS, "fasseg", replace(DATASETS["fasseg"], sources=(source,)))
    monkeypatch.setenv("FACESEG_DATA_DIR", str(tmp_path / "new"))
    assert commands.main(["data", "fasseg"]) == 0
    assert f"fasseg: present, whole ({tmp_path / 'new' / 'fasseg'})" in capsys.readouterr().out
    assert everything(tmp_path / "new" / "fasseg") == everything(original)
    assert [len(PortraitDataset("fasseg", split)) for split in ("all", "exam")] == [2, 2]


def test_the_real_faces_are_whole():
    if not (folder := catalog.location("fasseg")).is_dir():
        pytest.skip(f"no FASSEG photos at {folder}: run `python -m faceseg_utils data fasseg`")
    assert state("fasseg", folder) == download.WHOLE
    assert [len(PortraitDataset("fasseg", split)) for split in ("train", "val", "exam")] == [16, 4, 50]
    assert all(PortraitDataset("fasseg", split).classes == catalog.FACE for split in ("all", "exam"))
    photos = PortraitDataset("fasseg", "all")
    for i in range(len(photos)):
        rgb = images.read_image(photos.items[i].mask)
        nearest = np.argmin([((rgb - np.array(c)) ** 2).sum(-1) for c in DATASETS["fasseg"].colours], 0)
        assert (photos[i][1] == nearest).mean() > 0.995, "only outlines differ from the nearest colour"


def test_a_whole_dataset_is_not_fetched_again(server, original):
    fetch("picsart", original, (server.offer("/a.zip", b""),))
    assert server.asked == []


@pytest.mark.parametrize("fault", ["404", "500", "truncated", "short zip", "other content", "closed"])
def test_the_second_source_is_taken_when_the_first_fails(server, original, target, fault, copy_of, capfd):
    good = bucket(original)
    changed = copy_of(original)
    (changed / "train/1.jpg").write_bytes(b"x")
    first = {
        "404": lambda: server.offer("/first", b"", status=404),
        "500": lambda: server.offer("/first", b"", status=500),
        "truncated": lambda: server.offer("/first", good[:1000], length=len(good)),
        "short zip": lambda: server.offer("/first", good[:1000]),
        "other content": lambda: server.offer("/first", bucket(changed)),
        "closed": lambda: Source("http://127.0.0.1:9/first"),
    }[fault]()
    second = server.offer("/second.zip", github(original), root="repo-abc/data")
    fetch("picsart", target, (first, second))
    assert whole(target)
    assert server.asked == ["/first", "/second.zip"][fault == "closed" :]


def test_all_that_was_tried_is_listed(server, original, target):
    sources = server.offer("/a", b"", status=404), server.offer("/b", b"no zip"), Source("http://127.0.0.1:9/c")
    with pytest.raises(DownloadError) as error:
        fetch("picsart", target, sources)
    assert re.search(r"/a: .*404.*; .*/b: damaged archive.*; .*/c: no connection\. Check the network", str(error.value))
    assert "\n" not in str(error.value)
    assert_nothing_left(target)


def test_wrong_content_is_refused_with_both_digests(server, original, target, copy_of):
    changed = copy_of(original)
    (changed / "test/6.jpg").unlink()
    message = refused(server, target, bucket(changed))
    assert "12 files" in message and DATASETS["picsart"].digest[:12] in message


@pytest.mark.parametrize("name", ["../evil.jpg", "train/../../../evil.jpg", "/tmp/evil.jpg", "C:/evil.jpg", "..\\evil"])
def test_no_entry_leaves_the_target(server, original, target, tmp_path, name):
    """Such an entry is left out with all that is no part of the dataset, or makes the content wrong."""
    try:
        fetch("picsart", target, (server.offer("/a.zip", zipped(original, also=[(name, "x")])),))
    except DownloadError as error:
        assert "other content" in str(error)
    assert not list(tmp_path.rglob("*evil*")) and not os.path.exists("/tmp/evil.jpg")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(server, original, target, kind):
    entry = zipfile.ZipInfo("train/link.jpg")
    entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
    assert "other content" in refused(server, target, zipped(original, also=[(entry, "/etc/passwd")]))


def test_an_entry_twice_is_refused(server, original, target):
    with pytest.warns(UserWarning):
        content = zipped(original, also=[("train/1.jpg", "x")])
    assert "other content" in refused(server, target, content)


def test_a_missing_folder_is_named(server, original, target):
    shutil.rmtree(original / "train_mask")
    assert "no train_mask in the archive" in refused(server, target, bucket(original))


def test_a_flipped_bit_is_noticed(server, original, target):
    content = bytearray(bucket(original))
    content[300] ^= 16  # inside the first photo
    assert "damaged archive" in refused(server, target, bytes(content))


def test_no_network(original, target, monkeypatch):
    import socket

    def no_network(*args, **options):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    with pytest.raises(DownloadError) as error:
        fetch("picsart", target)
    for source in DATASETS["picsart"].sources:
        assert f"{source.url}: no connection" in str(error.value)
    assert "Check the network" in str(error.value)
    assert_nothing_left(target)


def test_a_disk_that_fills_up_while_unpacking(server, original, target, monkeypatch):
    def full(source, out):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    sources = server.offer("/a.zip", bucket(original)), server.offer("/b.zip", bucket(original))
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OSError, match="the disk is full; make room, or set FACESEG_DATA_DIR") as error:
        fetch("picsart", target, sources)
    assert str(target.parent) in str(error.value) and server.asked == ["/a.zip"]
    assert_nothing_left(target)


def test_a_place_that_cannot_be_written(server, original, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot write here .*set FACESEG_DATA_DIR"):
        fetch("picsart", tmp_path / "file" / "picsart", (server.offer("/a.zip", bucket(original)),))
    assert server.asked == []


def test_what_is_there_is_never_overwritten(server, original, target):
    (target / "train").mkdir(parents=True)
    (target / "train" / "mine.jpg").write_text("precious")
    with pytest.raises(FileExistsError, match="move it away"):
        fetch("picsart", target, (server.offer("/a.zip", bucket(original)),))
    assert (target / "train" / "mine.jpg").read_text() == "precious"


def test_an_empty_folder_is_filled(server, original, target):
    target.mkdir(parents=True)
    fetch("picsart", target, (server.offer("/a.zip", bucket(original)),))
    assert whole(target)


def test_another_run_that_was_quicker_is_as_good(server, original, target, monkeypatch):
    replace_ = os.replace

    def late(source, destination):
        if not target.exists():
            shutil.copytree(original, target)
        return replace_(source, destination)

    monkeypatch.setattr(os, "replace", late)
    assert fetch("picsart", target, (server.offer("/a.zip", bucket(original)),)) == target
    assert whole(target) and list(target.parent.iterdir()) == [target]


RUN = """
import sys
from dataclasses import replace
from pathlib import Path
from faceseg_utils.data import download
from faceseg_utils.data.catalog import DATASETS, Source
url, digest, target, where = sys.argv[1:]
DATASETS["picsart"] = replace(DATASETS["picsart"], digest=digest)
if where == "unpacking":  # halt after the third file, to be killed there
    copy, count = download.shutil.copyfileobj, []
    def slow(source, out):
        copy(source, out)
        count.append(1)
        if len(count) == 3:
            out.flush()
            print("halted", flush=True)
            import time
            time.sleep(60)
    download.shutil.copyfileobj = slow
download.fetch("picsart", Path(target), (Source(url),))
"""


@pytest.mark.parametrize("where", ["downloading", "unpacking"])
def test_a_killed_run_leaves_nothing_that_looks_complete_and_the_next_starts_cleanly(server, original, target, where):
    padding = [(f"other/{i}", os.urandom(2**16)) for i in range(20)]
    pause = 0.5 if where == "downloading" else 0
    source = server.offer("/slow.zip", zipped(original, also=padding), pause=pause)
    digest = DATASETS["picsart"].digest
    command = [sys.executable, "-c", RUN, source.url, digest, str(target), where]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    stop = time.monotonic() + 60
    half = {
        "downloading": lambda: size_of(target.parent) > 2**14,
        "unpacking": lambda: any(target.parent.glob(".partial-*/*/test")),
    }[where]
    while not half():
        assert process.poll() is None and time.monotonic() < stop, "the run ended before it could be killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    (partial,) = target.parent.iterdir()
    assert size_of(partial) > 0, "killed half way: something must lie in the partial folder"
    assert not target.exists() and state("picsart", target) == download.MISSING
    make_old(partial)

    fetch("picsart", target, (server.offer("/a.zip", bucket(original)),))
    assert whole(target)
    assert list(target.parent.iterdir()) == [target], "what the killed run left is gone"


def size_of(folder) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def make_old(folder, seconds=download.STALE + 60):
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (time.time() - seconds,) * 2)


def test_a_download_that_may_still_be_running_stays(server, original, target):
    """Also one of another machine on a shared disk, whose process id says nothing here."""
    begun, growing = target.parent / ".partial-picsart-99999999", target.parent / ".partial-picsart-abc"
    other = target.parent / ".partial-fasseg-abc"
    for folder in (begun, growing, other):
        folder.mkdir(parents=True)
        (folder / "archive.zip").touch()
    make_old(growing)
    make_old(other)
    os.utime(growing / "archive.zip")  # the folder is old, but something is still written into it
    fetch("picsart", target, (server.offer("/a.zip", bucket(original)),))
    assert sorted(target.parent.iterdir()) == sorted([begun, growing, other, target])


# --- The command ---------------------------------------------------------------------------------------------------


def test_the_command_lists_every_dataset_with_place_and_state(original, tmp_path, monkeypatch, capsys):
    shutil.copytree(original, tmp_path / "all" / "picsart")
    monkeypatch.setenv("FACESEG_DATA_DIR", str(tmp_path / "all"))
    assert commands.main(["data"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == list(DATASETS)
    said = dict(zip(DATASETS, lines))
    assert "present, whole" in said["picsart"] and str(tmp_path / "all" / "picsart") in said["picsart"]
    assert "missing" in said["fasseg"] and "python -m faceseg_utils data fasseg" in said["fasseg"]


def test_the_command_fetches(server, original, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FACESEG_DATA_DIR", str(tmp_path / "all"))
    source = server.offer("/a.zip", bucket(original))
    monkeypatch.setitem(DATASETS, "picsart", replace(DATASETS["picsart"], sources=(source,)))
    assert commands.main(["data", "picsart"]) == 0
    captured = capsys.readouterr()
    assert "present, whole" in captured.out and "100%" in captured.err  # the progress bar
    assert catalog.find("picsart")[1] == tmp_path / "all" / "picsart"


@pytest.mark.parametrize(
    "name, message", [("picsar", "Did you mean 'picsart'"), ("picsart", "could not be fetched"), ("sample", "course")]
)
def test_faults_are_one_line_on_stderr_and_exit_code_1(original, tmp_path, monkeypatch, capsys, name, message):
    monkeypatch.setenv("FACESEG_DATA_DIR", str(tmp_path / "all"))
    monkeypatch.setattr(paths, "course_root", lambda: tmp_path)
    dead = replace(DATASETS["picsart"], sources=(Source("http://127.0.0.1:9/a.zip"),))
    monkeypatch.setitem(DATASETS, "picsart", dead)
    assert commands.main(["data", name]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error and error.count("\n") == 1
