"""Do the external addresses in the texts still answer? `python -m tools.urls` (needs the network).

Takes those of all Markdown, that of the notebooks too, and of the datasets. Only "not found" and an unknown host count
as dead: many sites answer a program with "forbidden". The repository's own address and the badges are left to
`tools.links`. Only the standard library.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faceseg_utils.data import catalog

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = re.compile(r"https?://[^\s<>\"'`)\]\\]+")
OWN = re.compile(r"https://(colab\.research\.google\.com/|github\.com/faceseg-workbook)|https?://(localhost|127\.|example)")
FOLDERS = ["", ".github", "data", "experiments", "faceseg_utils", "models", "notebooks", "tests"]


def texts(root: Path = ROOT):
    """(name, text) of every Markdown file, and of the Markdown of every notebook."""
    for folder in FOLDERS:
        for path in sorted((root / folder).glob("**/*.md" if folder else "*.md")):
            yield path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        yield path.name, "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")


def addresses(root: Path = ROOT) -> dict[str, str]:
    """Every external address, with the first file or the dataset that has it."""
    found = {source.url: name for name, dataset in catalog.DATASETS.items() for source in dataset.sources}
    for name, text in texts(root):
        for match in ADDRESS.finditer(text):
            address = match.group().rstrip(".,;:*_")
            if not OWN.match(address):
                found.setdefault(address, name)
    return found


def answer(address: str, seconds: float = 20) -> str:
    """"" if the address answers, else what came instead."""
    request = urllib.request.Request(address.split("#")[0], headers={"User-Agent": "Mozilla/5.0 (link check)"})
    try:
        with urllib.request.urlopen(request, timeout=seconds):
            return ""
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.reason}"
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


def gone(said: str) -> bool:
    """Is this the answer of an address that is no longer there?"""
    unknown_host = ("Name or service not known", "getaddrinfo failed", "nodename nor servname")  # by system
    return said.startswith(("404", "410")) or any(words in said for words in unknown_host)


def main() -> int:
    found = addresses()
    with ThreadPoolExecutor(8) as pool:
        answers = dict(zip(found, pool.map(answer, found)))
    dead = 0
    for address, said in answers.items():
        if said:
            print(f"{'dead' if gone(said) else 'unsure'}: {address} in {found[address]} ({said})")
            dead += gone(said)
    print(f"{len(found)} addresses, {dead} dead")
    return bool(dead)


if __name__ == "__main__":
    sys.exit(main())
