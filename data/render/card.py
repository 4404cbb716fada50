"""The part of data/README.md that counts: people, traits, the gap to photos. `python -m data.render.card` rewrites it.

Standard library only, so that the tests can check in any environment that the card is current.
"""

import collections
import csv
import pathlib

ROOT = pathlib.Path(__file__).parents[2]
SAMPLE, CARD = ROOT / "data" / "sample", ROOT / "data" / "README.md"
START, GAP = "<!-- counted: python -m data.render.card -->", "<!-- gap: python -m data.render.card -->"
END = "<!-- /counted -->"
# Column of portraits.csv, its title, and the order of its values where it is not that of their counts.
TRAITS = {
    "sex": ("sex", ()), "age_group": ("age", ("young", "middle", "old")),
    "skin_tone": ("skin tone (1 palest)", tuple("123456")), "hair_style": ("hair", ()),
    "hair_colour": ("hair colour", ()), "facial_hair": ("facial hair", ()), "glasses": ("glasses", ()),
    "headwear": ("headwear", ()), "pose": ("pose", ("frontal", "three-quarter", "profile")),
    "expression": ("expression", ()), "clothes": ("clothes", ()), "pattern": ("pattern", ()), "light": ("light", ()),
    "distractor": ("distractor", ()),
}  # fmt: skip


def counted(rows, size, culled):
    """The counted part of the card from the rows of portraits.csv, the bytes of the sample, the culled seeds."""
    parts = {split: [row for row in rows if row["split"] == split] for split in ("train", "val")}
    people = {split: len({row["seed"] for row in part}) for split, part in parts.items()}
    pairs = sum(row["pair"] != "" for row in rows) // 2
    behind = sum(row["distractor"] != "none" for row in rows)
    lines = [
        f"{len(rows)} portraits of {sum(people.values())} people, {size / 1e6:.1f} MB. For training: "
        f"{len(parts['train'])} portraits of {people['train']} people; for validation: {len(parts['val'])} portraits "
        f"of {people['val']}. {pairs} pairs show the same person, camera and light without and with a distractor; "
        f"{behind} portraits ({behind / len(rows):.0%}) have a distractor. {len(culled)} renders were thrown out.",
        "", "| | train | val |", "|---|---|---|",
    ]  # fmt: skip
    for column, (title, order) in TRAITS.items():
        values = order or [value for value, _ in collections.Counter(row[column] for row in rows).most_common()]
        cells = []
        for part in parts.values():
            count = collections.Counter(row[column] for row in part)
            cells.append(", ".join(f"{value} {count[value]}" for value in values if count[value]))
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def gap(rows):
    """The table of experiments/gap from the rows of its scores.csv: mean Dice and boundary F1 of each pair."""
    lines = ["| trained on | scored on | Dice | boundary F1 | pictures scored |", "|---|---|---|---|---|"]
    for pair in dict.fromkeys((row["trained_on"], row["scored_on"]) for row in rows):
        part = [row for row in rows if (row["trained_on"], row["scored_on"]) == pair]
        dice, f1 = (sum(float(row[name]) for row in part) / len(part) for name in ("dice", "boundary_f1"))
        lines.append(f"| {pair[0]} | {pair[1]} | {dice:.3f} | {f1:.3f} | {len(part)} |")
    return "\n".join(lines)


def between(text, start, content):
    """`text` with what stands between the line `start` and the next closing comment replaced."""
    before, rest = text.split(start)
    return f"{before}{start}\n{content}\n{END}{rest.split(END, 1)[1]}"


def current():
    """The text of data/README.md with its counted parts made anew."""
    with open(SAMPLE / "portraits.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    size = sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file())
    lines = (pathlib.Path(__file__).parent / "culled.txt").read_text().splitlines()
    culled = [line for line in lines if line.strip() and not line.startswith("#")]
    with open(ROOT / "experiments" / "gap" / "scores.csv", newline="") as file:
        scores = list(csv.DictReader(file))
    text = between(CARD.read_text(), START, counted(rows, size, culled))
    return between(text, GAP, gap(scores))


if __name__ == "__main__":
    CARD.write_text(current())
