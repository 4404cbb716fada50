"""How a command of this folder ends: what its user can mend is one line, never a traceback."""

import sys

from faceseg_utils.__main__ import exit_code


def run(main) -> None:
    """Call `main` with the arguments of the command line and leave Python with the exit code that it returns."""
    sys.exit(exit_code(lambda: main(sys.argv[1:])))
