"""Worker processes that render people into the cache."""

import multiprocessing
import os
import pathlib
import time

import numpy as np

from . import portrait


def quiet(work):
    """Blender talks a lot, from C; send its standard output to a log."""
    log = os.open(work / f"blender-{os.getpid()}.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)


def render_one(job):
    """Render a persona into a file of the cache, unless it is there. Returns (name, CPU seconds or None)."""
    path, persona, samples = job
    if path.exists():
        return path.stem, None
    start = time.process_time()
    light, mask = portrait.render_person(persona, samples)
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, light=light, mask=mask)
    partial.rename(path)        # a file that exists is complete, so a killed run resumes
    return path.stem, time.process_time() - start


def render_all(jobs, work, workers):
    """Render every job (path, persona, samples) that is not in the cache yet, with a line of progress for each."""
    todo = [job for job in jobs if not job[0].exists()]
    print(f"{len(jobs) - len(todo)} renders are in {work}, {len(todo)} to render", flush=True)
    spent, start = [], time.time()
    context = multiprocessing.get_context("spawn")
    # a fresh process every 25 people gives back what Blender keeps
    with context.Pool(workers, quiet, (pathlib.Path(work),), maxtasksperchild=25) as pool:
        for done, (name, seconds) in enumerate(pool.imap_unordered(render_one, todo), 1):
            if seconds is None:     # another run was faster
                continue
            spent.append(seconds)
            left = (time.time() - start) / done * (len(todo) - done) / 60
            print(f"{done:4d}/{len(todo)}  {name:16s}  {seconds:5.1f} CPU s  (mean {np.mean(spent):.1f}, "
                  f"about {left:.0f} min left)", flush=True)
