"""Models of record: models/ID with config.json, model.safetensors and README.md, the card.

A model has the name of the run in experiments/runs that it comes from, and `check_models` holds its card against that
run: nobody types a score.
"""

import copy
import shutil
from pathlib import Path

import pandas as pd
import safetensors.torch

from faceseg_utils import analysis, catalog
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.evaluation import evaluate
from faceseg_utils.experiment import Run, bootstrap_mean, check, experiments_folder
from faceseg_utils.model import ModelCard, Segmenter
from faceseg_utils.record import MEASURES, between, markdown, models_folder

LARGEST = 15_000_000  # bytes of weights that the repository may carry
LOST = 1e-4  # half precision may cost no mean score more
FILES = ("config.json", "metrics.csv", "val_scores.csv", "summary.json")


def publish(run: str | Path, name: str, models: Path | None = None, experiments: Path | None = None) -> Path:
    """Make models/NAME from a finished run whose weights still lie in RUN/model; returns the new folder.

    The weights are scored anew on the validation photos and must give the run's own scores. They are kept in half
    precision if that lowers no mean score by more than 0.0001. The run's four files are copied to
    experiments/runs/NAME unless they are there.

    Raises ValueError when the run is not whole, its weights give other scores, or they are too large; and
    FileExistsError when models/NAME is there already.
    """
    run, place = Run.read(run), (models or models_folder()) / name
    if problems := check(run):
        raise ValueError(f"{run.folder}: {problems[0]}")
    if place.exists():
        raise FileExistsError(f"{place} is there already: remove it, or take another name")
    full = Segmenter.load(run.folder / "model")
    half = copy.deepcopy(full)
    half.network.half().float()
    val = _validation(run, full.card)
    said = run.val_scores[list(MEASURES)]
    again, halved = (_scores(segmenter, val).loc[said.index] for segmenter in (full, half))
    if (again.mean() - said.mean()).abs().max() > 1e-3:
        found = f"Dice {again['dice'].mean():.4f}, not the run's {said['dice'].mean():.4f}"
        raise ValueError(f"{run.folder / 'model'}: these weights give {found}")
    lossless = (again.mean() - halved.mean()).max() <= LOST

    fresh = place.with_name(place.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    _save(full, fresh, half=lossless)
    size = (fresh / "model.safetensors").stat().st_size
    if size > LARGEST:
        shutil.rmtree(fresh)
        raise ValueError(f"{size / 1e6:.1f} MB of weights; at most {LARGEST / 1e6:.0f} may be published")
    (fresh / "README.md").write_text(card(run, name, slices(run, val), size, lossless), encoding="utf-8")
    _keep(run, (experiments or experiments_folder()) / "runs" / name)
    fresh.rename(place)
    return place


def _validation(run: Run, model_card: ModelCard) -> PortraitDataset:
    return PortraitDataset(run.config["dataset"], "val", run.config["view"], model_card.pipeline)


def _scores(segmenter: Segmenter, val: PortraitDataset) -> pd.DataFrame:
    return evaluate(segmenter, val)[list(MEASURES)]


def _save(segmenter: Segmenter, folder: Path, half: bool) -> None:
    """As `Segmenter.save`; with `half`, floating-point weights as float16 (`Segmenter.load` widens them again)."""
    segmenter.save(folder)
    if half:
        weights = {
            key: (value.half() if value.is_floating_point() else value).contiguous()
            for key, value in segmenter.network.state_dict().items()
        }
        safetensors.torch.save_file(weights, folder / "model.safetensors")


def _keep(run: Run, place: Path) -> None:
    """The run's four files at `place`. Raises ValueError where another run has that name."""
    if place.resolve() == run.folder.resolve():
        return
    if place.exists() and any((place / file).read_bytes() != (run.folder / file).read_bytes() for file in FILES):
        raise ValueError(f"{place} holds another run: take another name")
    place.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        shutil.copy(run.folder / file, place)


def slices(run: Run, val: PortraitDataset) -> pd.DataFrame:
    """Dice by what can be measured on a photo without knowing who is on it: a row a slice, see `analysis.slices`.

    By the person's share of the photo, the photo's brightness, and how far the person's colours are from the rest.
    """
    rows = []
    for i in range(len(val)):
        photo, mask = val.read(i)  # uint8 [H, W, 3], [H, W]
        person = mask == 1
        apart = abs(photo[person].mean(0) - photo[mask == 0].mean(0)).mean() if 0 < person.mean() < 1 else 0.0
        rows.append({"person's share": person.mean(), "brightness": photo.mean() / 255, "contrast": apart / 255})
    table = pd.DataFrame(rows, index=val.stems).assign(dice=run.val_scores["dice"])
    return pd.concat({by: analysis.slices(table, by) for by in rows[0]}, names=["slice", "value"])


def score_block(run: Run) -> str:
    """The scores of a run as its card gives them: mean and 95 % interval over the validation photos."""
    rows = [
        {"score": title, "mean": f"{x.value:.4f}", "95 % interval": f"{x.low:.4f} to {x.high:.4f}"}
        for key, title in MEASURES.items()
        for x in [bootstrap_mean(run.val_scores[key])]
    ]
    return markdown(rows)


def lessons(run: Run) -> str:
    """What the weights of a run have learned from, first to last, in words: follows `weights` to the runs before."""
    config, summary = run.settings, run.summary
    start = "From random weights"
    if config["weights"]:
        start = lessons(Run.read(Path(config["weights"]).parent)) + " Then"
    elif config["pretrained"]:
        start = "From ImageNet weights (EfficientNet-Lite0: Apache-2.0)"
    extra = config["extra"]
    drawn = f", among them those of `{extra}`, whose masks no person drew or checked" if extra else ""
    return (
        f"{start}: {summary['photos']['train']} photos{drawn}, {config['epochs']} epochs at "
        f"{config['size'][0]} x {config['size'][1]}, {summary['minutes']:.0f} minutes on {summary['device']}."
    )


def card(run: Run, name: str, parts: pd.DataFrame, size: int, half: bool) -> str:
    """The model card (Mitchell et al. 2019): what it is, how good, where it fails, what one may do with it."""
    config, summary, dice = run.config, run.summary, run.val_scores["dice"]
    info = catalog.DATASETS.get(config["dataset"])
    worst = ", ".join(f"{value:.3f}" for value in dice.nsmallest(3))
    sliced = [
        {"slice": f"{by} {value}", "photos": str(int(row["n"])), "Dice": f"{row['mean']:.4f}",
         "95 % interval": f"{row['low']:.4f} to {row['high']:.4f}"}
        for (by, value), row in parts.iterrows()
    ]  # fmt: skip
    return f"""# {name}

A U-Net (`{config["model"]}`) that finds the person in a portrait. {size / 1e6:.1f} MB of weights in \
{"half" if half else "single"} precision, input {config["size"][0]} x {config["size"][1]} (photos of any size are \
fitted in and the answer is brought back to the photo's size).

```python
from faceseg_utils.model import Segmenter

segmenter = Segmenter.load("models/{name}")
```

## Scores

On the {len(dice)} validation photos of "{info.title if info else config["dataset"]}", each at its native resolution, \
one pass, threshold 0.5. Run `experiments/runs/{name}` holds them photo by photo. Intervals: bootstrap over photos.

<!-- scores -->
{score_block(run)}<!-- /scores -->

Half of the photos score above {dice.median():.3f}; the worst three score {worst}.

`python -m faceseg_utils evaluate --model models/{name} --dataset {config["dataset"]}` prints them again.

## Slices

{markdown(sliced) if sliced else "Too few photos for slices."}
Slices by age, sex or skin tone are missing: the photos do not say, and we do not guess.

## Training

{lessons(run)}

The best epoch was chosen on: {summary["chosen_on"]}. \
Every setting stands in the run's \
`config.json`, revision `{summary["revision"]}`.

## Limits

It knows portraits: one person, near, upright. Groups, whole bodies from afar, animals and drawings are not tested. \
The masks that it learned from count what a person holds as person and outline hair coarsely. It is no judge of who \
somebody is, and must not be used as one.

## Licence

Code: MIT. Data: {info.licence if info else "the reader's own"}. Weights learned from such photos: for research and \
teaching.
"""


def check_models(models: Path | None = None, experiments: Path | None = None) -> list[str]:
    """What is wrong with the models of record: one line a problem, named by the model."""
    models = models or models_folder()
    places = sorted(path for path in models.iterdir() if path.is_dir()) if models.is_dir() else []
    return [f"models/{place.name}: {problem}" for place in places for problem in _check_model(place, experiments)]


def _check_model(place: Path, experiments: Path | None) -> list[str]:
    missing = [name for name in ("config.json", "model.safetensors", "README.md") if not (place / name).is_file()]
    if missing:
        return [f"{missing[0]} is missing; `python -m faceseg_utils publish` writes it"]
    try:
        run = Run.read((experiments or experiments_folder()) / "runs" / place.name)
        wrong = check(run)
        segmenter = Segmenter.load(place)
        said = between((place / "README.md").read_text(encoding="utf-8"), "scores")
    except (FileNotFoundError, ValueError) as error:
        return [str(error)]
    problems = [f"its run: {problem}" for problem in wrong]
    if (place / "model.safetensors").stat().st_size > LARGEST:
        problems.append(f"model.safetensors is larger than {LARGEST / 1e6:.0f} MB")
    asked = run.config["model"], tuple(run.config["size"])
    if (segmenter.card.model, segmenter.card.size) != asked:
        problems.append(f"config.json is of another network or size than the run's {asked}")
    if not wrong and said != score_block(run):
        problems.append("the scores on its card are not those of its run; publish it again")
    return problems
