"""On Colab or Kaggle: install what is missing and move into the notebooks' folder.

The set-up cell of a notebook runs this file right after it has cloned the repository. The machine's own
torch, numpy and pandas stay as they are (a constraints file holds them): replacing them breaks the session.
"""

import importlib
import os
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

KEEP = ["torch", "torchvision", "numpy", "pandas", "pillow", "scipy"]


def constraints() -> str:
    """A line `name==version` for each package of KEEP that is installed."""
    lines = []
    for name in KEEP:
        try:
            lines.append(f"{name}=={version(name)}\n")
        except PackageNotFoundError:
            pass
    return "".join(lines)


def main() -> None:
    import tomllib  # in Python since 3.11: Colab and Kaggle have it, those who only read this file need not

    root = Path(__file__).resolve().parent.parent
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = [*project["dependencies"], *project["optional-dependencies"]["export"]]
    with tempfile.TemporaryDirectory() as folder:
        held = Path(folder, "constraints.txt")
        held.write_text(constraints(), encoding="utf-8")
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-c", str(held), *needs], check=True)
    importlib.invalidate_caches()
    sys.path.insert(0, str(root))
    os.chdir(root / "notebooks")
    try:  # Colab shows widgets of other makers only when asked to
        from google.colab import output

        output.enable_custom_widget_manager()
    except ImportError:
        pass


if __name__ == "__main__":
    main()
