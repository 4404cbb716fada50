"""The table of record in README.md, made from experiments/: our runs and other people's tools, best first."""

from pathlib import Path

import pandas as pd

from faceseg_utils import catalog
from faceseg_utils.experiment import ExperimentLog, Run, bootstrap_mean, experiments_folder

MEASURES = {"dice": "Dice", "iou": "IoU", "boundary_f1": "boundary F1"}


def models_folder() -> Path:
    """Where the models of record lie: models/ of the course."""
    return catalog.course_root() / "models"


def best_model(dataset: str, models: Path | None = None, experiments: Path | None = None) -> Path | None:
    """The folder of the model of record with the highest Dice on this dataset; None where there is none."""
    models, runs = models or models_folder(), (experiments or experiments_folder()) / "runs"
    found = [Run.read(runs / place.name) for place in models.glob("*") if (runs / place.name).is_dir()]
    found = [run for run in found if run.finished and run.config["dataset"] == dataset]
    best = max(found, key=lambda run: run.summary["dice"], default=None)
    return best and models / best.id


def between(text: str, name: str, new: str | None = None) -> str:
    """What stands between `<!-- name -->` and `<!-- /name -->`; with `new`, the whole text with that in its place.

    Raises ValueError when the two marks are not there, once each and in this order.
    """
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise ValueError(f"expected one '{start.strip()}' and after it one '{end}'")
    first, last = text.index(start) + len(start), text.index(end)
    return text[first:last] if new is None else text[:first] + new + text[last:]


def markdown(rows: list[dict]) -> str:
    """Rows of one kind as a Markdown table, names and words to the left, numbers to the right."""
    names = list(rows[0])
    lines = [names, ["---", *["---:"] * (len(names) - 1)], *([row[name] for name in names] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def table_of_record(experiments: Path | None = None, models: Path | None = None) -> str:
    """All finished runs on the PicsArt photos and all peers, best first, as a Markdown table."""
    experiments, models = experiments or experiments_folder(), models or models_folder()
    rows = [*_run_rows(experiments, models), *_peer_rows(experiments)]
    return markdown([row for _, row in sorted(rows, key=lambda pair: -pair[0])]) if rows else "No runs yet.\n"


def _row(scores: pd.DataFrame, model: str, ms: float, mb: float, minutes: str) -> tuple[float, dict]:
    mean, low, high = bootstrap_mean(scores["dice"])
    return mean, {
        "model": model,
        "Dice (95 % interval)": f"{mean:.4f} ({low:.4f} to {high:.4f})",
        "IoU": f"{scores['iou'].mean():.3f}",
        "boundary F1": f"{scores['boundary_f1'].mean():.3f}",
        "ms": f"{ms:.0f}" if ms >= 10 or ms == 0 else f"{ms:.1f}",
        "MB": f"{mb:.0f}" if mb >= 10 or mb == 0 else f"{mb:.2f}",
        "training, min": minutes,
    }


def _run_rows(experiments: Path, models: Path) -> list[tuple[float, dict]]:
    """One row a setting: the scores of each photo are averaged over the seeds before photos are drawn."""
    costs = pd.read_csv(experiments / "costs.csv").set_index(["model", "size"])
    runs = [r for r in ExperimentLog(experiments).runs.values() if r.finished and r.config["dataset"] == "picsart"]
    settings: dict[str, list[Run]] = {}
    for run in runs:
        settings.setdefault(run.id.removesuffix(f"-s{run.config['seed']}"), []).append(run)
    rows = []
    for name, same in settings.items():
        config, size = same[0].settings, "x".join(map(str, same[0].config["size"]))
        scores = pd.concat([run.val_scores[list(MEASURES)] for run in same]).groupby(level=0).mean()
        minutes = sum(run.summary["minutes"] for run in same) / len(same)
        cost = costs.loc[(config["model"], size)]
        published = [models / run.id for run in same if (models / run.id).is_dir()]
        mb = (published[0] / "model.safetensors").stat().st_size / 1e6 if published else cost["mb"]
        title = f"[{name}](models/{published[0].name})" if published else name
        words = f"{title}: {config['model']}, {size.replace('x', ' x ')}, {_start(config)}, {config['epochs']} epochs"
        words += f", {len(same)} seeds" if len(same) > 1 else ""
        words += " †" if any(run.stale for run in same) else ""
        rows.append(_row(scores, words, cost["ms"], mb, f"{minutes:.0f}"))
    return rows


def _start(config: dict) -> str:
    if config["weights"]:
        return f"from {Path(config['weights']).parent.name}"
    return "ImageNet" if config["pretrained"] else "from scratch"


def _peer_rows(experiments: Path) -> list[tuple[float, dict]]:
    folder = experiments / "peers"
    if not (folder / "peers.csv").is_file():
        return []
    rows = []
    for peer in pd.read_csv(folder / "peers.csv", keep_default_na=False).to_dict("records"):
        scores = pd.read_csv(folder / "scores" / f"{peer['peer']}.csv")
        rows.append(_row(scores, f"*{peer['title']}*", peer["ms"], peer["mb"], "-"))
    return rows


def write_table(readme: Path | None = None) -> None:
    """Put the table of record into README.md, between its marks."""
    readme = readme or catalog.course_root() / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(between(text, "table-of-record", "\n" + table_of_record() + "\n"), encoding="utf-8")
