"""How a command of this folder ends: what its user can mend is one line, never a traceback."""

import os
import sys


def run(main) -> None:
    """Call `main` with the arguments of the command line and leave Python with the exit code that it returns."""
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output has gone, as `... | head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except (ArithmeticError, OSError, RuntimeError, ValueError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt as error:
        print(str(error) or "interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)
