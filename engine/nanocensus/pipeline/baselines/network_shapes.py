"""A constant shape that came through the network too: the particles of a run of simulated micrographs, measured as another run's.

Copies on maps do not know how a network draws an outline. Micrographs of one shape that went through the same network do; what nobody can
check is that they look like the recorded ones, so how sharp and noisy both are on their maps is said beside it.
"""

import dataclasses
from pathlib import Path

import pandas as pd

from nanocensus.errors import InputError, StatisticsError, StoreError
from nanocensus.measure.acceptance import FAILED, apply_criteria
from nanocensus.pipeline.baselines.measuring import Measuring, measuring_of_run
from nanocensus.pipeline.baselines.null_envelope import NullEnvelope, envelope_of_particles
from nanocensus.pipeline.job.onset_section import OnsetsSection
from nanocensus.pipeline.job.spec import Job
from nanocensus.pipeline.run.record import job_of_run, run_record
from nanocensus.statistics.cells.known_micrographs import that_count
from nanocensus.store.particles.tables import read_micrographs, read_particles

_ALIKE = 0.2
"""Edge widths and noise that differ by more than this share are not those of one imaging."""


def envelope_of_run(folder: Path, job: Job, section: OnsetsSection, shape: str, measuring: Measuring) -> NullEnvelope:
    """Make an envelope of the accepted particles of a run of one constant shape, by the criteria of a job.

    Parameters
    ----------
    folder : Path
        Results of the run of the shape.
    job : Job
        The run that it is compared with: the same network, the same way of measuring, the same pixel size.
    section : OnsetsSection
        Which descriptors, and between which sizes.
    shape : str
        What to call it.
    measuring : Measuring
        Of the run that it is compared with.

    Raises
    ------
    InputError
        If there are no results, or another network made the maps, or they were measured in another way.
    StatisticsError
        If there are too few particles, or not of all sizes.
    """
    try:
        _check(folder, job, measuring)
        criteria = dataclasses.replace(job.criteria, samples=None)
        judged = apply_criteria(read_particles(folder), criteria)
    except StoreError as error:
        raise InputError(error.subject, expected=error.expected, got=error.got, remedy=error.remedy) from None
    frame = judged[judged[FAILED] == 0].compute()
    found = envelope_of_particles(frame, measuring, shape=shape, of=list(section.descriptors))
    low, high = section.reach_nm
    if found.between_nm[0] > low or found.between_nm[1] < high:
        raise StatisticsError(
            f"particles of {folder.name}", expected=f"a twelfth below {low:g} nm and a twelfth above {high:g} nm on average",
            got="{:.2f} to {:.2f} nm".format(*found.between_nm),
            remedy="Simulate sizes that spread more (edge_length_log_sd), or seek onsets where there are particles.",
        )  # fmt: skip
    return found


def likeness(folder: Path, measuring: Measuring, size_nm: float, *, seed: int) -> str:
    """Say how sharp and noisy the maps of the run of the shape are beside those that it is compared with.

    Parameters
    ----------
    folder : Path
    measuring : Measuring
        Of the run that it is compared with.
    size_nm : float
        At which edge length.
    seed : int
    """
    simulated = measuring_of_run(folder, seed=seed)
    widths = simulated.edge_width_at(size_nm), measuring.edge_width_at(size_nm)
    noises = simulated.noise, measuring.noise
    unlike = any(abs(one - other) > _ALIKE * max(one, other) for one, other in (widths, noises))
    warned = "; these differ by more than a fifth, so the two were not imaged alike" if unlike else ""
    return (
        f"through the same network, if the micrographs of {folder.name} look like those of this run; at {size_nm:.1f} nm edges on their "
        f"maps are {widths[0]:.2f} nm wide, here {widths[1]:.2f} nm, with a noise of {noises[0]:.2f} and {noises[1]:.2f} in "
        f"probability{warned}"
    )


def _check(folder: Path, job: Job, measuring: Measuring) -> None:
    """Refuse a run whose maps another network made, or whose particles were measured in another way."""
    other = job_of_run(folder)
    done = {"out": that_count(read_micrographs(job.out)), "shape": that_count(read_micrographs(folder))}
    facts = {
        "network": (_networks(job.out, done["out"]), _networks(folder, done["shape"])),
        "flat_field": (job.segment.flat_field, other.segment.flat_field),
        "contrast": (job.segment.contrast, other.segment.contrast),
        "estimator": (job.measure.estimator, other.measure.estimator),
        "threshold": (job.measure.threshold, other.measure.threshold),
        "split": (job.measure.split, other.measure.split),
        "pixel size, nm": ([measuring.pixel_size_nm], sorted(done["shape"]["pixel_size_nm"].unique())),
    }
    for name, (ours, theirs) in facts.items():
        if ours != theirs:
            raise InputError(
                f"{name} of {folder.name}", expected=f"that of the run, {ours}", got=str(theirs),
                remedy="Run the same job on the simulated micrographs.",
            )  # fmt: skip


def _networks(out: Path, done: pd.DataFrame) -> list[str]:
    """Give the beginnings of the digests of the networks that made the maps."""
    digests = run_record(out)["models"]
    return sorted({str(digests.get(str(name), name))[:12] for name in done["model"].unique()})
