"""The card of a model of record (Mitchell et al. 2019): what it is, how good, where it fails, what one may do with it.

What stands between marks such as `<!-- scores -->` is written from the run; everything else is for people to write.
"""

from pathlib import Path

import pandas as pd

from experiments.check import check
from experiments.markdown import table
from faceseg_utils.analysis import errors
from faceseg_utils.data import catalog
from faceseg_utils.dataset import PortraitDataset
from faceseg_utils.log.runs import Run
from faceseg_utils.network.encoders import ENCODERS, encoder_name
from faceseg_utils.paths import course_root
from faceseg_utils.statistics import bootstrap_mean

MEASURES = {"dice": "Dice", "iou": "IoU", "boundary_f1": "boundary F1"}

TEMPLATE = """# {name}

A U-Net (`{model}`) that finds the person in a portrait.

<!-- weights -->
<!-- /weights -->

```python
from faceseg_utils import Segmenter

segmenter = Segmenter.load("{name}")
```

## Scores

<!-- scores -->
<!-- /scores -->

`python -m faceseg_utils evaluate --model {name} --dataset {dataset}` prints them again.

## Slices

<!-- slices -->
<!-- /slices -->

Slices by age, sex or skin tone are missing: the photos do not say, and we do not guess.

## Training

<!-- training -->
<!-- /training -->

## Limits

It knows portraits: one person, near, upright. Groups, whole bodies from afar, animals and drawings are not tested. \
The masks that it learned from count what a person holds as person and outline hair coarsely. It is no judge of who \
somebody is, and must not be used as one.

## Licence

Code: MIT. Data: {licence}. Weights learned from such photos: for research and teaching.
"""


def run_of(weights: str, experiments: Path) -> Path:
    """The folder of the run that weights come from.

    `weights` is a folder inside that of the run, counted from the root of the course, or the name of a model of record,
    which is that of its run. Raises ValueError where the run is missing.
    """
    places = [course_root() / Path(weights).parent, experiments / "runs" / Path(weights).name]
    for place in places:
        if (place / "config.json").is_file():
            return place
    missing = f"the run that they come from is neither {places[0]} nor {places[1]}"
    raise ValueError(f"the weights of '{weights}': {missing}; put it back there")


def ancestry(run: Run, experiments: Path) -> list[Run]:
    """The runs whose weights led to this one, the first one first and `run` last.

    Raises ValueError where one of the runs is missing, incomplete, or its own ancestor.
    """
    found = [run]
    while weights := found[0].settings["weights"]:
        try:
            place = run_of(weights, experiments)
        except ValueError as error:
            raise ValueError(f"{found[0].folder / 'config.json'}: it began with {error}") from None
        if place.resolve() in {each.folder.resolve() for each in found}:
            raise ValueError(f"{place / 'config.json'}: it began with weights that it led to itself ('{weights}')")
        found.insert(0, Run.read(place))
    for each in found:
        if problems := check(each):
            raise ValueError(f"{each.folder}: {problems[0]}")
    return found


def scores_block(run: Run, name: str) -> str:
    """The scores of a run: means with 95 % intervals over the validation photos, the median, the worst photos."""
    dice, dataset = run.val_scores["dice"], run.settings["dataset"]
    title = catalog.DATASETS[dataset].title if dataset in catalog.DATASETS else dataset
    rows = [
        {"score": measure, "mean": f"{x.value:.4f}", "95 % interval": f"{x.low:.4f} to {x.high:.4f}"}
        for key, measure in MEASURES.items()
        for x in [bootstrap_mean(run.val_scores[key])]
    ]
    worst = ", ".join(f"{value:.3f}" for value in dice.nsmallest(3))
    return (
        f'On the {len(dice)} validation photos of "{title}", each at its native resolution, one pass, threshold 0.5. '
        f"Run `experiments/runs/{name}` holds them photo by photo. Intervals: bootstrap over photos.\n\n{table(rows)}\n"
        f"Half of the photos score above {dice.median():.3f}; the worst three score {worst}.\n"
    )


def photo_properties(val: PortraitDataset) -> pd.DataFrame:
    """What can be measured on a photo without knowing who is in it, one row per photo, index `id`.

    The person's share of the photo, its brightness, and how far the person's mean colour is from the background's.
    """
    rows = []
    for photo, mask in val:  # uint8 [H, W, 3], [H, W]
        person = mask == 1
        gap = abs(photo[person].mean(0) - photo[mask == 0].mean(0)).mean() if 0 < person.mean() < 1 else 0.0
        rows.append({"person's share": person.mean(), "brightness": photo.mean() / 255, "contrast": gap / 255})
    return pd.DataFrame(rows, index=pd.Index(val.stems, name="id"))


def slices_block(run: Run, val: PortraitDataset) -> str:
    """Dice by the properties of the photos, one row per slice."""
    properties = photo_properties(val)
    scored = properties.assign(dice=run.val_scores["dice"])
    rows = [
        {"slice": f"{column} {value}", "photos": str(int(part["n"])), "Dice": f"{part['mean']:.4f}",
         "95 % interval": f"{part['low']:.4f} to {part['high']:.4f}"}
        for column in properties
        for value, part in errors.slices(scored, column).iterrows()
    ]  # fmt: skip
    return table(rows) if rows else "Too few photos for slices.\n"


def training_block(runs: list[Run]) -> str:
    """What the weights of the last of `runs` have learned from, first to last (see `ancestry`)."""
    lessons = " Then: ".join(_lesson(run) for run in runs)
    summary = runs[-1].summary
    return (
        f"{_start(runs[0].settings)}: {lessons}\n\nThe best epoch was chosen on: {summary['chosen_on']}. "
        f"Every setting stands in the run's `config.json`, revision {_listed(summary['revision'], '`{}`')}.\n"
    )


def _start(settings: dict) -> str:
    if not settings["pretrained"]:
        return "From random weights"
    encoder = encoder_name(settings["model"])
    for size in (0, 1, 2):  # from packages whose licence we know
        if encoder == ENCODERS[f"lite{size}"]:
            return f"From ImageNet weights (EfficientNet-Lite{size}: Apache-2.0)"
    return f"From ImageNet weights (`{encoder}`)"


def _lesson(run: Run) -> str:
    settings, summary, epochs = run.settings, run.summary, len(run.metrics)
    extra = settings["extra"]
    drawn = f", among them those of `{extra}`, whose masks no person drew or checked" if extra else ""
    height, width = settings["size"]
    return (
        f"{summary['photos']['train']} photos{drawn}, {epochs} epoch{'s' if epochs > 1 else ''} at {height} x {width}, "
        f"{summary['minutes']:.0f} minutes on {_listed(summary['device'], '{}')}."
    )


def _listed(values, form: str) -> str:
    """One value, or those of a run that went on elsewhere, in the order of its epochs."""
    return ", then ".join(form.format(value) for value in (values if isinstance(values, list) else [values]))


def weights_block(run: Run, size: int, half: bool) -> str:
    """How large the weights are (`size` in bytes) and what goes in."""
    height, width = run.settings["size"]
    return (
        f"{size / 1e6:.1f} MB of weights in {'half' if half else 'single'} precision, input {height} x {width} "
        "(photos of any size are fitted in and the answer is brought back to the photo's size).\n"
    )


def new_card(run: Run, name: str) -> str:
    """A card with nothing between its marks yet."""
    dataset = run.settings["dataset"]
    licence = catalog.DATASETS[dataset].licence if dataset in catalog.DATASETS else "the reader's own"
    return TEMPLATE.format(name=name, model=run.settings["model"], dataset=dataset, licence=licence)
