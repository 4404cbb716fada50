"""Dials: the same person at six settings of one key, everything else as it was. `python -m data.render dial NAME`.

A dial never changes the seed, so body, hair, clothes, expression and every random detail stay. `backdrop` and `light`
need one render of a person only: the wall is painted behind it, and light adds up, so half the light in the scene is
half of every pixel before the film.
"""

import argparse
import csv
import pathlib

import numpy as np
from PIL import Image

from . import dataset, factory, labels, portrait, sampler

# Four women and four men, every skin tone, young, middle and old; far beyond the seeds of the sample.
PEOPLE = (700_056, 700_131, 700_132, 700_121, 700_039, 700_040, 700_018, 700_115)
DIALS = {
    "backdrop": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),  # from blue (0) to the person's own skin (1)
    "light": (0.0, -0.8, -1.6, -2.4, -3.2, -4.0),  # stops: -1 is half the light
    "fill": (0.75, 0.58, 0.44, 0.34, 0.26, 0.20),  # share of the picture's height that the head takes
    "yaw": (0.0, 18.0, 36.0, 54.0, 72.0, 90.0),  # degrees from frontal to profile
}
# The keys of the persona that a dial may change.
KEYS = {
    "backdrop": {"background", "backdrop_colours"},
    "light": {"exposure"},
    "fill": {"face_share", "shift_x", "shift_y"},
    "yaw": {"yaw", "head_turn", "camera_yaw", "gaze", "pose"},
}
CONSTANT = {
    "backdrop": "person, pose, light, camera, mask",
    "light": "person, pose, backdrop, camera, mask",
    "fill": "person, pose, light, backdrop",
    "yaw": "person, backdrop, distance, lamps as seen from the camera",
}
BLUE = np.array((0.16, 0.36, 1.0))  # linear RGB, up to its brightness
LUMA = np.array((0.2126, 0.7152, 0.0722))
SHOWN = (700_056, 700_121, 700_040)  # on the contact sheet
COLUMNS = ["id", "split", "dial", "person", "setting", "value", "constant", "image", "mask", "seed", "sex", "age",
           "age_group", "skin_tone", "skin_group", "hair_style", "hair_colour", "facial_hair", "glasses", "headwear",
           "yaw", "pitch", "roll", "face_share", "expression", "clothes", "pattern", "light", "exposure",
           "background"]  # fmt: skip


def persona(dial, seed, value):
    """The persona of `seed` with the dial at `value`; the wall of `backdrop` needs the render, see `before_wall`."""
    p = sampler.persona(seed)
    if dial == "light":
        p["exposure"] *= 2**value
    if dial == "fill":
        # The camera zooms out from the eyes and the middle of the skull. Where the body, which ends 1.8 heads below
        # the eyes, would end inside of the picture, it aims higher.
        p.update(face_share=value, shift_x=float(-0.3 * np.sin(np.radians(p["yaw"]))),
                 shift_y=min(0.0, 1.8 - 0.5 / value))  # fmt: skip
    if dial == "yaw":
        yaw = float(np.copysign(value, p["yaw"])) + 0.0  # no -0.0
        nod, _, tilt = p["head_turn"]
        # Half of the turn is the head's, half the camera's, and the eyes look where the nose points. The camera is
        # aimed as for a profile at every setting: a jump of the person would be a second change.
        p.update(yaw=yaw, head_turn=(nod, float(np.radians(yaw / 2)), tilt), camera_yaw=float(-np.radians(yaw / 2)),
                 gaze=(0.0, p["gaze"][1]), pose="profile")  # fmt: skip
    return p


def before_wall(p, light, mask, value):
    """The persona before a plain wall between blue (0) and the skin as rendered (1), always as bright as the skin."""
    skin = np.array(portrait.own_colours(light, mask)[0])
    wall = (1 - value) * BLUE * (skin @ LUMA) / (BLUE @ LUMA) + value * skin
    return p | {"background": "plain", "backdrop_colours": [tuple(wall.tolist())] * 5}


def picture(work, dial, seed, value):
    """A portrait from the cache: image uint8 [320, 240, 3], mask uint8 [320, 240]."""
    p = persona(dial, seed, value)
    with np.load(cache_path(work, dial, seed, value)) as file:
        light, mask = file["light"], file["mask"]
    if dial == "backdrop":
        p = before_wall(p, light, mask, value)
    return portrait.compose(p, light, mask, p["background"]), mask


def cache_path(work, dial, seed, value):
    """Where the render lies; dials that render nothing anew take that of the person as drawn."""
    if dial in ("fill", "yaw"):
        return pathlib.Path(work) / f"{seed}-{dial}-{value:g}.npz"
    return dataset.cache_path(work, seed)


def table():
    """One row per portrait, in the order of the ids: DIAL-PERSON-SETTING."""
    rows = []
    for dial, values in sorted(DIALS.items()):
        for person, seed in enumerate(PEOPLE):
            for setting, value in enumerate(values):
                p, name = persona(dial, seed, value), f"{dial}-{person}-{setting}"
                look = dataset.Appearance(seed, "test", 0, p["background"], "none", False)
                background = "wall" if dial == "backdrop" else p["background"]
                row = dataset.record(p, look, name, "") | dict(
                    dial=dial, person=person, setting=setting, value=value, constant=CONSTANT[dial],
                    image=f"images/{name}.jpg", mask=f"masks/{name}.png", face_share=round(p["face_share"], 3),
                    exposure=round(p["exposure"], 4), background=background)  # fmt: skip
                rows.append({column: row[column] for column in COLUMNS})
    return rows


def write(work, out, dials):
    """Write the portraits of some dials, the table of all that are there, the licence; returns how many are there."""
    for folder in ("images", "masks"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    rows = table()
    for row in rows:
        if row["dial"] in dials:
            image, mask = picture(work, row["dial"], row["seed"], row["value"])
            Image.fromarray(image).save(out / row["image"], quality=88)
            labels.save_mask(mask, out / row["mask"])
    rows = [row for row in rows if (out / row["image"]).exists()]
    with open(out / "dials.csv", "w", newline="") as file:
        sheet = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        sheet.writeheader()
        sheet.writerows(rows)
    (out / "LICENSE").write_text(dataset.LICENSE.read_text())
    return len(rows)


def contact_sheet(out, path):
    """Three people at the six settings of each dial, each portrait above its mask; one dial per row."""
    chosen = [row for row in table() if row["seed"] in SHOWN]
    chosen.sort(key=lambda row: list(DIALS).index(row["dial"]))
    pairs = [[np.asarray(Image.open(out / row[kind])) for kind in ("image", "mask")] for row in chosen]
    dataset.contact_sheet(pairs, path, columns=18, scale=1 / 3)


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m data.render dial", description=__doc__)
    parser.add_argument("name", choices=[*DIALS, "all"], help="which dial")
    parser.add_argument("--out", default="data/dials", type=pathlib.Path, help="where the portraits go")
    parser.add_argument("--work", default="build/render-dials", type=pathlib.Path, help="cache; a killed run goes on")
    parser.add_argument("--workers", type=int, default=2, help="processes, each with one thread")
    options = parser.parse_args(arguments)
    dials = list(DIALS) if options.name == "all" else [options.name]
    jobs = {cache_path(options.work, dial, seed, value): persona(dial, seed, value)
            for dial in dials for seed in PEOPLE for value in DIALS[dial]}  # fmt: skip
    options.work.mkdir(parents=True, exist_ok=True)
    factory.render_all([(path, p, portrait.SAMPLES) for path, p in jobs.items()], options.work, options.workers)
    count = write(options.work, options.out, dials)
    if count == len(table()):
        contact_sheet(options.out, options.out / "contact_sheet.jpg")
    print(f"{count} portraits of {len(PEOPLE)} people are in {options.out}")
