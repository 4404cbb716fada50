"""The tables of record, made from experiments/: our runs and other people's tools, best first.

The whole table goes into experiments/README.md, six rows of it with the report's own figures into README.md.
"""

from pathlib import Path

import pandas as pd

from experiments import exam
from experiments.markdown import filled, table
from faceseg_utils.log.runs import SCORES, ExperimentLog, Run, best_model, read_report
from faceseg_utils.paths import course_root, experiments_folder, models_folder, write_text
from faceseg_utils.statistics import bootstrap_mean

REPORTED = ("report-unet16", "report-final")  # the first and the last network of the report
SHORT = (*REPORTED, "report160-unet16", "report160-final", "mediapipe-general")  # rows of README.md, with the record


def table_of_record(experiments: Path | None = None, models: Path | None = None) -> str:
    """All finished runs on the PicsArt photos and all peers, best first: the table of experiments/README.md."""
    experiments, models = experiments or experiments_folder(), models or models_folder()
    rows = {**_run_rows(experiments, models, "../models"), **_peer_rows(experiments)}
    return _best_first(rows.values()) if rows else "No runs yet.\n"


def short_table(experiments: Path | None = None, models: Path | None = None) -> str:
    """The report, its networks trained again, the best free tool and our record, best first: the table of README.md."""
    experiments, models = experiments or experiments_folder(), models or models_folder()
    rows = {**_report_rows(), **_run_rows(experiments, models, "models"), **_peer_rows(experiments)}
    best = best_model("picsart", models, experiments)
    chosen = [*SHORT, _setting(Run.read(experiments / "runs" / best.name))] if best else SHORT
    return _best_first([rows[name] for name in chosen if name in rows])


def _best_first(rows) -> str:
    return table([row for _, row in sorted(rows, key=lambda pair: -pair[0])])


def _row(
    scores: pd.DataFrame, model: str, ms: float, mb: float, minutes: str, on_exam: str = "-"
) -> tuple[float, dict]:
    """The mean Dice and the row of the table."""
    mean, low, high = bootstrap_mean(scores["dice"])
    return mean, {
        "model": model,
        "Dice (95 % interval)": f"{mean:.4f} ({low:.4f} to {high:.4f})",
        "IoU": f"{scores['iou'].mean():.3f}",
        "boundary F1": f"{scores['boundary_f1'].mean():.3f}",
        "exam Dice": on_exam,
        "ms": f"{ms:.0f}" if ms >= 10 or ms == 0 else f"{ms:.1f}",
        "MB": f"{mb:.0f}" if mb >= 10 or mb == 0 else f"{mb:.2f}",
        "training, min": minutes,
    }


def _setting(run: Run) -> str:
    """The name of a run without its seed."""
    return run.id.removesuffix(f"-s{run.settings['seed']}")


def _run_rows(experiments: Path, models: Path, link: str) -> dict[str, tuple[float, dict]]:
    """One row per setting: the scores of each photo are averaged over the seeds before photos are drawn.

    The runs of the budget game have a file of their own.
    """
    costs = pd.read_csv(experiments / "costs.csv").set_index(["model", "size"])
    settings: dict[str, list[Run]] = {}
    for run in ExperimentLog(experiments).runs.values():
        if run.finished and run.settings["dataset"] == "picsart" and not run.id.startswith("budget-"):
            settings.setdefault(_setting(run), []).append(run)
    rows = {}
    for name, runs in settings.items():
        config, size = runs[0].settings, runs[0].row()["size"]
        if (config["model"], size) not in costs.index:
            raise ValueError(
                f"{experiments / 'costs.csv'}: no row for {config['model']} at {size} ({name}); "
                "`python -m experiments.costs` makes it"
            )
        cost = costs.loc[(config["model"], size)]
        scores = pd.concat([run.val_scores[SCORES] for run in runs]).groupby(level=0).mean()
        minutes = sum(run.summary["minutes"] for run in runs) / len(runs)
        published = next((run.id for run in runs if (models / run.id).is_dir()), None)
        mb = (models / published / "model.safetensors").stat().st_size / 1e6 if published else cost["mb"]
        title = f"[{name}]({link}/{published})" if published else name
        words = f"{title}: {config['model']}, {size.replace('x', ' x ')}, {_start(config)}, {config['epochs']} epochs"
        words += f", {len(runs)} seeds" if len(runs) > 1 else ""
        words += " †" if any(run.stale for run in runs) else ""
        rows[name] = _row(scores, words, cost["ms"], mb, f"{minutes:.0f}", _exam(runs, experiments))
    return rows


def _exam(runs: list[Run], experiments: Path) -> str:
    """Mean Dice of the seeds on the exam photos; in words where there is none."""
    if seen := [run for run in runs if exam.saw_exam(run, experiments)]:
        return "saw it" if len(seen) == len(runs) else "-"
    taken = exam.openings(experiments).reindex([run.id for run in runs])["dice"]
    return "-" if taken.isna().any() else f"{taken.mean():.4f}"


def _start(config: dict) -> str:
    if config["weights"]:
        return f"from {Path(config['weights']).parent.name}"
    return "ImageNet" if config["pretrained"] else "from scratch"


def _peer_rows(experiments: Path) -> dict[str, tuple[float, dict]]:
    folder = experiments / "peers"
    if not (folder / "peers.csv").is_file():
        return {}
    rows = {}
    for peer in pd.read_csv(folder / "peers.csv", keep_default_na=False).to_dict("records"):
        scores = pd.read_csv(folder / "scores" / f"{peer['peer']}.csv")
        rows[peer["peer"]] = _row(scores, f"*{peer['title']}*", peer["ms"], peer["mb"], "-")
    return rows


def _report_rows() -> dict[str, tuple[float, dict]]:
    """What the report's log says of the last epoch that it shows; its Dice is computed by its own formula."""
    report, rows = read_report(), {}
    for name in REPORTED:
        last = report[(report["run"] == name) & (report["split"] != "train")].drop_duplicates("metric", keep="last")
        value, run = last.set_index("metric")["value"], last.iloc[0]
        words = f"{run['encoder']}, 320 x 320, batch {run['batch']}, {run['epochs_planned']} epochs planned"
        rows[name] = (
            value["dice"],
            {
                "model": f"*the report: {words}*",
                "Dice (95 % interval)": f"{value['dice']:.3f} ‡",
                "IoU": f"{value['iou']:.3f}",
                **dict.fromkeys(("boundary F1", "exam Dice", "ms", "MB"), "-"),
                "training, min": f"{value['minutes']:.0f}" if "minutes" in value else "-",
            },
        )
    return rows


def write_tables() -> None:
    """Put both tables between their marks."""
    whole, short = experiments_folder() / "README.md", course_root() / "README.md"
    texts = {
        whole: filled(whole.read_text(encoding="utf-8"), {"table-of-record": f"\n{table_of_record()}\n"}, whole),
        short: filled(short.read_text(encoding="utf-8"), {"record": f"\n{short_table()}\n"}, short),
    }
    for file, text in texts.items():
        write_text(file, text)
