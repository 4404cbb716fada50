"""The course from the command line: `python -m faceseg_utils COMMAND`.

A command is a function that takes the parsed arguments and answers the exit code (None: 0). Modules are imported
inside, so that `data` and `--help` do not wait for torch.
"""

import argparse
import os
import sys


def data(arguments) -> int:
    """Fetch one dataset, or list all of them: where each is looked for, whether it is there, whether it is whole."""
    from faceseg_utils import catalog, download

    if arguments.name:
        folder = download.fetch(arguments.name)
        print(f"{arguments.name} is whole at {folder}")
        return 0
    for name in catalog.DATASETS:
        print(download.status(name))
    return 0


def parser() -> argparse.ArgumentParser:
    """All commands and their options; each sub-parser carries its function as `run`."""
    top = argparse.ArgumentParser(prog="python -m faceseg_utils", description="Portrait segmentation with U-Net.")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    command = commands.add_parser("data", help="fetch a dataset, or list what is there", description=data.__doc__)
    command.add_argument("name", nargs="?", metavar="NAME", help="the dataset to fetch (without: list all)")
    command.set_defaults(run=data)

    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command. What the user can mend is one line on stderr and exit code 1, never a traceback."""
    parsed = parser().parse_args(arguments)
    try:
        return parsed.run(parsed) or 0
    except BrokenPipeError:  # the reader of our output has gone, as `... | head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
