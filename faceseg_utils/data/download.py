"""Fetch a dataset: download, verify against the catalog's digest, unpack, move into place when it is whole.

Everything happens in a folder `.partial-NAME-...` of its own beside the target, and `os.replace` makes it the target
in one step. So a dataset is there and whole or not there at all, whenever a run is killed.
"""

import contextlib
import errno
import glob
import hashlib
import os
import shutil
import tempfile
import time
import zipfile
import zlib
from pathlib import Path

import pooch
import requests

from faceseg_utils import paths
from faceseg_utils.data import catalog

TIMEOUT = 30  # seconds without a byte until a source counts as dead
STALE = 3 * 3600  # seconds without a change after which a partial folder counts as left by a killed run
JUNK = {"Thumbs.db", "desktop.ini"}  # left by file managers, like names that begin with a dot
WHOLE, MISSING, DAMAGED = "present, whole", "missing", "present, NOT whole"
OTHER_LAYOUT = "present, other layout, not verified"


class DownloadError(RuntimeError):
    """No source gave the dataset; the message lists what was tried and what to do."""


class BadArchive(ValueError):
    """An archive that is damaged or not the dataset."""


def folder_files(root: Path, members: tuple[str, ...]) -> list[str]:
    """The files that lie directly in the folders `members` of `root`: names relative to `root`, with "/", sorted."""
    found = [path for member in members for path in Path(root, member).glob("*") if path.is_file()]
    wanted = (path for path in found if not path.name.startswith(".") and path.name not in JUNK)
    return sorted(path.relative_to(root).as_posix() for path in wanted)


def folder_digest(root: Path, members: tuple[str, ...]) -> str:
    """SHA-256, in hex, over the names, lengths and contents of the files that `folder_files` lists."""
    digest = hashlib.sha256()
    for name in folder_files(root, members):
        content = Path(root, name).read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def state(name: str, root: Path) -> str:
    """What is at `root` of dataset `name`: WHOLE, MISSING, DAMAGED or OTHER_LAYOUT. Reads every file once."""
    info = catalog.described(name)
    if not root.is_dir() or not any(root.iterdir()):
        return MISSING
    if name == "picsart" and (root / "train" / "images").is_dir():  # the layout of the report, see `catalog.find`
        return OTHER_LAYOUT
    return WHOLE if folder_digest(root, info.members) == info.digest else DAMAGED


def status(name: str) -> str:
    """One line: where dataset `name` is looked for, what is there, and the command that brings it if it is not."""
    root = catalog.location(name)
    found = state(name, root)
    remedy = f"python -m faceseg_utils data {name}" if catalog.DATASETS[name].sources else f"git checkout data/{name}"
    hint = {MISSING: f"; fetch it: {remedy}", DAMAGED: f"; remove it, then: {remedy}"}.get(found, "")
    return f"{name}: {found} ({root}){hint}"


def fetch(name: str, root: str | Path | None = None, sources: tuple[catalog.Source, ...] | None = None) -> Path:
    """Bring dataset `name`, whole, to `root` and return its folder. Does nothing when it is there already.

    `root` is the dataset's own folder (None: where the catalog looks for it); the `sources` (None: the catalog's) are
    tried in their order until one gives the whole dataset.

    Raises ValueError (unknown name, or a dataset without source), FileExistsError (something else is at `root`; it is
    never overwritten), OSError (the folder cannot be written, the disk is full), DownloadError (no source gave it).
    """
    info = catalog.described(name)
    target = Path(root or catalog.location(name)).expanduser().absolute()
    _remove_stale(target)
    found = state(name, target)
    if found in (WHOLE, OTHER_LAYOUT):
        return target
    if found == DAMAGED:
        raise FileExistsError(f"{target} is there but is not {name} as published: move it away, then run this again")
    sources = info.sources if sources is None else sources
    if not sources:
        raise ValueError(catalog.how_to_get(info, target))

    failures = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for source in sources:
            with tempfile.TemporaryDirectory(prefix=f".partial-{target.name}-", dir=target.parent) as partial:
                try:
                    _fetch_from(source, info, Path(partial), target)
                    return target
                except (requests.RequestException, BadArchive) as error:
                    failures.append(f"{source.url}: {_reason(error)}")
    except OSError as error:
        fault = f"cannot write here ({error.strerror or error}); make it writable"
        if error.errno == errno.ENOSPC:
            fault = "the disk is full; make room"
        raise OSError(f"{target.parent}: {fault}, or set FACESEG_DATA_DIR to another folder") from error
    raise DownloadError(
        f"dataset '{name}' could not be fetched. Tried {'; '.join(failures)}. Check the network and run this again "
        f"later, or copy the dataset to {target} (layout: data/README.md)"
    )


def _fetch_from(source: catalog.Source, info: catalog.DatasetInfo, partial: Path, target: Path) -> None:
    """Download, unpack and verify the dataset in the folder `partial`, and move its files to `target` in one step.

    zipfile writes nothing outside of its folder and no links, whatever the archive says; whether the rest is right,
    the digest tells. Raises RequestException, BadArchive or OSError of the disk.
    """
    pooch.get_logger().setLevel("WARNING")  # it would explain its own hashes, which we do not use
    print(f"fetching {info.name} from {source.url}", flush=True)
    downloader = pooch.HTTPDownloader(progressbar=True, chunk_size=2**16, timeout=TIMEOUT)
    archive = pooch.retrieve(source.url, known_hash=None, path=partial, fname="archive.zip", downloader=downloader)
    try:
        with zipfile.ZipFile(archive) as file:
            file.extractall(partial / "everything")
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise BadArchive(f"damaged archive ({error})") from None
    root = partial / "everything" / source.root
    if missing := [member for member in info.members if not (root / member).is_dir()]:
        raise BadArchive(f"no {', '.join(missing)} in the archive")
    names, digest = folder_files(root, info.members), folder_digest(root, info.members)
    if digest != info.digest:
        found = f"{len(names)} files, digest {digest[:12]} not {info.digest[:12]}"
        raise BadArchive(f"other content than expected ({found})")
    for name in names:
        (partial / "whole" / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(root / name, partial / "whole" / name)
    try:
        if target.is_dir():  # and empty; Windows replaces no folder, not even such a one
            target.rmdir()
        os.replace(partial / "whole", target)
    except OSError:
        if state(info.name, target) != WHOLE:  # else another run was quicker: as good
            raise


def _remove_stale(target: Path) -> None:
    """Remove partial folders of the same dataset that killed runs have left, told by their age.

    A process id would say nothing: on a shared disk the download may be running on another machine.
    """
    for folder in target.parent.glob(f".partial-{glob.escape(target.name)}-*"):
        with contextlib.suppress(OSError):  # it is being moved into place or removed
            if max(path.stat().st_mtime for path in (folder, *folder.rglob("*"))) < time.time() - STALE:
                shutil.rmtree(folder, ignore_errors=True)


def _reason(error: Exception) -> str:
    """Why a source failed, in a few words."""
    for kind, reason in (
        (requests.exceptions.SSLError, "its certificate was refused"),
        (requests.Timeout, f"no answer within {TIMEOUT} s"),
        (requests.exceptions.ChunkedEncodingError, "the download broke off"),
        (requests.ConnectionError, "no connection"),
    ):
        if isinstance(error, kind):
            return reason
    return paths.one_line(error).partition(" for url: ")[0]
