"""What maintainers do with the log of record.

    python -m experiments [FOLDER]            the runs of a folder as a table, best first
    python -m experiments --check [FOLDER]    is every run, and every model of record, complete and consistent?
    python -m experiments --table             make the tables of record in experiments/README.md and README.md anew
    python -m experiments publish RUN NAME    make the model of record models/NAME from a finished run
"""

import argparse

from experiments.check import check_log, run_folders
from experiments.command import run
from experiments.exam import check_exam
from experiments.publish import check_models, publish
from experiments.record import write_tables
from faceseg_utils.log.runs import log_table


def check(folder: str | None) -> int:
    """Print the problems of the runs, and without a folder of the models of record too; 1 if there are any."""
    problems = check_log(folder) + ([] if folder else [*check_models(), *check_exam()])
    runs = len(run_folders(folder))
    print("\n".join(problems) or f"{runs} run{'s' if runs > 1 else ''}, complete and consistent")
    return int(bool(problems))


def main(arguments: list[str]) -> int | None:
    if arguments[:1] == ["publish"]:
        what = "Make models/NAME, with a card of its scores, from a finished run whose weights are in RUN/model."
        parser = argparse.ArgumentParser(prog="python -m experiments publish", description=what)
        parser.add_argument("run", metavar="RUN", help="the folder of a finished run, with its weights")
        parser.add_argument("name", metavar="NAME", help="of the model, and of its run in experiments/runs")
        options = parser.parse_args(arguments[1:])
        print(f"{publish(options.run, options.name)} written; now run `python -m experiments --table`")
        return None
    parser = argparse.ArgumentParser(
        prog="python -m experiments", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="look for faults")
    parser.add_argument("--table", action="store_true", help="make the tables of record anew")
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="default: experiments/ of the course")
    options = parser.parse_args(arguments)
    if options.check:
        return check(options.folder)
    if options.table:
        if problems := check_log() + check_models():
            raise ValueError(f"{problems[0]} (the tables are made from runs and models without faults)")
        write_tables()
    else:
        print(log_table(options.folder))
    return None


if __name__ == "__main__":
    run(main)
