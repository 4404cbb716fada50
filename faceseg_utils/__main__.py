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
        download.fetch(arguments.name)
    for name in [arguments.name] if arguments.name else catalog.DATASETS:
        print(download.status(name))
    return 0


def train(arguments) -> None:
    """Train by a preset, with changes, into a run folder; `--resume` goes on with one that was interrupted."""
    from dataclasses import replace

    from faceseg_utils.config import PRESETS
    from faceseg_utils.training import train as run

    if arguments.preset not in PRESETS:
        raise ValueError(f"unknown preset '{arguments.preset}': choose one of {', '.join(PRESETS)}")
    given = {name: getattr(arguments, name) for name in CHANGES if getattr(arguments, name) is not None}
    trained = run(replace(PRESETS[arguments.preset], **given), arguments.out, arguments.resume, arguments.device)
    if os.environ.get("RANK", "0") == "0":  # torchrun numbers its processes; one of them speaks
        print(f"Dice {trained.dice:.4f} on {len(trained.val_scores)} validation photos; the run is in {trained.folder}")


# Options of `train` that change the preset: field of TrainConfig, its type, what it says in --help.
CHANGES = {
    "dataset": (str, "a dataset's name, or a folder with images/ and masks/"),
    "view": (str, "the classes to learn: person, face, parts (what the dataset has)"),
    "model": (str, "unet, lite0, resnet34, unet11, unet16, or an encoder of smp"),
    "epochs": (int, "passes over the training photos"),
    "patience": (int, "stop after so many epochs without a better one (0: never)"),
    "batch_size": (int, "photos a batch, of all processes together"),
    "accumulate": (int, "batches a step of the optimizer"),
    "learning_rate": (float, "the largest learning rate"),
    "loss": (str, "bce, dice, bce+dice, focal, tversky, boundary-bce"),
    "augment": (str, "none, report, portrait"),
    "limit": (int, "take only the first photos of train"),
    "extra": (str, "a folder whose photos are added to train, such as pseudo-labels"),
    "seed": (int, "for every random choice"),
    "precision": (str, "auto (by device), float32, bf16, fp16"),
}


def evaluate(arguments) -> None:
    """Score a model on a split, photo by photo at native resolution: mean, 95 % interval, the worst photos."""
    from faceseg_utils import catalog
    from faceseg_utils.dataset import PortraitDataset
    from faceseg_utils.evaluation import evaluate as score
    from faceseg_utils.experiment import bootstrap_mean
    from faceseg_utils.model import Segmenter

    segmenter = Segmenter.load(arguments.model)
    card = segmenter.card
    view = _view_of(catalog.find(arguments.dataset)[0], card)
    photos = PortraitDataset(arguments.dataset, arguments.split, view, card.pipeline)
    if photos.items[0].mask is None:
        raise ValueError(f"the split '{arguments.split}' of '{arguments.dataset}' has no masks to compare with")
    scores = score(segmenter, photos)
    for name in ("dice", "iou", "boundary_f1"):
        mean, low, high = bootstrap_mean(scores[name])
        print(f"{name:12s} {mean:.4f}   95 % interval {low:.4f} to {high:.4f}")
    worst = scores["dice"].nsmallest(3)
    print(f"{len(scores)} photos; lowest Dice: " + ", ".join(f"{name} {value:.3f}" for name, value in worst.items()))
    if arguments.out:
        scores.to_csv(arguments.out)


def _view_of(info, card) -> str:
    """The view of a dataset that has the model's classes."""
    for name, view in info.views.items():
        if view.classes == tuple(card.classes):
            return name
    raise ValueError(f"the model knows {', '.join(card.classes)}; dataset '{info.name}' has no such view")


def predict(arguments) -> None:
    """Write a mask, and for persons a cut-out, of every photo that is named or lies in a folder that is named."""
    from faceseg_utils.model import Segmenter
    from faceseg_utils.predict import predict_files

    done = predict_files(Segmenter.load(arguments.model), arguments.photos, arguments.out)
    print(f"{len(done)} photos done; masks and cut-outs are in {arguments.out}")


def export(arguments) -> None:
    """Write the model as ONNX and compare what it says with torch."""
    from faceseg_utils.model import Segmenter
    from faceseg_utils.predict import export_onnx

    difference = export_onnx(Segmenter.load(arguments.model), arguments.out)
    print(f"{arguments.out} written; it differs from torch by at most {difference:.1e} in probability")


def bench(arguments) -> None:
    """Our training step against the plain loop of smp's examples, as ratios."""
    from faceseg_utils.bench import bench as measure

    measure(arguments.model, tuple(arguments.size), arguments.batch, arguments.rounds)


def experiments(arguments) -> int:
    """The log as a table; --check: is every run, and every model of record, complete and consistent?"""
    from faceseg_utils import experiment

    if arguments.table:
        from faceseg_utils.record import write_table

        return write_table()
    return experiment.main_check(arguments.folder) if arguments.check else experiment.main_table(arguments.folder)


def publish(arguments) -> None:
    """Make models/ID from a finished run: weights in half precision if no score is lost, and a card of its numbers."""
    from faceseg_utils import publish as models

    print(f"{models.publish(arguments.run_folder, arguments.id)} written; now: experiments --table")


def parser() -> argparse.ArgumentParser:
    """All commands and their options; each sub-parser carries its function as `run`."""
    top = argparse.ArgumentParser(prog="python -m faceseg_utils", description="Portrait segmentation with U-Net.")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    command = commands.add_parser("data", help="fetch a dataset, or list what is there", description=data.__doc__)
    command.add_argument("name", nargs="?", metavar="NAME", help="the dataset to fetch (without: list all)")
    command.set_defaults(run=data)

    command = commands.add_parser("train", help="train a model", description=train.__doc__)
    command.add_argument("--preset", default="quick", help="quick, full, report-default, report-tuned, ...")
    command.add_argument("--out", required=True, metavar="FOLDER", help="where the run is written")
    command.add_argument("--resume", action="store_true", help="go on with the run in --out")
    command.add_argument("--device", choices=("cpu",), help="cpu: even where there is a GPU")
    for name, (kind, text) in CHANGES.items():
        command.add_argument(f"--{name.replace('_', '-')}", type=kind, help=text)
    command.set_defaults(run=train)

    command = commands.add_parser("evaluate", help="score a model", description=evaluate.__doc__)
    command.add_argument("--model", required=True, metavar="FOLDER", help="config.json and model.safetensors")
    command.add_argument("--dataset", default="sample", help="a dataset's name or a folder")
    command.add_argument("--split", default="val")
    command.add_argument("--out", metavar="FILE.csv", help="also write the scores of every photo")
    command.set_defaults(run=evaluate)

    command = commands.add_parser("predict", help="masks and cut-outs of photos", description=predict.__doc__)
    command.add_argument("--model", required=True, metavar="FOLDER")
    command.add_argument("--out", required=True, metavar="FOLDER")
    command.add_argument("photos", nargs="+", metavar="PHOTO", help="files or folders")
    command.set_defaults(run=predict)

    command = commands.add_parser("export", help="write a model as ONNX", description=export.__doc__)
    command.add_argument("--model", required=True, metavar="FOLDER")
    command.add_argument("--out", required=True, metavar="FILE.onnx")
    command.set_defaults(run=export)

    command = commands.add_parser("bench", help="how fast is a training step?", description=bench.__doc__)
    command.add_argument("--model", default="resnet34")
    command.add_argument("--size", type=int, nargs=2, default=(320, 320), metavar=("HEIGHT", "WIDTH"))
    command.add_argument("--batch", type=int, default=8)
    command.add_argument("--rounds", type=int, default=5, help="steps of each loop, in turns")
    command.set_defaults(run=bench)

    command = commands.add_parser("experiments", help="the log of runs", description=experiments.__doc__)
    command.add_argument("--check", action="store_true")
    command.add_argument("--table", action="store_true", help="write the table of record into README.md")
    command.add_argument("folder", nargs="?", help="default: experiments/runs of the course")
    command.set_defaults(run=experiments)

    command = commands.add_parser("publish", help="make a run a model of record", description=publish.__doc__)
    command.add_argument("run_folder", metavar="RUN", help="the folder of a finished run, with its weights")
    command.add_argument("id", metavar="ID", help="the name of the model and of its run in experiments/runs")
    command.set_defaults(run=publish)

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
