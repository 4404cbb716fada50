"""Models of record: models/NAME with config.json, model.safetensors and README.md, the card.

A model has the name of the run in experiments/runs that it comes from, and `check_models` compares its card with that
run: nobody types a score.
"""

import contextlib
import copy
import re
import shutil
from pathlib import Path

from experiments import card
from experiments.check import check
from experiments.markdown import filled
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.evaluation import evaluate
from faceseg_utils.log.runs import SCORES, Run
from faceseg_utils.model import Segmenter
from faceseg_utils.paths import experiments_folder, models_folder, write_text, written_whole

LARGEST = 15_000_000  # bytes of weights that the repository may carry
TOLERATED = 1e-4  # half precision is kept if it lowers no mean score by more
FILES = ("config.json", "metrics.csv", "val_scores.csv", "summary.json")


def publish(run: str | Path, name: str, models: Path | None = None, experiments: Path | None = None) -> Path:
    """Make models/NAME from a finished run for "person" whose weights still lie in RUN/model; returns the new folder.

    The weights are scored anew on the validation photos and must give the run's own scores. They are kept in half
    precision if that lowers no mean score by more than 0.0001. The run's four files are copied to
    experiments/runs/NAME unless they are there. A model that is there and comes from the same run is written anew;
    of its card only what stands between marks changes.

    Raises ValueError, FileNotFoundError or FileExistsError before anything is written when the name is not plain or
    is taken, the run or one that it began with is missing or incomplete, or its weights give other scores; ValueError
    when they are too large; OSError when the disk is full. A new model is there whole or not at all.
    """
    experiments = experiments or experiments_folder()
    if not re.fullmatch(r"\w[\w.-]*", name, re.ASCII) or name.endswith((".", ".new")):
        raise ValueError(f"'{name}' cannot name a model: take letters, digits, '-', '_' and '.', such as first-s0")
    run, place, kept = Run.read(run), (models or models_folder()) / name, experiments / "runs" / name
    if run.settings["view"] != "person":
        raise ValueError(f"{run.folder}: its view is '{run.settings['view']}', but only 'person' can be published")
    runs = card.ancestry(run, experiments)
    _check_free(run, place, kept)
    readme = place / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else card.new_card(run, name)
    blocks = {"scores": card.scores_block(run, name), "training": card.training_block(runs)}
    filled(text, {**blocks, "weights": "", "slices": ""}, readme)  # are all marks there?

    segmenter, half, val = _scored(run)
    blocks["slices"] = card.slices_block(run, val)
    with _removed_if_it_fails(place, kept):
        segmenter.save(place, half)
        size = (place / "model.safetensors").stat().st_size
        if size > LARGEST:
            raise ValueError(f"{size / 1e6:.1f} MB of weights; at most {LARGEST / 1e6:.0f} may be published")
        blocks["weights"] = card.weights_block(run, size, half)
        write_text(readme, filled(text, blocks, readme))
        if kept.resolve() != run.folder.resolve():
            with written_whole(kept) as fresh:
                fresh.mkdir(parents=True)
                for file in FILES:
                    shutil.copy(run.folder / file, fresh)
    return place


def _check_free(run: Run, place: Path, kept: Path) -> None:
    """Raises where another run or another model has the name."""
    same = kept.exists() and all(_content(kept / file) == _content(run.folder / file) for file in FILES)
    if kept.exists() and not same:
        raise FileExistsError(f"{kept} holds another run: take another name")
    if place.exists() and not kept.exists():
        raise FileExistsError(f"{place} is there already, and its run is not at {kept}: take another name")


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def _scored(run: Run) -> tuple[Segmenter, bool, PortraitDataset]:
    """The network of a run, whether half precision is good enough for it, and its validation photos.

    Raises ValueError where the network is not that of the run or gives other scores.
    """
    segmenter = Segmenter.load(run.folder / "model")
    if problem := _other_network(segmenter, run):
        raise ValueError(f"{run.folder / 'model'}: {problem}")
    dataset = run.settings["dataset"]
    val = PortraitDataset(dataset, "val", run.settings["view"])
    if set(val.stems) != set(run.val_scores.index):
        raise ValueError(f"{run.folder}: scored on other photos than the validation photos of '{dataset}' are now")
    recorded, rounded = run.val_scores[SCORES].mean(), copy.deepcopy(segmenter)
    rounded.network.half().float()  # what loading would give after saving in half precision
    half = evaluate(rounded, val)[SCORES].mean()
    if (abs(half - recorded) <= TOLERATED).all():  # the weights are those of the run, and half precision is enough
        return segmenter, True, val
    whole = evaluate(segmenter, val)[SCORES].mean()
    if not (abs(whole - recorded) <= 1e-3).all():
        found = f"Dice {whole['dice']:.4f}, not the run's {recorded['dice']:.4f}"
        raise ValueError(f"{run.folder / 'model'}: these weights give {found}")
    return segmenter, bool((whole - half).max() <= TOLERATED), val


def _other_network(segmenter: Segmenter, run: Run) -> str:
    asked = run.settings["model"], tuple(run.settings["size"])
    if (segmenter.config.model, segmenter.config.size) == asked:
        return ""
    return f"config.json is of another network or size than the run's {asked}"


@contextlib.contextmanager
def _removed_if_it_fails(*folders: Path):
    """Whatever goes wrong inside, those of the folders that were not there before are not there afterwards."""
    fresh = [folder for folder in folders if not folder.exists()]
    try:
        yield
    except BaseException:
        for folder in fresh:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def check_models(models: Path | None = None, experiments: Path | None = None) -> list[str]:
    """What is wrong with the models of record: one line per problem, named by the model."""
    models, experiments = models or models_folder(), experiments or experiments_folder()
    places = sorted(path for path in models.iterdir() if path.is_dir()) if models.is_dir() else []
    return [f"models/{place.name}: {problem}" for place in places for problem in _check_model(place, experiments)]


def _check_model(place: Path, experiments: Path) -> list[str]:
    missing = [name for name in ("config.json", "model.safetensors", "README.md") if not (place / name).is_file()]
    if missing:
        return [f"{missing[0]} is missing; `python -m experiments publish` writes it"]
    try:
        run = Run.read(experiments / "runs" / place.name)
        if wrong := check(run):
            return [f"its run: {problem}" for problem in wrong]
        text = (place / "README.md").read_text(encoding="utf-8")
        blocks = {"scores": card.scores_block(run, place.name)}
        blocks["training"] = card.training_block(card.ancestry(run, experiments))
        differ = [mark for mark in blocks if filled(text, {mark: blocks[mark]}, "README.md") != text]
        problem = _other_network(Segmenter.load(place), run)
    except (OSError, ValueError) as error:
        return [str(error)]
    problems = [f"what its card says of {mark} is not what its run says; publish it again" for mark in differ]
    if (place / "model.safetensors").stat().st_size > LARGEST:
        problems.append(f"model.safetensors is larger than {LARGEST / 1e6:.0f} MB")
    return [*problems, *([problem] if problem else [])]
