"""Is any committed notebook too heavy? `python -m tools.weight`. Outputs stay in git's history for good."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 1_000_000  # bytes


def too_heavy(notebooks: Path = ROOT / "notebooks") -> list[str]:
    """One line per notebook that is above the limit."""
    lines = []
    for path in sorted(notebooks.glob("*.ipynb")):
        if (size := path.stat().st_size) > LIMIT:
            lines.append(f"notebooks/{path.name} weighs {size / 1e6:.2f} MB, its limit is {LIMIT / 1e6:.2f}: save its "
                         "figures as JPEG or palette PNG, at 100 dpi, or show fewer")  # fmt: skip
    return lines


def main() -> int:
    lines = too_heavy()
    print("\n".join(lines) or f"weight: no notebook is above the limit of {LIMIT / 1e6:.0f} MB")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
