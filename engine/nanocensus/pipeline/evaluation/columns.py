"""The columns of the tables of an evaluation, declared once for the tables and their page of documentation."""

from collections.abc import Mapping

from nanocensus.schema import Column, DType, Table

_SAMPLE = Column("sample", "string", "Name of the sample; `all samples` where several are pooled.")
_METHOD = Column(
    "method", "string", "`network`, or `otsu`: the micrograph blurred by 2 px and cut at Otsu's threshold."
)
_UNIT = Column("size_unit", "string", "`nm`, or `px` where a pixel size is missing.")


def _count(name: str, meaning: str) -> Column:
    return Column(name, "int32", meaning, minimum=0.0)


def _number(name: str, meaning: str, unit: str = "1", *, nullable: bool = False) -> Column:
    return Column(name, "float64", meaning, unit, nullable=nullable)


def _maybe(name: str, meaning: str, unit: str = "1") -> Column:
    return _number(name, meaning, unit, nullable=True)


def _flag(name: str, meaning: str, *, nullable: bool = False) -> Column:
    kind: DType = "bool"
    return Column(name, kind, meaning, nullable=nullable)


def _interval(unit: str = "") -> tuple[Column, ...]:
    return (
        _maybe("estimate", "The figure.", unit),
        _maybe("lower", "Lower end of its confidence interval; none where refused.", unit),
        _maybe("upper", "Upper end.", unit),
        _count("n", "Particles that it rests on."),
        _count("n_clusters", "Fields (or micrographs without one) that they come from: what the interval is over."),
        Column("refusal", "string", "Why there is no interval; empty where there is one."),
    )


MICROGRAPHS = Table(
    "evaluated micrographs",
    "`micrographs.csv`: one row a micrograph and method. Particles count from 20 pixels on, those on the border too.",
    (
        _SAMPLE,
        Column("name", "string", "File name."),
        Column("group", "string", "Its field, or its own name."),
        Column("model", "string", "Name of the network."),
        _METHOD,
        _maybe("pixel_size_nm", "Side of a pixel.", "nm"),
        _count("true_pixels", "Pixels that are particle in truth."),
        _count("found_pixels", "Pixels that are particle in the map cut at 0.5."),
        _count("common_pixels", "Pixels that are both."),
        _number("dice", "2 common / (true + found)."),
        _number("iou", "Intersection over union: common / (true + found - common)."),
        _count("n_true", "True particles."),
        _count("n_found", "Particles found."),
        _count("n_matched", "Pairs whose intersection over union is above 0.5."),
        _number("f1", "2 matched / (true + found)."),
        _count("n_true_large", "True particles of at least `large_px` pixels."),
        _count("n_matched_large", "Those of them that are matched."),
        _count("n_false_large", "Particles found of at least `large_px` pixels that match none."),
        _number("f1_large", "2 matched / (2 matched + missed + false), of large ones."),
        _maybe("boundary_error_px", "Mean of its compared particles, see particles.", "px"),
        _maybe("edge_length_error", "Mean of its compared particles, see particles."),
        _maybe("calibration_error", "Expected calibration error of pixels with probabilities from 0.05 to 0.95."),
    ),
    open_prefix="condition_",
)  # fmt: skip

SUMMARY = Table(
    "summary",
    "`summary.csv`: one row a sample, method and figure of merit, pooled over micrographs.",
    (
        _SAMPLE,
        _METHOD,
        Column("figure", "string", "Which: see the list below."),
        Column("unit", "string", "Its unit."),
        *_interval(),
    ),
)

BY_SIZE = Table(
    "by size",
    "`by_size.csv`: one row a sample, method, figure and bin of the true edge length. Particles on the border are left "
    "out. Bins are 0.2 nm wide (where a pixel size is missing, a factor of 1.19 in px), and joined until each holds 20 "
    "particles of 4 fields.",
    (
        _SAMPLE,
        _METHOD,
        Column("figure", "string", "`detection_rate`, or one of the errors or the edge width of particles."),
        Column("unit", "string", "Its unit."),
        _UNIT,
        _number("size_left", "Lower edge of the bin, included.", "nm or px"),
        _number("size_right", "Upper edge, excluded.", "nm or px"),
        _maybe("mean_size", "Mean true edge length of the particles in it.", "nm or px"),
        *_interval(),
    ),
)

THRESHOLDS = Table(
    "thresholds",
    "`thresholds.csv`: one row a sample and threshold of the network's map, 0.05 to 0.95.",
    (
        _SAMPLE,
        _number("threshold", "Probability above which a pixel is particle."),
        _number("dice", "Of all pixels."),
        _number("iou", "Of all pixels."),
        _maybe(
            "edge_length_error",
            "Mean of found / true edge length - 1 of the particles compared at 0.5, at this threshold.",
        ),
        _count("n", "Those of them that are there and have not run together."),
    ),
)

CALIBRATION = Table(
    "calibration",
    "`calibration.csv`: one row a sample and bin of the network's probability.",
    (
        _SAMPLE,
        _number("probability_lower", "Lower end of the bin, included."),
        _number("probability_upper", "Upper end, excluded but for 1."),
        Column("pixels", "float64", "Pixels with such a probability.", minimum=0.0),
        _maybe("mean_probability", "Of those."),
        _maybe("share_of_truth", "Share of those that are particle: the reliability curve."),
        _maybe(
            "mean_area_fraction",
            "Mean share of their area that is particle, the mask being smoothed by 0.7 px as in training: what a network "
            "trained on area fractions should say.",
        ),
    ),
)

CONFUSION = Table(
    "confusion",
    "`confusion.csv`: the soft Dice coefficients between true and predicted classes, 2 sum(t p) / (sum t + sum p) over all "
    "pixels; a perfect map has 1 for equal classes and 0 for others.",
    (
        _SAMPLE,
        _METHOD,
        Column("true_class", "string", "`particle` or `background`.", choices=("particle", "background")),
        Column("predicted_class", "string", "`particle` or `background`.", choices=("particle", "background")),
        _maybe("soft_dice", "Their soft Dice coefficient."),
    ),
)

PARTICLES = Table(
    "evaluated particles",
    "`particles.parquet`: one row a true particle and method. Errors are of compared particles alone: matched, whole on "
    "both sides, not run together with another, and not hidden.",
    (
        _SAMPLE,
        Column("name", "string", "File name of the micrograph."),
        Column("group", "string", "Its field, or its own name."),
        _METHOD,
        _maybe("pixel_size_nm", "Side of a pixel.", "nm"),
        _count("true_label", "Its number in the truth, in raster order."),
        Column("found_label", "int32", "Its number in what was found.", nullable=True, minimum=0.0),
        _flag("matched", "Whether a found particle has an intersection over union above 0.5 with it."),
        _flag("compared", "Whether its errors are taken."),
        _maybe("iou", "Intersection over union with the match."),
        _flag("true_touches_border", "Whether the micrograph cuts it."),
        _flag("planted", "Whether its outline is known exactly (truth.csv); if not, the mask is the truth."),
        _flag("hidden", "Whether the mask shows another area than the planted outline, by more than 0.3 px along it."),
        _flag("merged", "Whether the match holds more than half of another true particle too.", nullable=True),
        _count("true_px", "Its pixels in the mask."),
        _number("true_edge_length_px", "Root of the true area: of the planted outline, else of the mask's pixels with holes.", "px"),
        _number("true_circularity", "Of the planted outline; else by the estimator on the mask smoothed by 1 px."),
        _number("true_solidity", "The same."),
        _maybe("edge_length_px", "Of the match, by the estimator on the map; by its pixels with holes for a mask.", "px"),
        _maybe("circularity", "Of the match."),
        _maybe("solidity", "Of the match."),
        _maybe("edge_width_px", "Width of the map's edge from a probability of 0.1 to 0.9.", "px"),
        _maybe("boundary_error_px", "Mean signed distance of the found outline from the true one, positive outside.", "px"),
        _maybe("boundary_distance_px", "Mean distance of the found pixels' edge from the true pixels', either side.", "px"),
        _maybe("edge_length_error", "found / true edge length - 1."),
        _maybe("circularity_error", "found - true."),
        _maybe("solidity_error", "found - true."),
    ),
)  # fmt: skip

EVALUATION_TABLES: Mapping[str, Table] = {
    "micrographs": MICROGRAPHS,
    "summary": SUMMARY,
    "by_size": BY_SIZE,
    "thresholds": THRESHOLDS,
    "calibration": CALIBRATION,
    "confusion": CONFUSION,
    "particles": PARTICLES,
}
"""By the name of their file."""
