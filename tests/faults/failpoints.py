"""Faults put into a process from outside: Dask loads this file into workers, and the client can be started by it.

The plan is a JSON file that NANOCENSUS_FAULTS names, looked at anew each time:

- `points`: where a process kills itself: a `moment` ("begun", before anything is written; "written", before it is put in
  its place; "committed", after), a part of the `path` that is written, how many such writes go well before (`after`),
  how many kills there are over all processes (`times`), and which process it kills instead of itself (`pid`).
- `poison`: a micrograph that kills every worker that looks at it.
- `pause`: how long each look at a micrograph takes, in seconds.
- `full`: a part of a path whose writes fail for want of space.

A network that takes no time stands in the place of the real one in any case.
"""

import errno
import json
import os
import pathlib
import signal
import time

import numpy as np


def plan():
    """Read the plan; without one nothing is disturbed."""
    place = os.environ.get("NANOCENSUS_FAULTS")
    return json.loads(pathlib.Path(place).read_text()) if place else {}


def claim(folder, times):
    """Take one of so many tickets that all processes share; say whether there was one left."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(times):
        try:
            os.close(os.open(folder / str(number), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        return True
    return False


def die(pid=None):
    os.kill(pid or os.getpid(), signal.SIGKILL)


def reached(moment, path):
    """Die here if the plan says so."""
    told = plan()
    for number, point in enumerate(told.get("points", ())):
        tickets = pathlib.Path(told["tickets"]) / str(number)
        if (
            moment == point["moment"]
            and point["path"] in str(path)
            and not claim(tickets / "passes", point.get("after", 0))
            and claim(tickets / "kills", point.get("times", 1))
        ):
            die(point.get("pid"))


class ThresholdNetwork:
    """Dark is particle: a map in no time, the same one always."""

    def probability(self, pixels, **_):
        from scipy import ndimage

        smooth = ndimage.gaussian_filter(np.asarray(pixels, float), 1.5)
        low, high = np.percentile(smooth, (2, 90))
        return np.round(255 * np.clip((high - smooth) / (high - low), 0, 1)).astype(np.uint8)


def install():
    """Change what the plan says, in this process."""
    from nanocensus.pipeline.run import block
    from nanocensus.store import commit
    from nanocensus.store.images import micrographs

    make_name, move_tree, read = commit.partial_path, micrographs.commit_tree, block.read_pixels

    def need_space(path):
        full = plan().get("full")
        if full and full in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def partial_path(path):
        reached("begun", path)
        need_space(path)
        return make_name(path)

    def commit_tree(partial, target, *, replace=True):
        need_space(target)  # the name of what is written beside the store does not say what it will be
        move_tree(partial, target, replace=replace)

    def moving(move):
        def moved(self, target):
            reached("written", target)
            result = move(self, target)
            reached("committed", target)
            return result

        return moved

    def read_pixels(store, micrograph):
        told = plan()
        if micrograph == told.get("poison"):
            die()
        time.sleep(told.get("pause", 0))
        return read(store, micrograph)

    commit.partial_path = micrographs.partial_path = partial_path
    micrographs.commit_tree = commit_tree
    pathlib.Path.replace, pathlib.Path.rename = moving(pathlib.Path.replace), moving(pathlib.Path.rename)
    block.load_model, block.read_pixels = lambda place: ThresholdNetwork(), read_pixels


def dask_setup(worker):
    """Dask calls this in every worker process."""
    install()


if __name__ == "__main__":
    from nanocensus.cli import main

    install()
    main()
