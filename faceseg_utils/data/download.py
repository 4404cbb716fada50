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
from dataclasses import dataclass
from pathlib import Path

import pooch
import requests

from faceseg_utils import paths
from faceseg_utils.data import catalog

TIMEOUT = 30  # seconds without a byte until a source counts as dead
STALE = 3 * 3600  # seconds without a change after which a partial folder counts as left by a killed run
JUNK = {"__MACOSX", "Thumbs.db", "desktop.ini"}  # left by file managers, like names that begin with a dot


class DownloadError(RuntimeError):
    """No source gave the dataset; the message lists what was tried and what to do."""


class BadArchive(ValueError):
    """An archive that is damaged, unsafe to unpack, or not the dataset."""


# --- What is there -------------------------------------------------------------------------------------------------


def _is_junk(parts: tuple[str, ...]) -> bool:
    return any(part.startswith(".") or part in JUNK for part in parts)


def folder_files(root: Path, members: tuple[str, ...] = ()) -> list[str]:
    """Names of the files that make up a dataset, relative to `root` with "/", sorted.

    Those lying directly in the folders `members`, or all files below `root` when there are no members. Files that
    operating systems leave behind (.DS_Store, Thumbs.db, __MACOSX) do not count.
    """
    root = Path(root)
    found = [p for member in members for p in (root / member).glob("*")] if members else root.rglob("*")
    names = [path.relative_to(root) for path in found if path.is_file()]
    return sorted(name.as_posix() for name in names if not _is_junk(name.parts))


def folder_digest(root: Path, members: tuple[str, ...] = ()) -> str:
    """SHA-256, in hex, over the names, lengths and contents of the files that `folder_files` lists."""
    digest = hashlib.sha256()
    for name in folder_files(root, members):
        content = (Path(root) / name).read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


@dataclass(frozen=True)
class Status:
    """Where a dataset is looked for and what is there: `state` is one of the texts below."""

    name: str
    folder: Path
    state: str

    WHOLE = "present, whole"
    MISSING = "missing"
    DAMAGED = "present, NOT whole"
    OTHER_LAYOUT = "present, other layout, not verified"

    def __str__(self) -> str:
        hint = ""
        if self.state == self.MISSING and catalog.DATASETS[self.name].sources:
            hint = f"; fetch it: python -m faceseg_utils data {self.name}"
        elif self.state == self.DAMAGED and self.name == "sample":
            hint = "; it came with the repository: git checkout data/sample"
        elif self.state == self.DAMAGED:
            hint = f"; remove it, then: python -m faceseg_utils data {self.name}"
        return f"{self.name}: {self.state} ({self.folder}){hint}"


def status(name: str, root: Path | None = None) -> Status:
    """What is known of dataset `name` at `root` (default: where the catalog looks for it). Reads every file once."""
    info = _describe(name)
    root = Path(root or catalog.location(name))
    if not root.is_dir() or not any(root.iterdir()):
        return Status(name, root, Status.MISSING)
    if name == "picsart" and (root / "train" / "images").is_dir():  # the report's layout, see `catalog.find`
        return Status(name, root, Status.OTHER_LAYOUT)
    same = folder_digest(root, info.members) == info.digest
    return Status(name, root, Status.WHOLE if same else Status.DAMAGED)


def _describe(name: str) -> catalog.DatasetInfo:
    if name in catalog.DATASETS:
        return catalog.DATASETS[name]
    hint = paths.did_you_mean(name, catalog.DATASETS)
    raise ValueError(f"unknown dataset '{name}': choose one of {', '.join(catalog.DATASETS)}.{hint}")


# --- Fetching ------------------------------------------------------------------------------------------------------


def fetch(name: str, root: str | Path | None = None, sources: tuple[catalog.Source, ...] | None = None) -> Path:
    """Bring dataset `name`, whole, to `root` and return its folder. Does nothing when it is there already.

    `root` is the dataset's own folder (None: where the catalog looks for it); the `sources` (None: the catalog's) are
    tried in their order until one gives the whole dataset.

    Raises ValueError (unknown name, or a dataset without source), FileExistsError (something else is at `root`; it is
    never overwritten), OSError (the folder cannot be written, the disk is full), DownloadError (no source gave it).
    """
    info = _describe(name)
    target = Path(root or catalog.location(name)).expanduser().absolute()
    _remove_stale(target)
    found = status(name, target)
    if found.state in (Status.WHOLE, Status.OTHER_LAYOUT):
        return target
    if found.state == Status.DAMAGED:
        raise FileExistsError(f"{target} is there but is not {name} as published: move it away, then run this again")
    sources = info.sources if sources is None else sources
    if not sources:
        raise ValueError(f"dataset '{name}' is not at {target}: it comes with the course, so check that out again")

    failures = []
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for source in sources:
            with tempfile.TemporaryDirectory(prefix=f".partial-{target.name}-", dir=target.parent) as partial:
                try:
                    _fetch_from(source, info, Path(partial))
                except (requests.RequestException, BadArchive) as error:
                    failures.append(f"{source.url}: {_reason(error)}")
                    continue
                _move_into_place(Path(partial, "unpacked"), target, info)
                return target
    except OSError as error:
        raise _local_fault(error, target.parent) from error
    raise DownloadError(
        f"dataset '{name}' could not be fetched. Tried {'; '.join(failures)}. Check the network and run this again "
        f"later, or copy the dataset to {target} (layout: data/README.md)"
    )


def _fetch_from(source: catalog.Source, info: catalog.DatasetInfo, partial: Path) -> None:
    """Download, unpack into `partial`/unpacked, verify. Raises RequestException, BadArchive or OSError of the disk."""
    pooch.get_logger().setLevel("WARNING")  # it would explain its own hashes, which we do not use
    print(f"fetching {info.name} from {source.url}", flush=True)
    downloader = pooch.HTTPDownloader(progressbar=True, chunk_size=2**16, timeout=TIMEOUT)
    archive = pooch.retrieve(source.url, known_hash=None, path=partial, fname="archive.zip", downloader=downloader)
    unpack(archive, partial / "unpacked", source.root, info.members)
    digest = folder_digest(partial / "unpacked", info.members)
    if digest != info.digest:
        count = len(folder_files(partial / "unpacked", info.members))
        raise BadArchive(f"other content than expected ({count} files, digest {digest[:12]} not {info.digest[:12]})")


def unpack(archive: str | Path, target: Path, root: str, members: tuple[str, ...]) -> None:
    """Unpack a zip beside `target` and move the files of its folders `members` below `root` into `target`.

    zipfile writes nothing outside of its folder and no links, whatever the archive says; whether the rest is right,
    the digest tells. Raises BadArchive when the archive is damaged or lacks a member.
    """
    with tempfile.TemporaryDirectory(dir=Path(target).parent) as everything:
        try:
            with zipfile.ZipFile(archive) as file:
                file.extractall(everything)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
            raise BadArchive(f"damaged archive ({error})") from None
        missing = [member for member in members if not Path(everything, root, member).is_dir()]
        if missing:
            raise BadArchive(f"no {', '.join(missing)} in the archive")
        for member in members:
            Path(target, member).mkdir(parents=True)
            for path in Path(everything, root, member).iterdir():
                if path.is_file() and not _is_junk((path.name,)):
                    os.replace(path, Path(target, member, path.name))


def _move_into_place(unpacked: Path, target: Path, info: catalog.DatasetInfo) -> None:
    try:
        if target.is_dir() and not any(target.iterdir()):
            target.rmdir()  # Windows does not replace a folder, not even an empty one
        os.replace(unpacked, target)
    except OSError:
        if status(info.name, target).state != Status.WHOLE:  # else another run was quicker: as good
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
    if isinstance(error, requests.HTTPError):
        return f"the server says {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate was refused"
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the download broke off"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return " ".join(str(error).split())


def _local_fault(error: OSError, folder: Path) -> OSError:
    """The same fault of disk or permissions, with folder and remedy in one line."""
    what = "the disk is full" if error.errno == errno.ENOSPC else f"cannot write here ({error.strerror or error})"
    remedy = "make room" if error.errno == errno.ENOSPC else "make it writable"
    return OSError(f"{folder}: {what}; {remedy}, or set FACESEG_DATA_DIR to another folder")
