"""The columns of the tables of onset sizes, declared once for the tables, their contracts and their page."""

from collections.abc import Mapping

from nanocensus.measure.acceptance import REASONS
from nanocensus.pipeline.onsets.variants import BASELINE, SOURCES
from nanocensus.schema import Column, Table
from nanocensus.statistics.onsets.samples import JOINT
from nanocensus.statistics.onsets.table import ONSET, SATURATION

SAMPLING, COMBINED = "sampling", "combined"
"""What stands in place of a source for the standard error, and for all of it together."""
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
        number("degrees_of_freedom", "Of Student's t, where the interval is that of a mean over samples that differ; else none."),
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

UNCERTAINTY = Table(
    "onset_uncertainty",
    "`onset_uncertainty.csv`: what each onset owes to sampling and to all else that could move it. For every onset with a number a "
    "row a source: sampling, then what was varied, the baseline where one is taken off, then all of it combined (GUM).",
    (
        DESCRIPTOR,
        BEND,
        SAMPLE,
        Column("source", "string", "What is in doubt.", choices=(SAMPLING, *SOURCES, BASELINE, COMBINED)),
        length("standard_uncertainty_nm", "What it contributes, as a standard uncertainty; none if not known."),
        length(
            "expanded_uncertainty_nm", "Of the combination alone: its standard uncertainty times the coverage factor."
        ),
        number(
            "coverage_factor",
            "Of the combination alone: k, Student's t at 95.45 % with Welch and Satterthwaite's degrees of freedom. 2, unless few "
            "samples differ.",
        ),
        number("share", "Its square over that of the combination."),
        length("smallest_nm", "Smallest onset that was found by varying it."),
        length("largest_nm", "Largest one."),
        Column(
            "remark", "string", "How it was varied, or why it is not known; for the combination, what it leaves out."
        ),
    ),
)

BIN_MEANS = Table(
    "bin_mean_uncertainty",
    "`bin_mean_uncertainty.csv`: the same of the means in bins of 0.2 nm, one row a descriptor, sample and bin. All but the sizes is "
    "in the unit of the descriptor.",
    (
        DESCRIPTOR,
        Column("sample", "string", "Name of the sample."),
        Column("size_left", "float64", "Lower edge of the size bin, included.", "nm"),
        Column("size_right", "float64", "Upper edge of it, excluded.", "nm"),
        Column("n", "int32", "Particles in it.", minimum=0.0),
        number("mean", "Mean of the descriptor.", ""),
        number("standard_error", "Standard error of sampling; none where refused.", ""),
        *(number("from_" + source.replace(" ", "_"), f"What the {source} contributes, as a standard uncertainty.", "")
          for source in SOURCES),
        number("combined_standard_uncertainty", "Root of the sum of the squares of what is known; none without a standard error.", ""),
        number("expanded_uncertainty", "That times k, Student's t at 95.45 % with Welch and Satterthwaite's degrees of freedom; 2 for many clusters.", ""),
        Column("left_out", "string", "Sources that are not known, and so not in it."),
        Column("refusal", "string", "Why there is no standard error; empty where there is one."),
    ),
)  # fmt: skip

REJECTED = Table(
    "rejected_by_size",
    "`rejected_by_size.csv`: which share of the particles of each size the criteria reject, in bins of 0.2 nm. Particles on the "
    "border are not counted where they are left out.",
    (
        Column("sample", "string", "Name of the sample."),
        Column("size_left", "float64", "Lower edge of the size bin, included.", "nm"),
        Column("size_right", "float64", "Upper edge of it, excluded.", "nm"),
        Column("n", "int32", "Particles detected in it.", minimum=0.0),
        Column("n_rejected", "int32", "Those of them that fail a criterion.", minimum=0.0),
        Column("rejected_share", "float64", "Their share.", "1", minimum=0.0, maximum=1.0),
        *(Column(reason, "int32", f"Those that fail for the reason `{reason}`.", minimum=0.0) for reason in REASONS[1:]),
    ),
)  # fmt: skip

ONSET_TABLES: Mapping[str, Table] = {table.name: table for table in (ONSETS, CURVES, UNCERTAINTY, BIN_MEANS, REJECTED)}
"""By the names of their files."""
