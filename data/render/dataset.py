"""From rendered people to data/sample: which are kept, which part they join, files and the table. No Blender here."""

import csv
import itertools
import pathlib
from typing import NamedTuple

import numpy as np
from PIL import Image

from . import labels, sampler
from .portrait import compose

SITTERS = (900_001, 900_006, 900_016, 900_057)      # people who only appear as framed portraits and busts
TRAIN, VALIDATION = 256, 64
PAIRS = 16                              # people in each part who are shown twice: without and with a distractor
CULLED = pathlib.Path(__file__).with_name("culled.txt")
LICENSE = pathlib.Path(__file__).with_name("SAMPLE_LICENSE")
COLUMNS = ["id", "seed", "split", "sex", "age", "age_group", "african", "asian", "caucasian", "skin_tone", "skin_group",
           "hair_style", "hair_colour", "facial_hair", "glasses", "headwear", "yaw", "pitch", "roll", "pose",
           "expression", "clothes", "pattern", "light", "background", "distractor", "pair", "mirrored"]


def cache_path(work, seed):
    return pathlib.Path(work) / f"{seed:06d}.npz"


def load(work, seed):
    """A rendered person: light float16 [320, 240, 4], mask uint8 [320, 240]."""
    with np.load(cache_path(work, seed)) as file:
        return file["light"], file["mask"]


def culled():
    """{seed: reason} of the renders that were thrown out by eye."""
    lines = CULLED.read_text().splitlines() if CULLED.exists() else []
    rows = [line.split(maxsplit=1) for line in lines if line.strip() and not line.startswith("#")]
    return {int(row[0]): row[1] for row in rows}


class Appearance(NamedTuple):
    """One portrait of a person. A pair is two appearances that differ in the backdrop alone."""

    seed: int
    split: str
    variant: int            # 0, 1 as rendered; 2, 3 mirrored; and so on; each two before another backdrop
    background: str
    distractor: str
    paired: bool

    @property
    def mirrored(self):
        return self.variant // 2 % 2 == 1


def for_validation(seed):
    """A fifth of the seeds. Not every fifth: 5 x sqrt(13) is nearly 18, so every fifth has nearly the same pose.
    193 is the prime whose fifth holds every trait (beards, headwear, glasses, poses, light) nearest to its share.
    """
    return seed * np.sqrt(193) % 1 < 0.2


def plan(seeds, train=TRAIN, validation=VALIDATION, pairs=PAIRS):
    """Who goes where: a list of Appearance in the order of the ids.

    A fifth of the seeds are candidates for validation. Where enough people are rendered, `pairs` of them are
    shown twice, without and with a distractor, everybody else once. Where fewer are, people are shown more often:
    without and with a distractor, mirrored, before other backdrops, then these again with a distractor.
    """
    chosen = []
    for split, places in (("train", train), ("val", validation)):
        mine = [seed for seed in seeds if for_validation(seed) == (split == "val")]
        rounds = {0: mine[:places - pairs]}     # variant: the people who are shown so
        if len(mine) >= places - pairs:
            rounds[1] = rounds[0][::max(1, len(rounds[0]) // pairs)][:pairs]
        else:
            for variant in (1, 2, 4, 6, 3, 5, 7):
                rounds[variant] = mine[:places - sum(map(len, rounds.values()))]
        kinds = itertools.cycle(sampler.DISTRACTORS)
        for variant, people in rounds.items():
            for seed in people:
                p = sampler.persona(seed)
                paired, distractor = seed in rounds.get(variant ^ 1, []), p["distractor"]
                if paired or variant > 0:
                    distractor = next(kinds) if variant % 2 else "none"
                background = p["background"]
                if variant >= 2:
                    shift = 3 * (variant // 2) + sampler.BACKGROUNDS.index(background)
                    background = sampler.BACKGROUNDS[shift % len(sampler.BACKGROUNDS)]
                chosen.append(Appearance(seed, split, variant, background, distractor, paired))
    return sorted(chosen)


def write(work, out, seeds):
    """Write images, masks, portraits.csv and LICENSE of the chosen people. Returns the number of portraits."""
    out = pathlib.Path(out)
    for folder in ("images", "masks"):
        (out / folder).mkdir(parents=True, exist_ok=True)
        for old in (out / folder).iterdir():
            old.unlink()
    chosen, rows = plan(seeds), []
    names = {(look.seed, look.variant): f"{number:04d}" for number, look in enumerate(chosen)}
    for number, look in enumerate(chosen):
        persona, name = sampler.persona(look.seed), f"{number:04d}"
        light, mask = load(work, look.seed)
        if look.mirrored:
            light, mask = light[:, ::-1], np.ascontiguousarray(mask[:, ::-1])
        framed = look.distractor in ("framed portrait", "bust")
        sitter = load(work, SITTERS[number % len(SITTERS)]) if framed else None
        image = compose(persona, light, mask, look.background, look.distractor, sitter, look.variant)
        Image.fromarray(image).save(out / "images" / f"{name}.jpg", quality=88)
        labels.save_mask(mask, out / "masks" / f"{name}.png")
        rows.append(record(persona, look, name, names[look.seed, look.variant ^ 1] if look.paired else ""))
    with open(out / "portraits.csv", "w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    (out / "LICENSE").write_text(LICENSE.read_text())
    return len(chosen)


def record(p, look, name, pair):
    """A row of portraits.csv."""
    tone, side = p["skin_tone"], -1 if look.mirrored else 1
    return dict(
        id=name, seed=p["seed"], split=look.split, sex=p["sex"], age=round(p["age"]),
        age_group=p["age_group"], **p["ancestry"],
        skin_tone=tone, skin_group=("light", "medium", "dark")[(tone - 1) // 2],
        hair_style="covered" if p["headwear"]["kind"] == "headscarf" else p["hair_style"], hair_colour=p["hair_colour"],
        facial_hair=p["facial_hair"], glasses=p["glasses"]["kind"], headwear=p["headwear"]["kind"],
        yaw=round(side * p["yaw"], 1), pitch=round(p["pitch"], 1), roll=round(side * p["roll"], 1), pose=p["pose"],
        expression=p["expression"], clothes=p["clothes"], pattern=p["pattern"], light=p["light"],
        background=look.background if look.distractor == "none" else look.distractor, distractor=look.distractor,
        pair=pair, mirrored=int(look.mirrored))


def contact_sheet(pairs, path, columns=8, quality=85, scale=0.5):
    """A picture of (image [H, W, 3], mask [H, W]) pairs, each portrait above its mask."""
    palette, tiles = np.array(labels.PALETTE, np.uint8), []
    for image, mask in pairs:
        tiles.append(np.concatenate([image, palette[mask]], 0))
    while len(tiles) % columns:
        tiles.append(np.zeros_like(tiles[0]))
    sheet = np.concatenate([np.concatenate(tiles[i:i + columns], 1) for i in range(0, len(tiles), columns)], 0)
    picture = Image.fromarray(sheet)
    size = (int(picture.width * scale), int(picture.height * scale))
    picture.resize(size, Image.Resampling.LANCZOS).save(path, quality=quality)


def random_sheet(out, path, count=48):
    """A contact sheet of `count` random portraits of the written dataset."""
    names = sorted(file.stem for file in (pathlib.Path(out) / "images").glob("*.jpg"))
    chosen = np.random.default_rng(0).choice(names, min(count, len(names)), replace=False)
    contact_sheet([(np.asarray(Image.open(pathlib.Path(out) / "images" / f"{name}.jpg")),
                    np.asarray(Image.open(pathlib.Path(out) / "masks" / f"{name}.png"))) for name in chosen], path, 12)
