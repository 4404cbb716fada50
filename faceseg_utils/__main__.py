"""The course from the command line: `faceseg COMMAND`, or `python -m faceseg_utils COMMAND`.

A command is a function that takes the parsed arguments and answers the exit code (None: 0). Modules are imported
inside, so that `data` and `--help` do not wait for torch.
"""

import argparse
import contextlib
import os
import sys
import tempfile
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

from faceseg_utils.config import CHOICES, PRESETS, TrainConfig, explained

RECORD = "picsart-lite0-record-s0"  # the model that is used where none is named


def data(arguments) -> int:
    """fetch a dataset, list what is there (without a name), or check a folder of your own"""
    from faceseg_utils.data import catalog, checklist, download

    name = arguments.name
    if name and name not in catalog.DATASETS and Path(name).is_dir():
        if arguments.fix_sizes:
            for mask in checklist.fix_sizes(name):
                print(f"resized {mask}")
        checks = checklist.check_list(name)
        print(*checks, sep="\n")
        return int(not all(check.passed for check in checks))
    if arguments.fix_sizes:
        raise ValueError("--fix-sizes is for a folder of your own: name one with images/ and masks/")
    if name:
        download.fetch(name)
    for each in [name] if name else catalog.DATASETS:
        print(download.status(each))
    return 0


def train(arguments) -> None:
    """train by a preset, with changes, from ImageNet weights, random ones, or on from a saved model (--weights)"""
    from faceseg_utils.network.saved import model_folder, read_config
    from faceseg_utils.training import train as run

    given = {field.name: getattr(arguments, field.name) for field in fields(TrainConfig)}
    given = {name: value for name, value in given.items() if value is not None}
    if "weights" in given and "model" not in given:
        given["model"] = read_config(model_folder(given["weights"])).model
    trained = run(replace(PRESETS[arguments.preset], **given), arguments.out, arguments.resume, arguments.device)
    if os.environ.get("RANK", "0") == "0":  # torchrun numbers its processes; one of them speaks
        print(f"Dice {trained.dice:.4f} on {len(trained.val_scores)} validation photos; the run is in {trained.folder}")


def evaluate(arguments) -> None:
    """score a model on photos with masks, one by one at native resolution"""
    from faceseg_utils.analysis import classes
    from faceseg_utils.data import catalog
    from faceseg_utils.dataset import PortraitDataset
    from faceseg_utils.evaluation import evaluate as score
    from faceseg_utils.model import Segmenter
    from faceseg_utils.network.saved import model_folder, trained_on
    from faceseg_utils.paths import write_text
    from faceseg_utils.statistics import bootstrap_mean, verdict

    segmenter = Segmenter.load(arguments.model)
    other = Segmenter.load(arguments.against) if arguments.against else None
    info, root = catalog.find(arguments.dataset)
    learned = trained_on(model_folder(arguments.model))
    known = info.name in catalog.DATASETS or (learned and Path(learned).expanduser().resolve() == root.resolve())
    split = arguments.split or ("val" if known else "all")
    if "exam" in split:
        raise ValueError(f"the exam is opened once per model, and logged: python -m experiments.exam {arguments.model}")
    photos = PortraitDataset(arguments.dataset, split, _view_of(info, segmenter.classes))
    scores = score(segmenter, photos)
    measures = ("dice", "iou", "boundary_f1")
    for name in measures:
        mean, low, high = bootstrap_mean(scores[name], people=photos.people)
        print(f"{name:12s} {mean:.4f}   95 % interval {low:.4f} to {high:.4f}")
    count = f"{len(scores)} photos, split {split}"
    if split not in ("all", "test"):
        count = f"{len(scores)} of {len(PortraitDataset(arguments.dataset, 'all'))} photos, split {split}"
    worst = scores["dice"].nsmallest(3)
    print(f"{count}; lowest Dice: " + ", ".join(f"{name} {value:.3f}" for name, value in worst.items()))
    if len(segmenter.classes) > 2:
        tables = classes.confusions(segmenter, photos)
        print(classes.report(tables, segmenter.classes))
    if other:
        print(f"minus {arguments.against} on the same photos, with 99 % intervals over people:")
        others = score(other, photos)
        for name in measures:
            print(f"{name:12s} {verdict(others[name], scores[name], photos.people)}")
    if arguments.out:
        write_text(arguments.out, scores.to_csv(lineterminator="\n"))


def _view_of(info, classes) -> str:
    """The view of a dataset that has the model's classes."""
    for name, view in info.views.items():
        if view.classes == tuple(classes):
            return name
    raise ValueError(f"the model knows {', '.join(classes)}; dataset '{info.name}' has no such view")


def predict(arguments) -> int:
    """write masks and cut-outs of photos, or masks, colours and areas of several classes"""
    from faceseg_utils.data.images import shown
    from faceseg_utils.deploy.files import predict_files
    from faceseg_utils.model import Segmenter

    done = predict_files(
        Segmenter.load(arguments.model), arguments.photos, arguments.out,
        arguments.mask_only, arguments.hard, arguments.background, arguments.overwrite,
    )  # fmt: skip
    skipped = f", {len(done.skipped)} skipped" if done.skipped else ""
    where = f"; see {shown(arguments.out)}" if done.written else ""
    print(f"{len(done.written)} photo{'s' * (len(done.written) != 1)} done{skipped}{where}")
    return int(bool(done.skipped) or not done.written)


def export(arguments) -> None:
    """write a model as ONNX, for programs without torch, and compare the two"""
    from faceseg_utils.deploy.onnx import export_onnx
    from faceseg_utils.model import Segmenter

    difference = export_onnx(Segmenter.load(arguments.model), arguments.out)
    print(f"{arguments.out} written; it differs from torch by at most {difference:.1e} in probability")


def demo(arguments) -> None:
    """serve the browser page on this machine, or write it to a folder (--out), with a model of your own (--model)"""
    from faceseg_utils.deploy import demo
    from faceseg_utils.paths import demo_folder

    network = None
    if arguments.model:
        from faceseg_utils.deploy.onnx import export_onnx
        from faceseg_utils.model import Segmenter

        network = partial(export_onnx, Segmenter.load(arguments.model))
    if arguments.out:
        demo.write_demo(arguments.out, network)
        print(f"{arguments.out} written: the page, ready for any host of static files")
        return
    with tempfile.TemporaryDirectory() as scratch, contextlib.suppress(KeyboardInterrupt):
        if network:
            demo.write_demo(scratch, network)
        with demo.new_server(scratch if network else demo_folder(), arguments.port) as server:
            print(f"http://127.0.0.1:{server.server_port}/ shows the page; Ctrl+C ends it", flush=True)
            server.serve_forever()


def log(arguments) -> None:
    """list runs, best first: what differs between them and what came out"""
    from faceseg_utils.log.runs import log_table

    print(log_table(arguments.folder))


def bench(arguments) -> None:
    """measure how fast a training step and a prediction are here, as ratios"""
    from faceseg_utils.probes.bench import bench as measure

    measure(arguments.model, tuple(arguments.size), arguments.batch, arguments.rounds)


COMMANDS = {"use a model": (predict, evaluate, export, demo), "photos": (data,), "train": (train, log, bench)}


def parser() -> argparse.ArgumentParser:
    """All commands and their options; each sub-parser carries its function as `run`."""
    epilog = ""
    for title, runs in COMMANDS.items():
        epilog += "\n".join([title, *(f"  {run.__name__:10s}{run.__doc__}" for run in runs), "\n"])
    epilog += "`faceseg COMMAND --help` lists the options of a command."
    raw = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    top = argparse.ArgumentParser(prog="faceseg", usage="faceseg COMMAND ...", epilog=epilog, **raw)
    commands = top.add_subparsers(metavar="COMMAND", required=True, prog="faceseg", help=argparse.SUPPRESS)
    option = {}
    for run in sum(COMMANDS.values(), ()):
        sub = commands.add_parser(run.__name__, description=run.__doc__)
        sub.set_defaults(run=run)
        option[run] = sub.add_argument
        if run in (predict, evaluate, export):
            sub.add_argument("--model", default=RECORD, help="a model's name or folder (default: %(default)s)")
        if run is train:
            sub.usage = "faceseg train --out FOLDER [--preset NAME] [--resume] [settings]"
            settings = sub.add_argument_group("settings, in place of the preset's")

    option[predict]("photos", nargs="+", metavar="PHOTO", help="files or folders")
    option[predict]("--out", default="predicted", metavar="FOLDER", help="where to write (default: %(default)s/)")
    option[predict]("--mask-only", action="store_true", help="the masks alone")
    option[predict]("--hard", action="store_true", help="cut out along the mask, without soft edges")
    behind = "behind the person: transparent, blur, a colour such as white, or a picture file"
    option[predict]("--background", default="transparent", help=behind)
    option[predict]("--overwrite", action="store_true", help="replace results that are there already")

    option[evaluate]("--dataset", default="sample", help="a dataset's name or a folder")
    splits = "train, val or all (default: val; all for a folder that the model has not learned from)"
    option[evaluate]("--split", help=splits)
    option[evaluate]("--against", metavar="OTHER", help="another model: also print the differences, photo by photo")
    option[evaluate]("--out", metavar="FILE.csv", help="also write the scores of every photo")

    option[export]("--out", required=True, metavar="FILE.onnx")

    option[demo]("--model", help="a model's name or folder (default: the network that comes with the page)")
    option[demo]("--out", metavar="FOLDER", help="write the page to this folder and do not serve it")
    option[demo]("--port", type=int, default=8017, help="where it is served (default: %(default)s)")

    option[data]("name", nargs="?", metavar="NAME", help="a dataset to fetch, or a folder to check")
    option[data]("--fix-sizes", action="store_true", help="resize masks in the folder to their photos first")

    option[train]("--preset", default="quick", choices=PRESETS, help="what the settings change (default: quick)")
    option[train]("--out", required=True, metavar="FOLDER", help="where the run is written")
    option[train]("--resume", action="store_true", help="go on with the run in --out")
    option[train]("--device", choices=("cpu",), help="cpu: even where there is a GPU")
    _add_settings(settings)

    option[log]("folder", nargs="?", help="a folder of runs (default: the runs of record)")

    option[bench]("--model", default="resnet34")
    option[bench]("--size", type=int, nargs=2, default=(320, 320), metavar=("HEIGHT", "WIDTH"))
    option[bench]("--batch", type=int, default=8)
    option[bench]("--rounds", type=int, default=5, help="steps of each loop, in turns")
    return top


def _add_settings(group) -> None:
    """One option for each field of `TrainConfig`, explained by the comment behind it."""
    texts = explained(TrainConfig)
    for field in fields(TrainConfig):
        option, text = f"--{field.name.replace('_', '-')}", texts[field.name].replace("%", "%%")
        if field.name == "size":
            group.add_argument(option, type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help=text)
        elif isinstance(field.default, bool):
            group.add_argument(option, action=argparse.BooleanOptionalAction, default=None, help=text)
        else:
            group.add_argument(option, type=type(field.default), choices=CHOICES.get(field.name), help=text)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parsed = parser().parse_args(arguments)
    return exit_code(lambda: parsed.run(parsed))


def exit_code(command) -> int:
    """Call `command`; returns its exit code. What the user can mend is one line on stderr and 1, never a traceback."""
    for stream in (sys.stdout, sys.stderr):  # a file's name may hold what the terminal cannot show
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = command() or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader of our output has gone, as `... | head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ModuleNotFoundError as error:
        line = f"{error}: is the environment of the course active? `. .venv/bin/activate`, after `make setup`"
    except MemoryError:
        line = "out of memory: take smaller photos, a smaller size or fewer photos per batch"
    except (ValueError, OSError, RuntimeError, ArithmeticError) as error:
        line = str(error) or type(error).__name__
    except KeyboardInterrupt as stop:
        print(str(stop) or "interrupted", file=sys.stderr)
        return 130
    print(f"error: {' '.join(line.split())}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
