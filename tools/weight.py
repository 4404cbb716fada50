"""Is any committed notebook too heavy? `python -m tools.weight`. Outputs stay in git's history for good."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 1_000_000  # bytes
# Heavier from the time before the limit: until they are rewritten, they may not grow.
KNOWN: dict[str, int] = {}


def too_heavy(notebooks: Path = ROOT / "notebooks") -> list[str]:
    """One line per notebook that is above its limit, and per entry of KNOWN that is no longer needed."""
    lines = []
    for path in sorted(notebooks.glob("*.ipynb")):
        size, limit = path.stat().st_size, KNOWN.get(path.stem, LIMIT)
        if size > limit:
            lines.append(f"notebooks/{path.name} weighs {size / 1e6:.2f} MB, its limit is {limit / 1e6:.2f}: save its "
                         "figures as JPEG or palette PNG, at 100 dpi, or show fewer")  # fmt: skip
        elif path.stem in KNOWN and size <= LIMIT:
            lines.append(f"notebooks/{path.name} is light enough: take it out of KNOWN in tools/weight.py")
    return lines


def main() -> int:
    lines = too_heavy()
    print("\n".join(lines) or f"weight: no notebook is above its limit ({LIMIT / 1e6:.0f} MB, "
          f"{len(KNOWN)} known to be heavier)")  # fmt: skip
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
