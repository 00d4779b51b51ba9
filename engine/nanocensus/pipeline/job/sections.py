"""The sections of a job file about micrographs, maps, particles and the report, each checked by itself."""

import dataclasses
from pathlib import Path
from typing import Literal

from nanocensus.errors import JobError
from nanocensus.schema import Estimator
from nanocensus.segment.networks.architecture import Engine, Precision
from nanocensus.segment.prediction.inference import Inference
from nanocensus.segment.prediction.windows import DEFAULT_TILE
from nanocensus.segment.preparation.flatfield import Contrast
from nanocensus.segment.preparation.preparation import Preparation
from nanocensus.simulate.spec import SimulationSpec

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
