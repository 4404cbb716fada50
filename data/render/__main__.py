"""python -m data.render: render people, resume where it stopped, then write the dataset.
python -m data.render dial NAME: the same for one of the dials, or for `all` (dials.py).

Run from the root of the repository, with the generator's own environment (requirements.txt beside this file).
"""

import argparse
import pathlib
import sys

from . import dataset, dials, factory, portrait, sampler


def preview(job):
    """A finished picture of one person, for contact sheets."""
    seed, work = job
    persona = sampler.persona(seed)
    light, mask = dataset.load(work, seed)
    sitter = None
    if persona["distractor"] in ("framed portrait", "bust"):
        sitter = dataset.load(work, dataset.SITTERS[seed % len(dataset.SITTERS)])
    return portrait.compose(persona, light, mask, persona["background"], persona["distractor"], sitter), mask


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m data.render", description=__doc__)
    parser.add_argument("--count", type=int, default=318, help="how many people to render")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first; the others count up")
    parser.add_argument("--out", default="data/sample", help="where the dataset goes")
    parser.add_argument("--work", default="build/render", help="cache of rendered people; delete to start afresh")
    parser.add_argument("--workers", type=int, default=2, help="processes, each with one thread")
    parser.add_argument("--samples", type=int, default=portrait.SAMPLES, help="rays a pixel")
    parser.add_argument("--only-render", action="store_true", help="fill the cache, write no dataset")
    parser.add_argument("--only-write", action="store_true", help="write the dataset from the cache")
    parser.add_argument("--cull-sheet", help="write a contact sheet of the cached people to this picture, and stop")
    parser.add_argument("--sheet", default="data/render/contact_sheet.jpg", help="48 random portraits of the dataset")
    return parser.parse_args(arguments)


def main(arguments=None):
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["dial"]:
        return dials.main(arguments[1:])
    options = parse(arguments)
    work = pathlib.Path(options.work)
    work.mkdir(parents=True, exist_ok=True)
    seeds = list(range(options.seed, options.seed + options.count))
    if options.cull_sheet:
        seeds = [seed for seed in seeds if dataset.cache_path(work, seed).exists()]
        dataset.contact_sheet([preview((seed, work)) for seed in seeds], options.cull_sheet, scale=1.0)
        print(" ".join(map(str, seeds)))
        return
    out_of = dataset.culled()
    if not options.only_write:
        jobs = [(dataset.cache_path(work, seed), sampler.persona(seed), options.samples)
                for seed in [*dataset.SITTERS, *seeds] if seed not in out_of]
        factory.render_all(jobs, work, options.workers)
    if not options.only_render:
        kept = [seed for seed in seeds if seed not in out_of and dataset.cache_path(work, seed).exists()]
        count = dataset.write(work, options.out, kept)
        dataset.random_sheet(options.out, options.sheet)
        print(f"{count} portraits of {len(kept)} people kept are in {options.out}")


if __name__ == "__main__":
    sys.exit(main())
