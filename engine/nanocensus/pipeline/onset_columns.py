"""The columns of the tables of onset sizes, declared once for the tables, their contracts and their page."""

from collections.abc import Mapping

from nanocensus.schema import Column, Table
from nanocensus.statistics.onset_samples import JOINT
from nanocensus.statistics.onset_table import ONSET, SATURATION

DESCRIPTOR = Column("descriptor", "string", "Column of the particles table.")
BEND = Column(
    "bend",
    "string",
    "Which change of course: the onset, or the saturation, from which on the shape stays the same.",
    choices=(ONSET, SATURATION),
)
_EXCESS = Column(
    "excess",
    "bool",
    "Whether it is that of the excess over a constant shape; never in the rows of the paper's readings.",
)
SAMPLE = Column("sample", "string", f"Name of the sample; `{JOINT}` where all are fitted together.")


def length(name: str, meaning: str) -> Column:
    """Declare a length that may be missing."""
    return Column(name, "float64", meaning, "nm", nullable=True)


def number(name: str, meaning: str, unit: str = "1") -> Column:
    """Declare a number that may be missing."""
    return Column(name, "float64", meaning, unit, nullable=True)


ONSETS = Table(
    "onsets",
    "`onsets.csv`: one row a descriptor, bend and sample, all samples together last; then the paper's readings, named as such "
    "in the column sample. Where there is a refusal there is no number.",
    (
        DESCRIPTOR,
        BEND,
        _EXCESS,
        SAMPLE,
        length("estimate_nm", "Edge length at which the descriptor bends."),
        length("lower_nm", "Lower end of its confidence interval."),
        length("upper_nm", "Upper end of it."),
        length("standard_error_nm", "Standard error of the estimate, of sampling alone."),
        length("half_width_nm", "Half width of the fitted bend: 0 is a kink; only roughly known."),
        number("existence_p", "Chance of so clear a bend if the descriptor followed smooth curves; below 0.05 it is shown."),
        number("q", "Cochran's Q of the samples' places, in the row of all samples."),
        number("q_p", "Chance of so large a Q if all samples bent at one size."),
        length("sd_between_nm", "Standard deviation of the true places between samples."),
        Column("n", "int32", "Particles between the sizes where it was sought.", minimum=0.0),
        Column("n_clusters", "int32", "Clusters with such particles.", minimum=0.0),
        Column("method", "string", "How the interval was made; empty where there is none."),
        Column("refusal", "string", "Why there is no number; empty where there is one."),
    ),
)  # fmt: skip

CURVES = Table(
    "onset_curves",
    "`onset_curves.csv`: what was fitted, one row a bin of 0.1 nm of a sample that could be fitted.",
    (
        DESCRIPTOR,
        BEND,
        _EXCESS,
        SAMPLE,
        Column("size_nm", "float64", "Mean edge length of the particles in the bin.", "nm"),
        number("mean", "Mean of the descriptor, or of its excess, in the descriptor's unit.", ""),
        number("fitted", "The fitted curve of an average cluster, in the same unit; none where no bend is told.", ""),
    ),
)

ONSET_TABLES: Mapping[str, Table] = {table.name: table for table in (ONSETS, CURVES)}
"""By the names of their files."""
