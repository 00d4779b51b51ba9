"""The columns of the tables of synthesis models and further comparisons, declared once for tables, contracts and their page."""

from collections.abc import Mapping

from nanocensus.pipeline.onsets.columns import DESCRIPTOR, SAMPLE, number
from nanocensus.schema import CONDITION_PREFIX, Column, Table
from nanocensus.statistics.synthesis.fit import LINE, POWER
from nanocensus.statistics.synthesis.tables import LEFT_OUT, UNSEEN
from nanocensus.statistics.variance.nested import ALL

_UNIT = Column("unit", "string", "Unit of the numbers; 1 of a ratio.")
_MODEL = Column("model", "string", "Which model of the means.", choices=(POWER, LINE))
_REFUSAL = Column("refusal", "string", "Why there is no number; empty where there is one.")
_SIZES = (
    ("size_bin", "Centre of the size bin."),
    ("size_left", "Its lower edge, included."),
    ("size_right", "Its upper edge."),
)


def _count(name: str, meaning: str) -> Column:
    return Column(name, "int32", meaning, minimum=0.0)


def _own(name: str, meaning: str) -> Column:
    """Declare a number in the unit of its row, which may be missing."""
    return number(name, meaning, "")


SYNTHESIS_MODELS = Table(
    "synthesis_models",
    "`synthesis_models.csv`: one row a descriptor and model of its means by the conditions of the synthesis.",
    (
        DESCRIPTOR, _UNIT, _MODEL,
        Column("formula", "string", "The fitted model in the conditions' own units; ln is the natural logarithm."),
        _count("n_samples", "Samples with an interval of their mean."),
        _count("n_conditions", "Different combinations of conditions among them."),
        number("r2", "Share of the variance of the means that the model explains: no evidence by itself."),
        number("q2", "The same of predictions without the condition, against the mean of the others: 0 is no better."),
        number("p", "Chance of so large an r2, search included, if means had nothing to do with conditions."),
        _own("residual_sd", "Standard deviation of the means about the model."),
        _own("sampling_sd", "Root mean square standard error of the means: its part that clusters explain."),
        _REFUSAL,
    ),
)  # fmt: skip
SYNTHESIS_COEFFICIENTS = Table(
    "synthesis_coefficients",
    "`synthesis_coefficients.csv`: one row a descriptor, model and condition.",
    (
        DESCRIPTOR, _MODEL,
        Column("condition", "string", "Name of the condition, without condition_."),
        Column("what", "string", "Its exponent, or the slope in its natural logarithm.", choices=("exponent", "slope in ln")),
        _own("estimate", "Best exponent, or slope."),
        _own("lower", "Least exponent in the joint confidence set, or lower end of the slope's interval."),
        _own("upper", "Largest exponent in the set, or upper end."),
        _UNIT,
    ),
)  # fmt: skip
SYNTHESIS_EXPONENTS = Table(
    "synthesis_exponents",
    "`synthesis_exponents.csv`: one row a descriptor and choice of exponents; `exponent_Co` is that of the condition Co.",
    (
        DESCRIPTOR,
        number("r2", "Share of the variance of the means explained."),
        number("share", "Share of the resamples in which this choice is the best."),
        Column("inside", "bool", "Whether the choice is in the joint confidence set."),
    ),
    open_prefix="exponent_",
)
SYNTHESIS_PREDICTIONS = Table(
    "synthesis_predictions",
    "`synthesis_predictions.csv`: one row a descriptor, model and sample, predicted from the others, or not made at all.",
    (
        DESCRIPTOR, _UNIT, _MODEL, SAMPLE,
        Column("kind", "string", "Whether the sample's condition was left out of the fit, or no sample has it.",
               choices=(LEFT_OUT, UNSEEN)),
        _own("observed", "Its measured mean."),
        _own("predicted", "What the model says."),
        _own("lower", "Lower end of the interval of the measured mean of one more synthesis."),
        _own("upper", "Upper end of it."),
        Column("outside", "string", "In what the prediction extrapolates; empty where it does not."),
    ),
    open_prefix=CONDITION_PREFIX,
)  # fmt: skip
ENERGY_DISTANCES = Table(
    "energy_distances",
    "`energy_distances.csv`: one row a pair of samples and plane of two columns.",
    (
        Column("first", "string", "One sample."), Column("second", "string", "The other."),
        Column("x", "string", "Column of the particles table."), Column("y", "string", "The other column."),
        number("distance", "Energy distance, in standard deviations of all samples together."),
        number("coefficient", "The distance over twice the mean distance of particles of both: from 0 to 1."),
        number("chance", "Coefficient that clusters dealt out at random stay below, at the level of the intervals."),
        number("p", "Chance of so large a distance between samples of the same clusters."),
        number("p_holm", "The same for all pairs of this plane together (Holm)."),
        _count("n_first", "Particles of the first."), _count("n_second", "Particles of the second."),
        _count("n_clusters_first", "Clusters of the first."), _count("n_clusters_second", "Clusters of the second."),
        _REFUSAL,
    ),
)  # fmt: skip
NESTED_VARIANCE = Table(
    "nested_variance",
    f"`nested_variance.csv`: one row a sample (`{ALL}` last), descriptor and level that can be told apart.",
    (
        SAMPLE, DESCRIPTOR,
        Column("level", "string", "session, group, micrograph or particle; empty where refused."),
        _own("variance", "Variance at the level, squared unit of the descriptor."),
        _own("lower", "Lower end of its confidence interval."), _own("upper", "Upper end of it."),
        number("share", "Share of the total variance."),
        number("p", "Chance of so large a variance if there were none at the level."),
        number("n_units", "Units of the level."), number("degrees_of_freedom", "Of its sum of squares."),
        _REFUSAL,
    ),
)  # fmt: skip
SPREAD = Table(
    "spread_against_mean",
    "`spread_against_mean.csv`: one row a descriptor: ln(standard deviation) against ln(mean) over samples, of ratios ln(1 - mean).",
    (
        DESCRIPTOR, Column("against", "string", "What the standard deviation is held against."),
        number("slope", "0: the spread is the same in all samples; 1: it is in proportion."),
        number("lower", "Lower end of its confidence interval."), number("upper", "Upper end of it."),
        number("p_constant", "Chance of such a slope if the spread were the same."),
        number("p_in_proportion", "Chance of such a slope if the spread were in proportion."),
        number("reliability", "Share of the variance of the means between samples that is no noise."),
        _count("n_samples", "Samples with intervals."), Column("left_out", "string", "Samples without."), _REFUSAL,
    ),
)  # fmt: skip
MODALITY = Table(
    "modality",
    "`modality.csv`: one row a sample: whether its distribution has one peak.",
    (
        SAMPLE, DESCRIPTOR,
        _own("critical_bandwidth", "Least bandwidth that leaves one peak, in the descriptor's unit."),
        _own("usual_bandwidth", "Bandwidth after Silverman, to compare."),
        number("p", "Chance of so large a critical bandwidth if there were one peak."),
        _own("peak", "Higher peak of the two that it joins."), _own("second_peak", "The other."),
        _count("n", "Particles."), _count("n_clusters", "Clusters."), _REFUSAL,
    ),
)  # fmt: skip
REPRESENTATIVES = Table(
    "representatives",
    "`representatives.csv`: the particles nearest to the median of all descriptors, of each sample (no size bin) and size bin, with "
    "the descriptors themselves in columns of their names.",
    (
        SAMPLE, *(Column(name, "float64", meaning, "nm", nullable=True) for name, meaning in _SIZES),
        _count("rank", "1 is the nearest."), Column("micrograph", "string", "Its micrograph."),
        _count("label", "Its number there."),
        Column("distance", "float64", "From the median, each descriptor in median absolute deviations times 1.4826.", "1"),
        _count("n", "Particles that it stands for."),
    ),
)  # fmt: skip

SYNTHESIS_TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (SYNTHESIS_MODELS, SYNTHESIS_COEFFICIENTS, SYNTHESIS_EXPONENTS, SYNTHESIS_PREDICTIONS)
}
POPULATION_TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (*SYNTHESIS_TABLES.values(), ENERGY_DISTANCES, NESTED_VARIANCE, SPREAD, MODALITY, REPRESENTATIVES)
}
"""By the names of their files."""
