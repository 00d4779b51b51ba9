"""How far groups of particles scatter: recorded one after the other, drawn at random, or by whole micrographs.

The study of Cho et al. (ACS Nano 2024, 18, 29736), Figure 2: sequential groups differ far more than random ones, because
particles of one micrograph are alike. Here for any group sizes, with what theory expects.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float64
from scipy import stats

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.partitions import ParticleSource
from nanocensus.statistics.cells.quanta import Number, Quantum
from nanocensus.statistics.estimation.binning import DESCRIPTORS
from nanocensus.statistics.estimation.clusters import Cluster
from nanocensus.statistics.sampling.block_sums import BlockSums, block_sums, cuts, group_means, sequence
from nanocensus.statistics.variance.components import variance_components
from nanocensus.statistics.variance.intraclass import mean_variance, whole_variance

GROUP_SIZES = (500, 1000, 2000, 3000, 5000, 6000, 10_000, 20_000)
"""Those of the paper's Figures 2, S4 and S5."""
MICROGRAPHS_PER_GROUP = (1, 2, 3, 5, 10, 20)
GROUPINGS = ("sequential", "random")
_BLOCKS_IN_GROUP = 4
"""Groups of fewer blocks would differ from their size by more than an eighth."""
_MEASURES = ("cv", "cv_lower", "cv_upper", "cv_theory", "n_groups")

Found = Float64[np.ndarray, "size measure"]
Sizes = Float64[np.ndarray, " size"]


def sampling_study(
    particles: ParticleSource,
    micrographs: pd.DataFrame | None = None,
    *,
    of: Sequence[str] = DESCRIPTORS,
    group_sizes: Sequence[int] = GROUP_SIZES,
    micrographs_per_group: Sequence[int] = MICROGRAPHS_PER_GROUP,
    block: int = 25,
    seed: int = 0,
    cluster: Cluster = "group",
    level: float = 0.95,
    scale: Mapping[str, Number] | None = None,
) -> xr.Dataset:
    """Give the coefficient of variation of group means against the size of the groups, in one pass over the particles.

    The particles of a sample are cut into as many groups as they fill: in the order of acquisition (`order` of the
    micrographs, then label), in a random order that depends on the seed and the particles' identities alone, and by
    whole consecutive micrographs. Each particle counts once, without weights.

    Parameters
    ----------
    particles : pandas or dask DataFrame
        Accepted particles: sample, micrograph, label and the descriptors.
    micrographs : DataFrame, optional
        Their micrographs, with `order`. Without it micrographs follow each other by name.
    of : sequence of str
        The descriptors.
    group_sizes : sequence of int
        Particles in a group. A group ends where a block does, at most half a block from this size.
    micrographs_per_group : sequence of int
        Micrographs in a group.
    block : int
        Labels of a micrograph that are summed together; 1 makes sequential groups exact. Four must fit into a group.
        Memory grows with the number of blocks: give 100 or more for 10^8 particles.
    seed : int
        Of the random order, 0 to 2^64 - 1.
    cluster : {"group", "session", "micrograph", "run", "auto"}
        For the interval of the intraclass correlation, see `variance_components`.
    level : float
        Of all intervals.
    scale : mapping of str to float, optional
        Quantum of columns that the schema does not know.

    Returns
    -------
    xr.Dataset
        `cv`, `cv_theory` and `n_groups` (sample, descriptor, grouping, group_size); `micrograph_cv` and so on (sample,
        descriptor, micrographs_per_group); the ends of intervals, `cv_lower` and so on, are coordinates; beside them all
        that `variance_components` gives. Fewer than two groups have no CV. Random groups are formed where each takes
        four or more of the 65,536 places of the random order.

    Raises
    ------
    StatisticsError
        For group sizes that are too small for the block, and a seed out of its range.
    TableError
        As `cells`, and for labels that repeat within a micrograph.

    Notes
    -----
    The CV is the standard deviation of the k group means (k - 1 below) over their mean. Its interval takes group means
    as normal and independent (chi-square, k - 1 degrees of freedom, at most one less than there are micrographs for
    sequential groups); where neighbouring micrographs are alike it is too short. Theory: random groups have sigma / (mu sqrt(n)).
    The squared standard deviation of sequential groups is k / (k - 1) (V(n) - V(k n)) on average, V(n) the variance of
    the mean of n particles in sequence (`intraclass.mean_variance`; `whole_variance` for micrographs), from the variance
    components of the particles.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> of, label = np.divmod(np.arange(40_000), 800)
    >>> size = 5 + 0.4 * rng.standard_normal(50)[of] + 1.5 * rng.standard_normal(40_000)
    >>> rows = pd.DataFrame({"sample": "A", "micrograph": [f"{k:02d}" for k in of], "label": label + 1,
    ...                      "edge_length_nm": size.clip(0.1)})
    >>> found = sampling_study(rows, of=["edge_length_nm"], group_sizes=[1000]).squeeze()
    >>> [round(float(100 * found["cv"].sel(grouping=name)), 1) for name in ("sequential", "random")]  # per cent
    [6.2, 1.0]
    """
    _check(group_sizes, micrographs_per_group, block)
    sums = block_sums(particles, micrographs, of=of, block=block, seed=seed, scale=scale)
    split = variance_components(sums.cells, cluster=cluster, level=level)
    samples, quanta = [str(name) for name in split["sample"].values], sums.cells.recipe.quanta
    by_size, by_micrographs = [], []
    for sample in samples:
        for quantum in quanta:
            own = split.sel(sample=sample, descriptor=quantum.column)
            by_size.append([_groups_of(sums, own, quantum, grouping, group_sizes, level) for grouping in GROUPINGS])
            by_micrographs.append(_whole_micrographs(sums, own, quantum, micrographs_per_group, level))
    made = split.assign_coords(
        grouping=np.array(GROUPINGS, object),
        group_size=np.array(group_sizes, np.int64),
        micrographs_per_group=np.array(micrographs_per_group, np.int64),
    )
    shape = (len(samples), len(quanta))
    made = _put(made, "", np.array(by_size), shape, ("grouping", "group_size"))
    made = _put(made, "micrograph_", np.array(by_micrographs), shape, ("micrographs_per_group",))
    return made.assign_attrs(seed=seed, block=block)


def _check(group_sizes: Sequence[int], micrographs_per_group: Sequence[int], block: int) -> None:
    if block < 1 or min(micrographs_per_group, default=1) < 1 or min(group_sizes, default=block) < 1:
        raise StatisticsError(
            "sampling_study", expected="sizes of groups and blocks of at least 1",
            got=f"{list(group_sizes)}, {list(micrographs_per_group)} and {block}", remedy="Leave them out, or raise them.",
        )  # fmt: skip
    if block > 1 and min(group_sizes, default=block * _BLOCKS_IN_GROUP) < block * _BLOCKS_IN_GROUP:
        raise StatisticsError(
            "group_sizes", expected=f"at least {_BLOCKS_IN_GROUP} blocks of {block} in a group",
            got=f"groups of {min(group_sizes)}", remedy="Give a smaller `block`; with 1 any size goes.",
        )  # fmt: skip


def _groups_of(sums: BlockSums, own: xr.Dataset, quantum: Quantum, grouping: str, sizes: Sequence[int],
               level: float) -> Found:  # fmt: skip
    """Study groups of so many particles."""
    blocks = sequence(sums.sequential if grouping == "sequential" else sums.random, str(own["sample"].item()), quantum)
    largest = int(blocks.n.max(initial=0))
    means = [
        group_means(blocks, cuts(blocks.n, size)) if largest == 1 or largest * _BLOCKS_IN_GROUP <= size else np.empty(0)
        for size in sizes
    ]
    n = np.array(sizes, np.float64)
    theory = _sequential_cv if grouping == "sequential" else _random_cv
    # Groups of one micrograph are alike: their scatter says no more than that of the micrographs.
    most = float(own["n_micrographs"]) if grouping == "sequential" else np.inf
    return _rows(means, theory(own, n, _counts(means)), level, most=most)


def _whole_micrographs(
    sums: BlockSums, own: xr.Dataset, quantum: Quantum, counts: Sequence[int], level: float
) -> Found:
    """Study groups of so many consecutive micrographs."""
    blocks = sequence(sums.micrographs, str(own["sample"].item()), quantum)
    means = [group_means(blocks, np.arange(0, len(blocks.n) + 1, count)) for count in counts]
    means = [each[np.isfinite(each)] for each in means]
    return _rows(means, _micrograph_cv(own, np.array(counts, np.float64), _counts(means)), level, most=np.inf)


def _counts(means: Sequence[Float64[np.ndarray, " _"]]) -> Sizes:
    return np.array([len(each) for each in means], np.float64)


def _random_cv(own: xr.Dataset, n: Sizes, groups: Sizes) -> Sizes:
    return np.asarray(np.sqrt(float(own["variance"]) / n) / abs(float(own["mean"])))


def _sequential_cv(own: xr.Dataset, n: Sizes, groups: Sizes) -> Sizes:
    gamma, within, crowd = own["autocovariance"].to_numpy(), float(own["within_variance"]), float(own["crowd"])
    if not np.isfinite(within + crowd):
        return np.full(len(n), np.nan)
    one, all_groups = (mean_variance(size, crowd, gamma, within) for size in (n, n * np.maximum(groups, 1)))
    return _scatter(one, all_groups, groups, own)


def _micrograph_cv(own: xr.Dataset, count: Sizes, groups: Sizes) -> Sizes:
    gamma, within, crowd = own["autocovariance"].to_numpy(), float(own["within_variance"]), float(own["crowd"])
    size = float(own["n"] / own["n_micrographs"])
    if not np.isfinite(within + crowd):
        return np.full(len(count), np.nan)
    numbers = (count, count * np.maximum(groups, 1))
    one, all_groups = (whole_variance(number, size, crowd, gamma, within) for number in numbers)
    return _scatter(one, all_groups, groups, own)


def _scatter(one: Sizes, all_groups: Sizes, groups: Sizes, own: xr.Dataset) -> Sizes:
    """Give the expected CV of k groups: their mean moves with them, and only what is left of the variance shows."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt(np.maximum(one - all_groups, 0) * groups / (groups - 1)) / abs(float(own["mean"])))


def _rows(means: Sequence[Float64[np.ndarray, " _"]], theory: Sizes, level: float, *, most: float) -> Found:
    """Give the measures of each size; NaN where there are fewer than two groups."""
    groups = _counts(means)
    cv = np.array([each.std(ddof=1) / abs(each.mean()) if len(each) > 1 else np.nan for each in means])
    freedom = np.where(groups > 1, np.maximum(np.minimum(groups, most) - 1, 1), np.nan)
    lower, upper = (cv * np.sqrt(freedom / stats.chi2.ppf((1 + sign * level) / 2, freedom)) for sign in (1, -1))
    return np.stack([cv, lower, upper, np.where(groups > 1, theory, np.nan), groups], axis=1)


def _put(made: xr.Dataset, prefix: str, found: np.ndarray, shape: tuple[int, int], dims: tuple[str, ...]) -> xr.Dataset:
    found = found.reshape(*shape, *found.shape[1:])
    made = made.assign(
        {prefix + name: (("sample", "descriptor", *dims), found[..., i]) for i, name in enumerate(_MEASURES)}
    )
    return made.set_coords([prefix + "cv_lower", prefix + "cv_upper"])
