"""The columns of the tables of what is taken off the means before onsets are sought, declared once for tables, contracts and page."""

from collections.abc import Mapping

from nanocensus.pipeline.onsets.columns import DESCRIPTOR, number
from nanocensus.schema import Column, Table

INSIDE, BEYOND, AGAINST = "inside", "beyond", "against"
KINDS = OVERLAPPING, TOUCHING = ("overlapping", "touching")
_SAMPLE = Column("sample", "string", "Name of the sample.")
_SHAPE = Column("shape", "string", "Which constant shape.")
_LEFT = Column("size_left", "float64", "Lower edge of the size bin, included.", "nm")
_RIGHT = Column("size_right", "float64", "Upper edge of it, excluded.", "nm")

ENVELOPE = Table(
    "null_envelope",
    "`null_envelope.csv`: what a constant shape shows of a descriptor at each size, measured as the particles were. One row a shape, "
    "descriptor and size; values are in the unit of the descriptor.",
    (
        _SHAPE,
        DESCRIPTOR,
        Column("size_nm", "float64", "Mean measured edge length.", "nm"),
        Column("value", "float64", "Mean of the descriptor."),
        Column("standard_error", "float64", "Standard error of that mean."),
        Column("spread_lower", "float64", "2.5 % of single particles lie below."),
        Column("spread_upper", "float64", "2.5 % of single particles lie above."),
        Column("n", "int32", "Particles that were measured.", minimum=0.0),
        Column("fitted", "float64", "Smooth curve through the values: what is taken off."),
    ),
)

EXCESS = Table(
    "excess_trends",
    "`excess_trends.csv`: whether a descriptor changes by more than a constant shape would. One row a sample and descriptor; changes "
    "are in the unit of the descriptor.",
    (
        _SAMPLE,
        DESCRIPTOR,
        _SHAPE,
        Column("pairs", "bool", "Whether what pairs of particles add is in the change of the shape."),
        Column("low_nm", "float64", "Edge length from which the change is taken.", "nm"),
        Column("high_nm", "float64", "Edge length up to which it is taken.", "nm"),
        number("change", "Change of the data by a straight line.", ""),
        number("lower", "Lower end of its confidence interval.", ""),
        number("upper", "Upper end of it.", ""),
        number("envelope_change", "Change of the constant shape at the sizes of these particles.", ""),
        number("excess", "Change of what is left of the data without it.", ""),
        number("excess_lower", "Lower end of its confidence interval, in which the constant shape's own uncertainty is too.", ""),
        number("excess_upper", "Upper end of it.", ""),
        Column("n", "int32", "Particles.", minimum=0.0),
        Column("n_clusters", "int32", "Clusters.", minimum=0.0),
        Column(
            "verdict",
            "string",
            "Whether the interval of the excess holds 0 (inside); if not, whether the data change more than the shape, the same way "
            "(beyond), or less or the other way (against). Empty where refused.",
            choices=("", INSIDE, BEYOND, AGAINST),
        ),
        Column("refusal", "string", "Why there is no verdict; empty where there is one."),
        Column("sentence", "string", "The same in words."),
    ),
)  # fmt: skip

PAIRS = Table(
    "pair_contamination",
    "`pair_contamination.csv`: which share of the accepted particles of each size are touching or overlapping pairs that are measured "
    "as one, and by how much they shift the means. One row a sample, bin of 0.2 nm with 20 particles or more, and descriptor.",
    (
        _SAMPLE,
        _LEFT,
        _RIGHT,
        Column("n", "int32", "Accepted particles in it.", minimum=0.0),
        Column("share", "float64", "Estimated share of pairs among them.", "1", minimum=0.0, maximum=1.0),
        Column("share_error", "float64", "Its standard error.", "1", minimum=0.0),
        DESCRIPTOR,
        Column("shift", "float64", "What they add to the mean of the bin, in the unit of the descriptor."),
    ),
)

PAIR_RATES = Table(
    "pair_rates",
    "`pair_rates.csv`: how many pairs there are, and what tells so. One row a sample and kind.",
    (
        _SAMPLE,
        Column("kind", "string", "How they lie.", choices=KINDS),
        Column("n_merged", "float64", "Estimated number that are measured as one, accepted or not.", minimum=0.0),
        Column("error", "float64", "Its standard error.", minimum=0.0),
        number("accepted", "Share of them that meets the criteria; none where none could be drawn."),
        Column("n_detected", "int32", "Particles detected in the sample.", minimum=0.0),
        Column("n_rejected", "int32", "Those rejected for their shape alone.", minimum=0.0),
        Column("n_random", "float64", "Pairs that would meet if all lay at random.", minimum=0.0),
        Column("density_per_nm2", "float64", "Particles per square nanometre of micrograph.", minimum=0.0),
    ),
)

EXCESS_TABLES: Mapping[str, Table] = {table.name: table for table in (ENVELOPE, EXCESS, PAIRS, PAIR_RATES)}
"""By the names of their files."""
