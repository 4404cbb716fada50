"""Worker processes that render people into the cache."""

import multiprocessing
import os
import pathlib
import time

import numpy as np

from . import dataset, portrait, sampler


def quiet(work):
    """Blender talks a lot, from C; send its standard output to a log."""
    log = os.open(work / f"blender-{os.getpid()}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)


def render_seed(job):
    """Render one person into the cache, unless it is there. Returns (seed, CPU seconds or None)."""
    seed, work, samples = job
    path = dataset.cache_path(work, seed)
    if path.exists():
        return seed, None
    start = time.process_time()
    light, mask = portrait.render_person(sampler.persona(seed), samples)
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, light=light, mask=mask)
    partial.rename(path)        # a file that exists is complete, so a killed run resumes
    return seed, time.process_time() - start


def render_all(jobs, work, workers):
    """Render every job that is not in the cache yet, with a line of progress for each."""
    todo = [job for job in jobs if not dataset.cache_path(work, job[0]).exists()]
    print(f"{len(jobs) - len(todo)} people are in {work}, {len(todo)} to render", flush=True)
    spent, start = [], time.time()
    context = multiprocessing.get_context("spawn")
    # a fresh process every 25 people gives back what Blender keeps
    with context.Pool(workers, quiet, (pathlib.Path(work),), maxtasksperchild=25) as pool:
        for done, (seed, seconds) in enumerate(pool.imap_unordered(render_seed, todo), 1):
            if seconds is None:     # another run was faster
                continue
            spent.append(seconds)
            left = (time.time() - start) / done * (len(todo) - done) / 60
            print(f"{done:4d}/{len(todo)}  seed {seed:6d}  {seconds:5.1f} CPU s  (mean {np.mean(spent):.1f}, "
                  f"about {left:.0f} min left)", flush=True)
