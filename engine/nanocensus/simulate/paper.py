"""The study of Cho et al. (ACS Nano 2024, 18, 29736) as a population to simulate."""

from nanocensus.simulate.growth import Growth
from nanocensus.simulate.population_spec import PopulationSpec, SampleSpec

CIRCULARITY, SOLIDITY = 0.90, 0.985
"""The plateaus of the paper: what it measured, pixels and perimeter estimator included."""


def _sample(
    name: str,
    n_particles: int,
    n_micrographs: int,
    median_nm: float,
    log_sd: float,
    slopes: tuple[float, float],
    amounts: tuple[float, float],
) -> SampleSpec:
    growth = Growth(*slopes, circularity=CIRCULARITY, solidity=SOLIDITY)
    conditions = {"cobalt_mmol": amounts[0], "water_ml": amounts[1]}
    return SampleSpec(name, n_particles, n_micrographs, median_nm, log_sd, growth, icc=0.08, conditions=conditions)


PAPER = PopulationSpec(
    samples=(
        _sample("Co0.2", 24_394, 32, 4.3, 0.17, (0.008, 0.0005), (0.2, 0.7)),
        _sample("Co0.3", 55_210, 72, 4.9, 0.20, (0.011, 0.001), (0.3, 0.7)),
        _sample("Co0.4", 65_404, 78, 5.6, 0.315, (0.014, 0.003), (0.4, 0.7)),
        _sample("Co0.5", 60_118, 92, 6.0, 0.28, (0.016, 0.0045), (0.5, 0.7)),
        _sample("Co0.6", 32_879, 60, 6.4, 0.26, (0.018, 0.006), (0.6, 0.7)),
        _sample("Co0.7", 58_302, 118, 6.8, 0.28, (0.021, 0.0085), (0.7, 0.7)),
        _sample("Co0.8", 55_632, 130, 7.2, 0.30, (0.024, 0.013), (0.8, 0.7)),
        _sample("DW0.43", 27_822, 48, 6.5, 0.25, (0.024, 0.012), (0.6, 0.43)),
        _sample("DW0.6", 29_870, 48, 6.4, 0.25, (0.020, 0.0085), (0.6, 0.6)),
        _sample("DW1.0", 31_436, 49, 6.2, 0.24, (0.011, 0.0005), (0.6, 1.0)),
    )
)
"""441,067 particles on 727 micrographs.

From the paper: both totals; 65,404 particles on 78 micrographs of Co0.4; the smallest and the largest sample (24,394 and
65,404) and the bounds of the water series (27,822 and 32,879, with Co0.6 as its 0.7 mL); amounts of cobalt and water;
field, pixel size and smallest area; plateaus, onsets and saturation; the spread of sizes in Co0.4 (0.316 of the mean).

Ours: which sample has the other counts, medians, spreads and slopes; that Co0.3 exists (with nine samples inside these
bounds 441,067 cannot be reached); the share of the variance between micrographs, 0.08, chosen to come near the
paper's scatter of sequential groups; the scatter of shapes.
"""
