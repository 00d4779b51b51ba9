"""The job file: what a run reads, does and writes, as frozen dataclasses."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nanocensus.device import DeviceChoice
from nanocensus.errors import InputError, JobError
from nanocensus.measure.criteria import Criteria
from nanocensus.pipeline.job.lattices import CIF_SUFFIX, lattice_spacings
from nanocensus.pipeline.job.onset_section import OnsetsSection
from nanocensus.pipeline.job.population_sections import PopulationsSection, SynthesisSection
from nanocensus.pipeline.job.sections import (
    MODEL_SUFFIX,
    InputSection,
    MeasureSection,
    QualitySection,
    ReportSection,
    ScaleSection,
    SegmentSection,
    SimulateSection,
    StoreSection,
    at_least,
)
from nanocensus.pipeline.job.statistics_section import StatisticsSection
from nanocensus.pipeline.job.work_sections import BlockSection, ClusterSection
from nanocensus.sections import line_of, parse_section, read_toml


@dataclasses.dataclass(frozen=True)
class Job:
    """One run, from files to report."""

    out: Path
    """Folder of the results; the run goes on from what is already there."""
    title: str = "A census of nanocrystals"
    """Title of the report."""
    seed: int = 0
    """Seed of everything random."""
    device: DeviceChoice = "auto"
    """"cpu", "gpu", or "auto", which may choose the CPU and says so."""
    input: InputSection | None = None
    """Where the micrographs are."""
    simulate: SimulateSection | None = None
    """Micrographs to simulate beside them."""
    store: StoreSection = dataclasses.field(default_factory=StoreSection)
    """How images are kept."""
    segment: SegmentSection = dataclasses.field(default_factory=SegmentSection)
    """The network."""
    measure: MeasureSection = dataclasses.field(default_factory=MeasureSection)
    """How particles are measured."""
    scale: ScaleSection = dataclasses.field(default_factory=ScaleSection)
    """Check of the pixel sizes."""
    criteria: Criteria = dataclasses.field(default_factory=Criteria)
    """Which particles count."""
    quality: QualitySection = dataclasses.field(default_factory=QualitySection)
    """Which micrographs count."""
    blocks: BlockSection = dataclasses.field(default_factory=BlockSection)
    """How the work is cut."""
    cluster: ClusterSection = dataclasses.field(default_factory=ClusterSection)
    """Where the work is done."""
    statistics: StatisticsSection = dataclasses.field(default_factory=StatisticsSection)
    """Which numbers are reported."""
    onsets: OnsetsSection | None = None
    """Onset sizes that are sought."""
    synthesis: SynthesisSection | None = None
    """Models of the synthesis."""
    populations: PopulationsSection | None = None
    """Further comparisons of samples."""
    report: ReportSection = dataclasses.field(default_factory=ReportSection)
    """What the report shows."""

    def __post_init__(self) -> None:
        """Check that there is something to do, and what no section can check alone."""
        at_least("seed", self.seed, 0)
        keeping = [] if self.criteria.exclude_border else ["[criteria]"]
        for name in self.criteria.samples or {}:
            if not self.criteria.of(name).exclude_border:
                keeping.append(f'[criteria.samples."{name}"]')
        if self.weight_column is not None and keeping:
            raise JobError(
                f"{keeping[0]} exclude_border",
                expected='true, since particles on the border have no weight (or [statistics] weight = "none")',
                got="false",
                remedy="Change one of the two.",
            )
        if self.input is not None and self.input.table is None and self.out.is_relative_to(self.input.folder):
            raise JobError(
                "out",
                expected="a folder outside the micrographs' own",
                got=str(self.out),
                remedy="Results among raw data would be taken for more of it; choose another `out`.",
            )
        if self.input is None and self.simulate is None:
            raise JobError(
                "job",
                expected="micrographs: [input] with a folder, or [simulate]",
                got="neither",
                remedy='Add [input] and below it folder = "path/to/micrographs".',
            )

    @property
    def weight_column(self) -> str | None:
        """The column of weights, or None to count each particle once, as the paper does."""
        by_default = "none" if self.measure.estimator == "paper" else "border_weight"
        weight = self.statistics.weight or by_default
        return None if weight == "none" else weight


def parse_job(data: Mapping[str, Any], *, base: Path | None = None) -> Job:
    """Read a job from what its file says.

    Parameters
    ----------
    data : Mapping
        The tables and keys of the job file.
    base : Path, optional
        Folder to which the paths in it are relative; the working directory if absent.

    Returns
    -------
    Job

    Raises
    ------
    JobError
        If a key is unknown or missing, or a value is none that it can have.

    Examples
    --------
    >>> parse_job({"out": "results", "simulate": {"micrographs": 2}}).simulate.micrographs
    2
    """
    job = parse_section(Job, data, section="job", base=base)
    segment = dataclasses.replace(
        job.segment,
        model=model_path(job.segment.model, base),
        siblings=tuple(model_path(sibling, base) for sibling in job.segment.siblings),
    )
    scale = job.scale
    if scale.lattice is not None:
        scale = dataclasses.replace(scale, lattice=_known(scale.lattice, base))
    return dataclasses.replace(job, segment=segment, scale=scale)


def _known(lattice: str, base: Path | None) -> str:
    """Give a lattice, with the whole path of its file if it has one; an unknown one is refused before any work starts."""
    if lattice.endswith(CIF_SUFFIX):
        lattice = os.path.abspath((base or Path()) / lattice)
    try:
        lattice_spacings(lattice)
    except InputError as error:
        got = error.got if error.subject == "lattice" else f"{error.subject}: {error.got}"
        raise JobError("[scale] lattice", expected=error.expected, got=got, remedy=error.remedy) from None
    return lattice


def model_path(model: str, base: Path | None) -> str:
    """Give a model's name as it is, and the path of one relative to the file that names it.

    Examples
    --------
    >>> model_path("default", Path("/jobs")), model_path("mine.safetensors", Path("/jobs"))
    ('default', '/jobs/mine.safetensors')
    """
    return os.path.abspath((base or Path()) / model) if model.endswith(MODEL_SUFFIX) else model


def read_job(path: str | os.PathLike[str]) -> Job:
    """Read a job file.

    Parameters
    ----------
    path : path
        A TOML file; the paths in it are relative to its own folder.

    Returns
    -------
    Job

    Raises
    ------
    JobError
        If the file is not there, is not TOML, or says something that cannot be done.
    """
    path = Path(path)
    said = read_toml(path)
    with naming_lines(path):
        return parse_job(said, base=path.parent)


@contextlib.contextmanager
def naming_lines(path: Path) -> Iterator[None]:
    """Name the job file, and the line of it, in what is wrong with a job.

    Raises
    ------
    JobError
        Instead of one that names the key alone.
    """
    try:
        yield
    except JobError as error:
        line = line_of(path.read_text(encoding="utf-8-sig"), error.subject, top="job")
        where = f"{path.name}, line {line}: {error.subject}" if line is not None else f"{path.name}: {error.subject}"
        raise JobError(where, expected=error.expected, got=error.got, remedy=error.remedy) from None
