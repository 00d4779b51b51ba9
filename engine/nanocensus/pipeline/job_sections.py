"""The sections of a job file, each checked by itself."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from nanocensus.errors import JobError
from nanocensus.schema import PARTICLES, Estimator
from nanocensus.segment.architecture import Engine, Precision
from nanocensus.segment.flatfield import Contrast
from nanocensus.segment.inference import Inference
from nanocensus.segment.preparation import Preparation
from nanocensus.segment.windows import DEFAULT_TILE
from nanocensus.simulate.spec import SimulationSpec
from nanocensus.statistics.clusters import Cluster
from nanocensus.statistics.size_bins import SizeBins, size_bins

MODEL_SUFFIX = ".safetensors"


@dataclasses.dataclass(frozen=True)
class InputSection:
    """Where the micrographs are, and which sample each belongs to."""

    folder: Path
    """Folder of the micrographs; its first level of folders are the samples, unless a table or pattern says otherwise."""
    table: Path | None = None
    """A samples.csv or micrographs.csv with sample, group, session, order, pixel_size_nm, pixel_size_uncertainty,
    mask, model, image and conditions."""
    pattern: str | None = None
    """Where names are in the paths, e.g. "{sample}/{group}/{order}_*.tif"."""
    pixel_size_nm: float | None = None
    """Side of a pixel in nm, for all files; goes before what the files say."""
    pixel_size_assumed: bool = False
    """Whether that pixel size is made up: every length in the results then says so."""
    pixel_size_uncertainty: float | None = None
    """Relative standard uncertainty of the pixel sizes, whoever states them (0.01 is 1 %); it goes into the uncertainty
    of every length. Unknown if absent."""

    def __post_init__(self) -> None:
        """Check that an assumption is stated."""
        if self.pixel_size_assumed and self.pixel_size_nm is None and self.table is None:
            raise JobError(
                "pixel_size_assumed",
                expected="a pixel size that is assumed",
                got="no pixel_size_nm",
                remedy="Add pixel_size_nm = ... to [input].",
            )


@dataclasses.dataclass(frozen=True)
class SimulateSection:
    """Micrographs to simulate beside the recorded ones; their true particles are known."""

    micrographs: int = 4
    """How many."""
    sample: str = "simulated"
    """Name of their sample."""
    micrograph: SimulationSpec = dataclasses.field(default_factory=SimulationSpec)
    """What each looks like."""

    def __post_init__(self) -> None:
        """Check that there is something to simulate."""
        at_least("micrographs", self.micrographs, 1)


@dataclasses.dataclass(frozen=True)
class StoreSection:
    """How micrographs, maps and labels are kept."""

    pyramid: bool = True
    """Whether smaller copies are kept beside each image, with which viewers open it at once."""


@dataclasses.dataclass(frozen=True)
class SegmentSection:
    """The network, and how a micrograph is prepared and cut for it."""

    model: str = "default"
    """Name of a shipped network or path of a .safetensors file; a `model` column of micrographs.csv goes before it."""
    tile_px: int | None = None
    """Largest side of the windows that a micrograph is cut into on a CPU, in pixels; if absent 2272, or less where a
    worker has too little memory for that. Maps are the same to rounding."""
    flat_field: bool = True
    """Whether hot pixels are replaced and the micrograph is divided by its background before the network sees it."""
    contrast: Contrast = "dark"
    """What particles are against their surroundings: "dark" in bright field, "bright" in dark field and HAADF."""

    siblings: tuple[str, ...] = ()
    """Networks, at least two, whose disagreement with one another becomes an uncertainty of each particle; named as
    `model`. Each takes as long as the network itself."""
    engine: Engine = "jax"
    """Who runs the network on a CPU: "jax", or "openvino" (an extra), which takes half the time for the same map."""
    precision: Precision = "float32"
    """Of the features between convolutions; "bfloat16" with OpenVINO on a processor that knows it takes a quarter."""

    def __post_init__(self) -> None:
        """Refuse what would tell nothing, or only cost."""
        if len(self.siblings) == 1 or len(set(self.siblings)) != len(self.siblings):
            raise JobError(
                "[segment] siblings",
                expected="at least two different networks, or none",
                got=", ".join(self.siblings),
                remedy='Say siblings = ["default-fold0", "default-fold1", "default-fold2"].',
            )
        if self.precision == "bfloat16" and self.engine == "jax":
            raise JobError(
                "[segment] precision",
                expected='"float32", or the engine "openvino"',
                got='"bfloat16" with the engine "jax", which is slower in it on a CPU and no faster on a GPU',
                remedy="Change one of the two.",
            )

    @property
    def inference(self) -> Inference:
        """How the network is run where memory is no question; what it names is what the results follow from."""
        return Inference(self.tile_px or DEFAULT_TILE, self.engine, self.precision)

    @property
    def preparation(self) -> Preparation:
        """What is done to a micrograph before the network sees it."""
        return Preparation(self.flat_field, self.contrast)


@dataclasses.dataclass(frozen=True)
class MeasureSection:
    """How particles are measured on the probability map."""

    estimator: Estimator = "outline"
    """"outline": sub-pixel contour; "paper": scikit-image's pixel counts; "crofton": Crofton perimeter."""
    threshold: float = 0.5
    """Probability above which a pixel is particle."""
    split: Literal["none", "distance", "probability"] = "none"
    """Whether touching particles are split at their necks, which are looked for in the distance from the edge or in the
    probability; the column parent_label then says from what."""
    outlines: bool = False
    """Whether r(theta) of every particle is kept, in outlines/, and mean shapes are reported."""
    labelling: Literal["auto", "host", "cucim"] = "auto"
    """Who labels the particles where there is a GPU: the cores beside it, or cuCIM on it; the cores if "auto", which is
    the faster way."""

    def __post_init__(self) -> None:
        """Check the threshold, and that there are outlines to keep."""
        if self.outlines and self.estimator != "outline":
            raise JobError(
                "[measure] outlines",
                expected='false, or the estimator "outline"',
                got=f"true, and the estimator {self.estimator!r}, which counts pixels",
                remedy="Change one of the two.",
            )
        if not 0.0 < self.threshold < 1.0:
            raise JobError(
                "threshold", expected="a probability between 0 and 1", got=f"{self.threshold:g}", remedy="Try 0.5."
            )


Bound = float | Literal[False] | None


@dataclasses.dataclass(frozen=True)
class QualitySection:
    """Which micrographs are flagged, and whether those that are still count.

    The keys that end in z say how far above the median of its like (its session of its sample, or its sample or run if those
    have fewer than eight) a score may lie, in robust standard deviations; the others are bounds. `false` switches a rule off.
    """

    action: Literal["report", "exclude"] = "report"
    """Whether flagged micrographs are only named ("report"), or named and left out of the statistics ("exclude")."""
    blur_z: Bound = 4.0
    """Of the width of the particles' edges, and of what is missing of fine detail."""
    drift_z: Bound = 4.0
    """Of the length over which they are smeared, and of how unequal fine detail is in different directions."""
    background_z: Bound = 5.0
    """Of the background's range: uneven light, charging, dirt."""
    crowding_z: Bound = 5.0
    """Of the share of the area that particles cover, and of the share of particles that touch."""
    max_blur_nm: Bound = None
    """Largest width of the edges, nm."""
    max_drift_nm: Bound = None
    """Largest length of the smear, nm."""
    max_saturated_share: Bound = 0.01
    """Largest share of saturated pixels."""
    max_background_range: Bound = None
    """Largest range of the background, as a share of its median."""
    max_covered_share: Bound = None
    """Largest share of the area that particles cover."""
    max_touching_share: Bound = None
    """Largest share of particles that touch."""
    max_domain_score: Bound = None
    """Largest distance from what the network was trained on."""
    max_overlap_share: Bound = 0.1
    """Largest share of a micrograph that an earlier one of its sample shows too; the later one is flagged."""

    def __post_init__(self) -> None:
        """Check the bounds."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not value >= 0:
                raise JobError(field.name, expected="0 or more, or false", got=f"{value:g}", remedy="Change it.")


@dataclasses.dataclass(frozen=True)
class ScaleSection:
    """Whether the micrographs' own lattice fringes check the pixel sizes."""

    lattice: str | None = None
    """Lattice of the particles: a name, the path of a CIF, a cubic constant ("4.08 F") or spacings in nm between commas; the
    report then says whether the pixel sizes agree with it. Nothing is checked if absent."""
    micrographs: int = 8
    """Most that are looked at of each session."""

    def __post_init__(self) -> None:
        """Check the number."""
        at_least("micrographs", self.micrographs, 1)


@dataclasses.dataclass(frozen=True)
class BlockSection:
    """How the work is cut: a block is one task, one Parquet part and one partition."""

    micrographs: int = 16
    """Most micrographs in a block; results do not depend on it."""

    def __post_init__(self) -> None:
        """Check the size."""
        at_least("micrographs", self.micrographs, 1)


@dataclasses.dataclass(frozen=True)
class SlurmSection:
    """What each worker, a Slurm job of its own, asks for."""

    interface: str | None = None
    """Network interface on which the scheduler listens and workers call it, such as "ib0"; without one it listens on this
    machine alone."""
    partition: str | None = None
    """Partition; the site's default if absent."""
    account: str | None = None
    """Account to charge; the site's default if absent."""
    memory: str = "4 GiB"
    """Memory of a worker."""
    walltime: str = "08:00:00"
    """How long a worker may run; a run whose workers are gone is started again with the same command."""
    directives: tuple[str, ...] = ()
    """More of what `#SBATCH` lines say, such as "--constraint=avx512"."""
    prologue: tuple[str, ...] = ()
    """Lines of shell before the worker starts, such as "module load python"."""
    logs: Path | None = None
    """Folder of the jobs' output; nowhere if absent."""


@dataclasses.dataclass(frozen=True)
class ClusterSection:
    """Where the work is done."""

    kind: Literal["processes", "inline", "slurm"] = "processes"
    """Who works where no scheduler is named: processes of this machine, "inline" this very process, one micrograph after the
    other (to look for a fault), or "slurm" jobs."""
    scheduler: str | None = None
    """Address of a running Dask scheduler (tcp://host:8786, or tls://host:8786 with the files below)."""
    tls_ca: Path | None = None
    """Certificate of the authority that signed the scheduler's; with it all connections are encrypted."""
    tls_cert: Path | None = None
    """Certificate of this client."""
    tls_key: Path | None = None
    """Its private key."""
    workers: int | None = None
    """Number of local worker processes, as many as cores and memory allow if absent; or of Slurm jobs, one if absent."""
    cores_per_worker: int = 1
    """Cores that one worker owns; the network uses all of them."""
    retries: int = 2
    """How often a micrograph whose worker was lost is tried again alone, before it counts as failed."""
    performance_report: bool = False
    """Whether Dask writes down what each worker did when: performance.html."""
    slurm: SlurmSection = dataclasses.field(default_factory=SlurmSection)
    """What each Slurm job asks for."""

    def __post_init__(self) -> None:
        """Check the numbers, and that one way is meant."""
        for key, least in (("workers", 1), ("cores_per_worker", 1), ("retries", 0)):
            at_least(key, getattr(self, key), least)
        if self.scheduler is not None and self.kind != "processes":
            got = f"kind = {self.kind!r} and scheduler = {self.scheduler!r}"
            raise JobError("cluster", expected="one of the two", got=got, remedy="Leave one out.")
        if self.kind == "inline" and self.workers not in (None, 1):
            got = f'kind = "inline" and workers = {self.workers}'
            raise JobError("cluster", expected="one worker, this process", got=got, remedy="Leave one out.")
        files = [name for name in ("tls_ca", "tls_cert", "tls_key") if getattr(self, name) is not None]
        secure = self.scheduler is not None and self.scheduler.startswith("tls://")
        if len(files) != (3 if secure else 0):
            raise JobError(
                "cluster",
                expected="tls_ca, tls_cert and tls_key together with a scheduler at tls://...",
                got=", ".join(files) or "none of them",
                remedy="Give all of them, or an address at tcp://... and none.",
            )


@dataclasses.dataclass(frozen=True)
class StatisticsSection:
    """Which numbers are reported of each sample and size bin."""

    bin_width_nm: float | None = None
    """Width of the size bins in nm, with edges at its multiples; 0.2 if no other rule is given."""
    bin_edges_nm: tuple[float, ...] | None = None
    """Edges of the size bins in nm, instead of a width."""
    bin_quantiles: int | None = None
    """Number of size bins with equal shares of all particles (by weight), instead of a width."""
    descriptors: tuple[str, ...] = ("edge_length_nm", "circularity", "solidity")
    """Columns of the particles table that hold lengths, areas or ratios and have a value in every row."""
    cluster: Cluster = "group"
    """What is alike and so counts as one in every interval; a micrograph without a group is its own. "run" is ten
    micrographs in the order of acquisition; "auto" is the group where recorded, else the session where every sample has
    four, else runs where neighbouring micrographs resemble each other, else the micrograph."""
    weight: Literal["border_weight", "none"] | None = None
    """Whether particles are weighted for the chance that the border cut them off; they are, but for the estimator
    "paper", if absent."""
    level: float = 0.95
    """Confidence level of the intervals."""

    def __post_init__(self) -> None:
        """Check the descriptors, and that one rule makes bins."""
        rules = [key for key in ("bin_width_nm", "bin_edges_nm", "bin_quantiles") if getattr(self, key) is not None]
        if len(rules) > 1:
            raise JobError("size bins", expected="one rule", got=" and ".join(rules), remedy="Keep one of them.")
        if not 0.5 <= self.level < 1.0:
            raise JobError("level", expected="0.5 or more, below 1", got=f"{self.level:g}", remedy="Try 0.95.")
        check_descriptors(self.descriptors)
        self.bins()

    def bins(self) -> SizeBins:
        """Give the size bins: 0.2 nm wide unless another rule is given.

        Raises
        ------
        StatisticsError
            If the rule makes no bins.
        """
        if self.bin_quantiles is not None:
            return size_bins(quantiles=self.bin_quantiles)
        if self.bin_edges_nm is not None:
            return size_bins(edges=self.bin_edges_nm)
        return size_bins(0.2 if self.bin_width_nm is None else self.bin_width_nm)


@dataclasses.dataclass(frozen=True)
class ReportSection:
    """What the report shows."""

    micrographs: int = 8
    """Most micrographs shown with outlines, dealt out over the samples."""

    def __post_init__(self) -> None:
        """Check the number."""
        at_least("micrographs", self.micrographs, 0)


def at_least(key: str, value: int | None, least: int) -> None:
    """Refuse a number that is too small."""
    if value is not None and value < least:
        raise JobError(key, expected=f"at least {least}", got=str(value), remedy="Leave it out for the default.")


_KNOWN_IN_RUNS = ("mean_probability", "min_probability", "extent")
"""Columns that may be null in a table, but not in what a run measures on its own maps."""


def check_descriptors(names: Sequence[str]) -> None:
    """Refuse, before anything is measured, what the statistics could not count afterwards."""
    columns = [column for column in PARTICLES.columns if column.quantum is not None]
    complete = [column.name for column in columns if not column.nullable or column.name in _KNOWN_IN_RUNS]
    incomplete = [column.name for column in columns if column.name in names and column.name not in complete]
    if incomplete:
        raise JobError(
            "descriptors",
            expected="columns with a value for every particle",
            got=", ".join(incomplete) + ", which some particles or estimators have no value of",
            remedy="Leave them out; they are in the particles table all the same. For their statistics, drop the particles "
            "without a value from nc.read_particles and give the rest to nc.cells.",
        )
    unknown = [name for name in names if name not in complete]
    if unknown or not names:
        raise JobError(
            "descriptors",
            expected="some of: " + ", ".join(complete),
            got=", ".join(unknown) or "none",
            remedy="See docs/reference/columns.md for what each means.",
        )
