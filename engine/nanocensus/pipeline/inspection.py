"""What a run left behind: how far it came, and whether it can still be read."""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil

from nanocensus.device import resolve_device
from nanocensus.errors import DamageError, StoreError
from nanocensus.pipeline.record import run_record
from nanocensus.provenance import file_digest, machine, versions
from nanocensus.segment.weights import load_model, model_names
from nanocensus.store.ingest import STORE_FOLDER
from nanocensus.store.manifest import OutputLock, read_manifest, rows_of
from nanocensus.store.micrographs import (
    content_digest,
    discard_results,
    read_labels,
    read_pixels,
    read_probability,
    stored_siblings,
)
from nanocensus.store.outlines import OUTLINES_FOLDER, is_whole
from nanocensus.store.parts import measured_parts
from nanocensus.store.stamps import forget
from nanocensus.store.tables import PARTICLES_FOLDER, read_part_rows

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


def verify(out: Path) -> list[str]:
    """Read through everything that a run wrote, and say what is not what was written.

    What is derived and broken is removed, so that the next run computes it again; a micrograph whose recorded values
    are broken is marked to be read from its file again.

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
        If there is no index, it is damaged, or a run is writing.
    """
    micrographs = read_manifest(out).micrographs
    troubles = []
    outlines = False
    try:
        outlines = run_record(out).get("job", {}).get("measure", {}).get("outlines", False)
    except StoreError as error:
        troubles.append(str(error))
    done = micrographs[micrographs["status"] == "done"]
    for part, digests in done.groupby("part")["part_digest"]:
        path = out / PARTICLES_FOLDER / str(part)
        if not path.exists():
            troubles.append(f"{PARTICLES_FOLDER}/{part} is missing.")
        elif {file_digest(path)} != set(digests):
            troubles.append(f"{PARTICLES_FOLDER}/{part} is not the file that the index names (its digest differs).")
    if outlines:
        troubles += [
            f"{OUTLINES_FOLDER}/{part} is missing, damaged, or not of the particles in the index."
            for part, rows in measured_parts(out)
            if not is_whole(out / OUTLINES_FOLDER / part, rows_of(rows))
        ]
    store, unread, broken = out / STORE_FOLDER, [], []
    for row in micrographs.itertuples():
        identity = str(row.micrograph)
        recorded = False
        try:
            if content_digest(read_pixels(store, identity)) != row.content_digest:
                raise DamageError(
                    f"{row.name} ({identity})",
                    expected="the recorded values that the index names",
                    got="other values",
                    remedy="Run the job again.",
                )
            recorded = True
            if row.status == "done":
                for sibling in stored_siblings(store, identity):
                    read_probability(store, identity, sibling=sibling)
                stored = read_probability(store, identity)
                if stored is None or read_labels(store, identity) is None:
                    troubles.append(f"The probability map or labels of {row.name} ({identity}) are missing.")
                    broken.append(identity)
        except StoreError as error:
            troubles.append(str(error))
            if recorded:
                broken.append(identity)
            else:
                unread.append(str(row.name))
    if unread or broken:
        with OutputLock(out):
            forget(out, unread)
            for identity in broken:
                discard_results(store, identity)
    return troubles
