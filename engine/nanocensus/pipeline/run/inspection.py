"""What a run left behind: how far it came, and whether it can still be read."""

import importlib.util
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from nanocensus.device import resolve_device
from nanocensus.errors import StoreError
from nanocensus.pipeline.run.journal import rate_of_last_run
from nanocensus.pipeline.run.record import run_record
from nanocensus.provenance import file_digest, machine, versions
from nanocensus.segment.prediction.weights import load_model, model_names
from nanocensus.store.images.ingest import STORE_FOLDER
from nanocensus.store.images.integrity import PIXELS, broken_images, discard_broken, store_is_broken
from nanocensus.store.images.stamps import forget
from nanocensus.store.manifest import OutputLock, read_manifest, rows_of
from nanocensus.store.particles.outlines import OUTLINES_FOLDER, is_whole
from nanocensus.store.particles.parts import measured_parts
from nanocensus.store.particles.tables import PARTICLES_FOLDER, read_part_rows

EXTRAS = {
    "io": ("rsciio", "rosettasciio, GPL-3.0-or-later: readers of instrument files"),
    "cluster": ("dask_jobqueue", "dask-jobqueue, BSD-3-Clause: batch systems"),
    "labels": ("roifile", "roifile, BSD-3-Clause: selections of ImageJ as masks"),
    "openvino": ("openvino", "OpenVINO, Apache-2.0: the network in less of a CPU's time"),
    "cuda": ("cucim", "cuCIM and CuPy, Apache-2.0 and MIT: measuring on the GPU"),
}
"""Optional dependencies: the module that shows one is there, and what it is under which licence."""


@dataclass(frozen=True)
class RunStatus:
    """How far a run came."""

    by_sample: pd.DataFrame
    """Indexed by sample: done, failed, left, n_detected."""
    failures: list[tuple[str, str]]
    """Name and reason of each micrograph that failed."""
    refusals: list[tuple[str, str]]
    """Name and reason of each file that was refused."""
    rate: float | None
    """Micrographs a minute in the last run, where it did some."""


def progress_by_sample(out: Path) -> RunStatus:
    """Say how far a run came, counting finished parts that the index does not know of yet.

    Parameters
    ----------
    out : Path
        Folder of the results.

    Raises
    ------
    StoreError
        If there is no index.
    """
    manifest = read_manifest(out)
    micrographs = manifest.micrographs.set_index("micrograph")
    for part in micrographs.loc[micrographs["status"] == "ingested", "part"].dropna().unique():
        path = out / PARTICLES_FOLDER / str(part)
        for row in read_part_rows(path) if path.exists() else ():
            if row["micrograph"] not in micrographs.index:  # its file has left since
                continue
            # The index holds the digest that is wanted: a part that carries another is of an earlier job.
            if row["measure_digest"] == micrographs.at[row["micrograph"], "measure_digest"]:
                for name in ("status", "reason", "n_detected"):
                    micrographs.at[row["micrograph"], name] = row[name]
    counts = pd.DataFrame(
        {
            "done": micrographs["status"] == "done",
            "failed": micrographs["status"] == "failed",
            "left": micrographs["status"] == "ingested",
            "n_detected": micrographs["n_detected"].fillna(0).astype("int64"),
        }
    )
    failed = micrographs[micrographs["status"] == "failed"]
    return RunStatus(
        by_sample=counts.groupby(micrographs["sample"]).sum(),
        failures=list(zip(failed["name"], failed["reason"], strict=True)),
        refusals=list(zip(manifest.refusals["name"], manifest.refusals["reason"], strict=True)),
        rate=rate_of_last_run(out),
    )


def installation() -> dict[str, str]:
    """Describe what is installed and what it runs on, by short texts."""
    found = dict(versions()) | machine()
    found["cores"] = str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    found["memory"] = f"{psutil.virtual_memory().total / 2**30:.1f} GiB"
    device = resolve_device("auto")
    found["device"] = f"{device.name} ({device.reason})"
    for extra, (module, words) in EXTRAS.items():
        there = importlib.util.find_spec(module) is not None
        found[f"extra: {extra}"] = f"{'installed' if there else 'not installed'} ({words})"
    for name in model_names():
        found[f"model: {name}"] = load_model(name).digest[:16]  # loading verifies the digest
    return found


def find_troubles(out: Path) -> list[str]:
    """Read through everything that a run wrote, and say what is not what was written; nothing is changed.

    Parameters
    ----------
    out : Path
        Folder of the results.

    Returns
    -------
    list of str
        One sentence for each trouble; empty if all is well.

    Raises
    ------
    StoreError
        If there is no index, or it is damaged.
    """
    micrographs = read_manifest(out).micrographs
    troubles = [*_broken_parts(out, micrographs)]
    for name, places in _broken_places(out, micrographs).values():
        troubles += [f"{name}: {words}" for words in places.values()]
    trouble = store_is_broken(out / STORE_FOLDER)
    return troubles if trouble is None else [*troubles, trouble]


def verify(out: Path) -> list[str]:
    """Do as `find_troubles`, and have the next run make what is broken again.

    What is derived and broken is removed; a micrograph whose recorded values are broken is marked to be read from its file
    again.

    Raises
    ------
    StoreError
        If there is no index, it is damaged, or a run is writing.
    """
    troubles = find_troubles(out)
    broken = _broken_places(out, read_manifest(out).micrographs) if troubles else {}
    if broken:
        with OutputLock(out):
            for micrograph, (_, places) in broken.items():
                if set(places) != {PIXELS}:
                    discard_broken(out / STORE_FOLDER, micrograph, places)
            forget(out, [name for name, places in broken.values() if _of_a_file(places)])
    return troubles


def _broken_parts(out: Path, micrographs: pd.DataFrame) -> Iterator[str]:
    outlines = False
    try:
        outlines = run_record(out).get("job", {}).get("measure", {}).get("outlines", False)
    except StoreError as error:
        yield str(error)
    done = micrographs[micrographs["status"] == "done"]
    for part, digests in done.groupby("part")["part_digest"]:
        path = out / PARTICLES_FOLDER / str(part)
        if not path.exists():
            yield f"{PARTICLES_FOLDER}/{part} is missing."
        elif {file_digest(path)} != set(digests):
            yield f"{PARTICLES_FOLDER}/{part} is not the file that the index names (its digest differs)."
    for part, rows in measured_parts(out) if outlines else ():
        if not is_whole(out / OUTLINES_FOLDER / part, rows_of(rows)):
            yield f"{OUTLINES_FOLDER}/{part} is missing, damaged, or not of the particles in the index."


def _broken_places(out: Path, micrographs: pd.DataFrame) -> dict[str, tuple[str, dict[str, str]]]:
    """Give the name of each micrograph of which something is broken, and what is wrong with which of its images."""
    found = {
        str(row["micrograph"]): (str(row["name"]), _broken(out / STORE_FOLDER, row)) for row in rows_of(micrographs)
    }
    return {micrograph: (name, places) for micrograph, (name, places) in found.items() if places}


def _broken(store: Path, row: Mapping[str, Any]) -> dict[str, str]:
    """Give what of a micrograph is missing or not as it was written."""
    broken = broken_images(store, row["micrograph"], row["content_digest"])
    if row["status"] == "done":
        for place in ("probability", "labels/particles"):
            if place not in broken and not (store / row["micrograph"] / place).exists():
                broken[place] = f"{place} of micrograph {row['micrograph']} is missing."
    return broken


def _of_a_file(places: Collection[str]) -> bool:
    """Say whether what is broken came from a file, which has to be read again."""
    return PIXELS in places or any(place.startswith("labels/") and place != "labels/particles" for place in places)
