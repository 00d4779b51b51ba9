"""Every column of every table, declared once.

Frames, reports, docs and the published contracts (``schemas/*.json``) derive from these declarations. A quantum is
the step to which the statistics round a value before they add it up as an integer: far below what can be measured,
and chosen such that weight * value^2 stays below 2^63 over the declared range.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pyarrow as pa

from nanocensus.errors import FormatVersionError, TableError

FORMAT_VERSION = "1.3"
"""major.minor of everything written; a minor only adds nullable columns or proof, so older minors always open. Since 1.3
files of the store, parts and index are sealed (`store.seal`)."""

_ARROW: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "bool": pa.bool_(),
    "int32": pa.int32(),
    "float64": pa.float64(),
}

DType = Literal["string", "bool", "int32", "float64"]
Estimator = Literal["outline", "paper", "crofton"]
PIXEL_SIZE_ASSUMED = "assumed"
"""The `pixel_size_source` of a pixel size that the user made up; every length then carries the word."""
PIXEL_SIZE_LATTICE = "lattice "
"""What the `pixel_size_source` of one that was found from fringes begins with; the lattice follows."""

WEIGHT_QUANTUM = 2.0**-10
"""Step of the weights of particles in the statistics; the largest weight is 2^6."""
LARGEST_WEIGHT = 2.0**6


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    dtype: DType
    meaning: str
    """One sentence for people who have never seen the code."""
    unit: str = ""
    """"nm", "nm2", "px", "rad", "1" (a ratio), or "" where there is none to name."""
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    quantum: float | None = None
    """Step to which the statistics round the value; a column without one cannot be summed exactly."""
    iso_name: str = ""
    """The name in ISO 9276-6, where it has one."""
    choices: tuple[str, ...] = ()

    def field(self) -> pa.Field:
        """Give the Arrow field, its unit and meaning in the metadata."""
        metadata = {"meaning": self.meaning, "unit": self.unit, "iso_name": self.iso_name}
        return pa.field(
            self.name, _ARROW[self.dtype], self.nullable, {key: text for key, text in metadata.items() if text}
        )

    def json_schema(self) -> dict[str, Any]:
        """Give the JSON Schema of one value, the unit and quantum as annotations."""
        kind = {"string": "string", "bool": "boolean", "int32": "integer", "float64": "number"}[self.dtype]
        facts: dict[str, Any] = {"type": [kind, "null"] if self.nullable else kind, "description": self.meaning}
        if self.choices:
            facts["enum"] = [*self.choices, None] if self.nullable else list(self.choices)
        optional = {
            "minimum": self.minimum,
            "maximum": self.maximum,
            "x-unit": self.unit,
            "x-quantum": self.quantum,
            "x-iso-name": self.iso_name,
            "x-dtype": self.dtype,
        }
        return facts | {key: fact for key, fact in optional.items() if fact not in (None, "")}


@dataclass(frozen=True)
class Table:
    """A table: its columns in order, and the prefix under which users add their own."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    open_prefix: str = ""
    """Columns of this prefix may be added; they are numbers or text (the conditions of a synthesis)."""

    def __getitem__(self, name: str) -> Column:
        """Give a column by its name."""
        try:
            return next(column for column in self.columns if column.name == name)
        except StopIteration:
            raise TableError(
                f"table {self.name!r}",
                expected="one of its columns: " + ", ".join(self.names),
                got=repr(name),
                remedy="See docs/reference/columns.md for what each means.",
            ) from None

    def __contains__(self, name: str) -> bool:
        """Say whether a column of this name is declared."""
        return name in self.names

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the declared columns, in order."""
        return tuple(column.name for column in self.columns)

    def arrow(self, extra: Iterable[pa.Field] = ()) -> pa.Schema:
        """Give the Arrow schema, the format version in its metadata."""
        fields = [column.field() for column in self.columns] + list(extra)
        return pa.schema(fields, {"nanocensus.table": self.name, "nanocensus.format_version": FORMAT_VERSION})

    def json_schema(self) -> dict[str, Any]:
        """Give the JSON Schema of one row."""
        contract: dict[str, Any] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": f"nanocensus {self.name}",
            "description": self.meaning,
            "x-format-version": FORMAT_VERSION,
            "type": "object",
            "properties": {column.name: column.json_schema() for column in self.columns},
            "required": [column.name for column in self.columns],
            "additionalProperties": False,
        }
        if self.open_prefix:
            contract["patternProperties"] = {f"^{self.open_prefix}": {"type": ["number", "string", "null"]}}
        return contract


def check_format_version(version: str, artefact: str) -> None:
    """Refuse what a newer major version wrote; older minors open.

    Raises
    ------
    FormatVersionError
        If the major version differs.
    """
    if version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise FormatVersionError(
            artefact,
            expected=f"format version {FORMAT_VERSION.split('.')[0]}.x",
            got=version or "none",
            remedy="Open it with the nanocensus that wrote it (run.json names the version), or run the job again.",
        )


CONDITION_PREFIX = "condition_"


def _score(name: str, meaning: str, unit: str = "1", maximum: float | None = None) -> Column:
    return Column(name, "float64", meaning, unit, nullable=True, minimum=0.0, maximum=maximum)


_SCORES = (
    _score("blur_nm", "Width (Gaussian sigma) of its particles' edges as recorded: focus.", "nm"),
    _score("drift_nm", "Length over which those edges are smeared in one direction; a little by chance.", "nm"),
    _score("drift_rad", "That direction, from the x axis towards increasing y, within half a turn.", "rad"),
    _score(
        "saturated_share",
        "Share of its pixels at an end of the recorded values, beyond the share of neighbouring values.",
        maximum=1.0,
    ),
    _score(
        "background_range",
        "5th to 95th percentile of the background's means over 16 x 16 squares, as a share of their median: uneven light, "
        "charging, dirt.",
    ),
    _score("covered_share", "Share of its pixels that are particle.", maximum=1.0),
    _score(
        "touching_share",
        "Share of its particles with a gap of at most 2 px, split from a larger one, or of a solidity below 0.9.",
        maximum=1.0,
    ),
)
_JUDGEMENTS = (
    Column(
        "overlap_with",
        "string",
        "Name of the micrograph of its sample that shows most of the same place.",
        nullable=True,
    ),
    _score("overlap_share", "Share of the smaller of the two that both show.", maximum=1.0),
    Column(
        "overlap_shift_y_px",
        "float64",
        "Rows from its upper edge down to that of the other one, to half a reduced pixel (1/256 of its longest side).",
        "px",
        nullable=True,
    ),
    Column(
        "overlap_shift_x_px", "float64", "Columns from its left edge to that of the other one.", "px", nullable=True
    ),
    Column("flags", "string", "Why the rules of [quality] would rather not count it.", nullable=True),
    Column(
        "excluded",
        "bool",
        "Whether those rules keep it out of the statistics; none before these were computed.",
        nullable=True,
    ),
)
SCORES = tuple(column.name for column in _SCORES)
"""Columns of the index that say what a micrograph is worth, told by itself."""
JUDGEMENTS = tuple(column.name for column in _JUDGEMENTS)
"""Columns of the index that say so by the others, and what the rules make of it."""

MICROGRAPHS = Table(
    "micrographs",
    "The index: one row a micrograph, whatever became of it.",
    (
        Column("micrograph", "string", "Identity: the first 16 hexadecimal digits of content_digest."),
        Column("name", "string", "File name relative to the folder it was found in, with forward slashes."),
        Column("sample", "string", "Name of the synthesis condition."),
        Column(
            "group",
            "string",
            "Field or grid square whose micrographs are alike; the micrograph itself if absent.",
            nullable=True,
        ),
        Column("session", "string", "Sitting at the microscope.", nullable=True),
        Column("order", "int32", "Position in the order of acquisition within the sample.", minimum=0.0),
        Column("height_px", "int32", "Number of rows.", "px", minimum=1.0),
        Column("width_px", "int32", "Number of columns.", "px", minimum=1.0),
        Column("recorded_dtype", "string", "Type of the recorded values (numpy name)."),
        Column("pixel_size_nm", "float64", "Side of a (square) pixel.", "nm", minimum=1e-3, maximum=1e3),
        Column(
            "pixel_size_source",
            "string",
            "Who says so: given, assumed, the tag of the file it was read from, or the lattice whose fringes say so.",
        ),
        Column(
            "pixel_size_uncertainty",
            "float64",
            "Relative standard uncertainty of the pixel size, where known.",
            "1",
            nullable=True,
            minimum=0.0,
        ),
        Column(
            "stated_pixel_size_nm",
            "float64",
            "What header or user state, where lattice fringes gave the pixel size instead.",
            "nm",
            nullable=True,
            minimum=1e-3,
            maximum=1e3,
        ),
        Column("stated_pixel_size_source", "string", "Who states that one.", nullable=True),
        Column("model", "string", "Name of the network that predicted it.", nullable=True),
        Column(
            "truth",
            "string",
            "Where its true particles come from (a mask's file name), where they are known.",
            nullable=True,
        ),
        Column("content_digest", "string", "SHA-256 of the recorded values, their type and shape."),
        Column("segment_digest", "string", "Digest of all that the probability map depends on.", nullable=True),
        Column("measure_digest", "string", "Digest of all that its particles depend on.", nullable=True),
        Column("status", "string", "What became of it.", choices=("ingested", "done", "failed")),
        Column("reason", "string", "Why it failed, and what to do.", nullable=True),
        Column(
            "n_detected", "int32", "Number of particles detected, before any criterion.", nullable=True, minimum=0.0
        ),
        Column(
            "domain_score",
            "float64",
            "How far it is from what its network was trained on: 0 in the middle, 1 where one in twenty training "
            "micrographs lies; none where the model card does not say.",
            "1",
            nullable=True,
            minimum=0.0,
        ),
        Column("part", "string", "File name of the Parquet part that holds its particles.", nullable=True),
        Column("part_digest", "string", "SHA-256 of that file.", nullable=True),
        *_SCORES,
        *_JUDGEMENTS,
    ),
    open_prefix=CONDITION_PREFIX,
)

REFUSALS = Table(
    "refusals",
    "Files that did not become micrographs, and why.",
    (
        Column("name", "string", "File name relative to the folder it was found in, with forward slashes."),
        Column("sample", "string", "Sample that it would have belonged to."),
        Column("reason", "string", "What was expected, what came, what to do."),
    ),
)


def _ratio(name: str, meaning: str, maximum: float, iso_name: str = "", *, nullable: bool = False) -> Column:
    return Column(
        name, "float64", meaning, "1", nullable, minimum=0.0, maximum=maximum, quantum=2.0**-18, iso_name=iso_name
    )


def _length(name: str, meaning: str, iso_name: str = "", *, nullable: bool = False) -> Column:
    return Column(
        name, "float64", meaning, "nm", nullable, minimum=0.0, maximum=2048.0, quantum=2.0**-12, iso_name=iso_name
    )


def _area(name: str, meaning: str, iso_name: str = "", *, nullable: bool = False) -> Column:
    return Column(
        name, "float64", meaning, "nm2", nullable, minimum=0.0, maximum=2.0**20, quantum=2.0**-3, iso_name=iso_name
    )


def _angle(name: str, meaning: str, *, nullable: bool = False) -> Column:
    right = 1.5707963267948966
    return Column(name, "float64", meaning, "rad", nullable, minimum=-right, maximum=right, quantum=2.0**-18)


PARTICLES = Table(
    "particles",
    "One row a detected particle; criteria are applied later, never baked in.",
    (
        Column("sample", "string", "Name of the synthesis condition."),
        Column("micrograph", "string", "Identity of its micrograph."),
        Column("label", "int32", "Its value in the label image, from 1, in raster order of first pixels.", minimum=1.0),
        Column(
            "parent_label",
            "int32",
            "Label of what it was split from, where touching particles were to be split.",
            nullable=True,
            minimum=1.0,
        ),
        Column("estimator", "string", "How area and perimeter were measured.", choices=get_args(Estimator)),
        Column("centroid_y_nm", "float64", "Distance of its centroid from the micrograph's upper edge.", "nm"),
        Column("centroid_x_nm", "float64", "Distance of its centroid from the micrograph's left edge.", "nm"),
        Column("bbox_top_px", "int32", "First row of its bounding box.", "px", minimum=0.0),
        Column("bbox_left_px", "int32", "First column of its bounding box.", "px", minimum=0.0),
        Column("bbox_bottom_px", "int32", "Row after the last of its bounding box.", "px", minimum=1.0),
        Column("bbox_right_px", "int32", "Column after the last of its bounding box.", "px", minimum=1.0),
        Column("pixel_count", "int32", "Number of its pixels.", "px", minimum=1.0),
        _area("area_nm2", "Projected area inside the outer outline.", iso_name="A"),
        _area("hole_area_nm2", "Area of the holes inside the outer outline."),
        Column("hole_count", "int32", "Number of holes inside the outer outline.", nullable=True, minimum=0.0),
        _length("perimeter_nm", "Length of the outer outline.", iso_name="P"),
        _area("hull_area_nm2", "Area of the convex hull.", iso_name="A_C"),
        _length("hull_perimeter_nm", "Perimeter of the convex hull.", iso_name="P_C"),
        _length("edge_length_nm", "Side of the square of equal area, sqrt(area)."),
        _length(
            "equivalent_diameter_nm",
            "Diameter of the disc of equal area, sqrt(4 area / pi).",
            iso_name="area-equivalent diameter x_A",
        ),
        _ratio(
            "circularity", "4 pi area / perimeter^2: 1 for a disc, 0.785 for a square.", 4.0, iso_name="form factor"
        ),
        _ratio("iso_circularity", "sqrt(4 pi area / perimeter^2).", 2.0, iso_name="circularity"),
        _ratio("solidity", "area / hull area: 1 for a convex particle.", 2.0, iso_name="solidity"),
        _ratio("convexity", "Hull perimeter / perimeter.", 4.0, iso_name="convexity"),
        _ratio("eccentricity", "Eccentricity of the ellipse of equal second moments: 0 for a disc.", 1.0),
        _length(
            "major_axis_nm",
            "Major axis of the ellipse of equal second moments.",
            iso_name="Legendre ellipse major axis",
        ),
        _length(
            "minor_axis_nm",
            "Minor axis of the ellipse of equal second moments.",
            iso_name="Legendre ellipse minor axis",
        ),
        _angle("orientation_rad", "Angle of the major axis from the x axis towards increasing y."),
        _length("feret_max_nm", "Largest distance between parallel tangents.", iso_name="x_Fmax"),
        _angle(
            "feret_max_angle_rad",
            "Angle of that distance from the x axis towards increasing y; of one of them where several are equal.",
            nullable=True,
        ),
        _length("feret_min_nm", "Smallest distance between parallel tangents.", iso_name="x_Fmin"),
        _ratio("aspect_ratio", "Feret min / Feret max: 1 for a disc.", 1.0, iso_name="aspect ratio"),
        _ratio("roundness", "4 area / (pi feret max^2).", 2.0, iso_name="roundness"),
        _ratio("compactness", "Equivalent diameter / feret max.", 2.0, iso_name="compactness"),
        _ratio(
            "extent",
            "Area / area of the smallest box along the micrograph's rows and columns that holds the outline (in pixel "
            "estimators, its pixels): 0.785 for a disc, 0.5 to 1 for a square, by how it lies.",
            1.0,
            nullable=True,
        ),
        Column(
            "too_small",
            "bool",
            "Whether the disc of equal area is less than 20 px across: its circularity and other shape numbers then tell "
            "more of pixels than of the particle.",
            nullable=True,
        ),
        _ratio("mean_probability", "Mean of the probability map over its pixels.", 1.0, nullable=True),
        _ratio("min_probability", "Smallest value of the probability map among its pixels.", 1.0, nullable=True),
        _length(
            "edge_width_nm",
            "Width of its edge from a probability of 0.1 to 0.9, by how steep the map is along the outline (2.563 sigma "
            "of an edge blurred by a Gaussian); none without a map, or where the map steps from 0 to 1.",
            nullable=True,
        ),
        _area(
            "area_p40_nm2",
            "Area inside the outline drawn at a probability of 0.4, at most a pixel outside the particle's own; none "
            "without a map, or for a label in several pieces.",
            nullable=True,
        ),
        _area(
            "area_p60_nm2",
            "Area inside the outline drawn at a probability of 0.6, of the largest piece if it falls apart; none without "
            "a map, or for a label in several pieces.",
            nullable=True,
        ),
        _length(
            "gap_nm",
            "Smallest distance from a vertex of its outline to one of another particle's on the micrograph: 0 to 1 px "
            "where they touch; none if it is alone.",
            nullable=True,
        ),
        *(
            _ratio(
                f"psi_{harmonic}",
                f"Amplitude of the {order} harmonic of r(theta), the distance from the centroid to the outline, relative "
                f"to its mean, less the outline's noise: {what}; none if it is not star-shaped.",
                2.0,
                nullable=True,
            )
            for harmonic, order, what in (
                (2, "second", "how elongated it is"),
                (3, "third", "how triangular it is"),
                (4, "fourth", "how square it is, 0.14 for a square"),
                (5, "fifth", "about 0 for a regular particle of four faces"),
                (6, "sixth", "how hexagonal it is"),
                (7, "seventh", "about 0 for a regular particle of four faces"),
                (8, "eighth", "how eight-sided it is"),
            )
        ),
        _length(
            "outline_noise_nm",
            "Standard deviation of r(theta) about an outline that is smooth or straight over nine of 128 directions, "
            "corners left out: below 0.07 px without noise; too low where the map's noise is itself smooth over a pixel "
            "and more; none if it is not star-shaped.",
            nullable=True,
        ),
        Column(
            "concavity",
            "float64",
            "How hollow its four faces are: minus their curvature, within 17 degrees of their centres as seen from the "
            "centroid, times the radius of the disc of equal area: -1 for a disc, 0 for straight faces, positive for "
            "hollow ones; none if it is not star-shaped.",
            "1",
            nullable=True,
            minimum=-8.0,
            maximum=8.0,
            quantum=2.0**-18,
        ),
        Column(
            "star_shaped",
            "bool",
            "Whether each of 128 rays from its centroid meets the outline once; only then does r(theta) tell all of it.",
            nullable=True,
        ),
        _length(
            "edge_length_sibling_sd_nm",
            "Standard deviation of its edge length over sibling networks that find it; none without siblings, or if "
            "fewer than two find it.",
            nullable=True,
        ),
        _ratio(
            "sibling_share", "Share of the sibling networks that find it; none without siblings.", 1.0, nullable=True
        ),
        Column("touches_border", "bool", "Whether a pixel of it lies on the micrograph's border."),
        Column(
            "border_weight",
            "float64",
            "Miles-Lantuejoul weight: 1 / chance that one of its size lies wholly "
            "inside the micrograph, at most 64; none for a particle on the border.",
            "1",
            nullable=True,
            minimum=1.0,
            maximum=LARGEST_WEIGHT,
        ),
    ),
)

TABLES: Mapping[str, Table] = {table.name: table for table in (MICROGRAPHS, REFUSALS, PARTICLES)}


def dumps(contract: Mapping[str, Any]) -> str:
    """Write a contract as published: sorted for review, one newline at the end."""
    return json.dumps(contract, indent=2, ensure_ascii=False) + "\n"
