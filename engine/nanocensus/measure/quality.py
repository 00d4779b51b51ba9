"""What a micrograph is worth before its particles count: focus, drift, saturation, background, crowding.

Scores say what was seen and judge nothing: what is out of the ordinary is for a rule to say that knows the others.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int64, Shaped, UInt8

from nanocensus.measure.sharpness import sharpness

_CELLS = 16
"""Squares along a side over which the background is averaged."""
_LEAST_BACKGROUND = 0.2
"""Share of a square that has to be background for its mean to count."""
_BACKGROUND = 26
"""Of the probability map: below a tenth."""
_ENDS = (0.0, 0.001, 0.005, 0.02)
"""Shares of the pixels beyond which recorded values are looked at for one that is far too common."""
_NEIGHBOURS = 8
_STRIP = 2**20
"""Pixels that are counted at once: counting takes eight bytes each."""
_TOUCHING_PX = 2.0
"""Gap below which two outlines touch."""
_AGGLOMERATE = 0.9
"""Solidity below which a region is most likely of several particles."""


@dataclass(frozen=True)
class Quality:
    """The scores of a micrograph; None where there is nothing to tell one from."""

    blur_nm: float | None
    """Width (Gaussian sigma) of the particles' edges as recorded."""
    drift_nm: float | None
    """Length over which they are smeared in one direction."""
    drift_rad: float | None
    """That direction, from the x axis towards increasing y."""
    saturated_share: float
    """Share of the pixels at the ends of the recorded range, beyond what neighbouring values have."""
    background_range: float | None
    """Range of the background from place to place (5th to 95th percentile) as a share of its median."""
    covered_share: float
    """Share of the pixels that are particle."""
    touching_share: float | None
    """Share of the particles that touch another one or are most likely several."""


def quality(
    image: Shaped[np.ndarray, "y x"],
    probability: UInt8[np.ndarray, "y x"],
    particles: pa.Table,
    *,
    pixel_size_nm: float,
) -> Quality:
    """Score a micrograph.

    Parameters
    ----------
    image : (y, x) array
        As recorded.
    probability : uint8 array (y, x)
        Its map, 255 = surely particle.
    particles : pyarrow.Table
        Its particles, with the columns of `schema.PARTICLES`.
    pixel_size_nm : float
        Side of a pixel, nm.
    """
    edges = sharpness(image, probability)
    return Quality(
        blur_nm=None if edges is None else edges.width_px * pixel_size_nm,
        drift_nm=None if edges is None else edges.smear_px * pixel_size_nm,
        drift_rad=None if edges is None else edges.smear_rad,
        saturated_share=saturated_share(image),
        background_range=background_range(image, probability),
        covered_share=float(pc.sum(particles["pixel_count"]).as_py() or 0) / probability.size,
        touching_share=_touching_share(particles, _TOUCHING_PX * pixel_size_nm),
    )


def saturated_share(image: Shaped[np.ndarray, "y x"]) -> float:
    """Give the share of pixels that lie at one end of the recorded values.

    Both ends are looked at, and a little inside of them, since hot pixels and a gain may lie beyond where the camera ended.
    Of a value's share, the mean share of the eight that occur next further inside is no saturation, nor is what the next two
    lead to: few counted electrons leave many pixels at zero. Of real numbers there are no such shares.

    Examples
    --------
    >>> values = np.random.default_rng(0).normal(1000, 100, (256, 256)).astype(np.uint16)
    >>> saturated_share(values) < 0.001, round(saturated_share(np.minimum(values, 1128)), 2)
    (True, 0.1)
    """
    if image.dtype.kind == "f":
        whole = image[::8, ::8]
        if not (np.array_equal(whole, np.rint(whole)) and np.isfinite(image.min()) and np.isfinite(image.max())):
            return _most_at_ends(image)
    lowest, highest = int(image.min()), int(image.max())
    if highest - lowest >= 2**16:
        return _most_at_ends(image)
    strips = np.array_split(image, max(1, image.size // _STRIP))
    counted = [np.bincount((strip.astype(np.int64) - lowest).ravel(), minlength=2**16) for strip in strips]
    counts = np.sum(counted, axis=0)
    counts = counts[counts > 0]  # twelve bits written as sixteen leave gaps
    return max(_excess(counts), _excess(counts[::-1])) / image.size


def _excess(counts: Int64[np.ndarray, " n"]) -> float:
    """Give the largest excess of pixels with one value over that of its neighbours further inside, at the lower end."""
    below = np.cumsum(counts)
    values = np.unique(np.searchsorted(below, [share * below[-1] for share in _ENDS], side="right"))
    found = 0.0
    for value in values[values < len(counts)].tolist():
        inside = counts[value + 1 : value + 1 + _NEIGHBOURS].astype(np.float64)
        usual = inside.mean() if len(inside) else 0.0
        if len(inside) > 1:
            # Shares fall faster and faster (normal, Poisson: log-concave), so none is above c1^2 / c2 without a cause.
            usual = max(usual, inside[0] ** 2 / inside[1])
        found = max(found, float(counts[value] - usual))
    return found


def _most_at_ends(image: Shaped[np.ndarray, "y x"]) -> float:
    sparse = np.sort(image[::4, ::4], axis=None)
    ends = {image.min(), image.max(), *(sparse[round(at * (sparse.size - 1))] for share in _ENDS
                                        for at in (share, 1 - share))}  # fmt: skip
    most = max(int(np.count_nonzero(image == value)) for value in ends)
    return most / image.size if most > 1 else 0.0


def background_range(image: Shaped[np.ndarray, "y x"], probability: UInt8[np.ndarray, "y x"]) -> float | None:
    """Give how unequal the background is from place to place.

    It is averaged over 16 x 16 squares, pixels of particles left out: uneven light, a shadow, charging, dirt and a film that
    is thicker somewhere all show.

    Returns
    -------
    float or None
        From the 5th to the 95th percentile of the squares' means, as a share of their median; None if fewer than four
        have background, it is not positive, or a side is below 16 px.
    """
    if min(image.shape) < _CELLS:
        return None
    values, weights = _cell_sums(image, probability)
    cell = (image.shape[0] // _CELLS) * (image.shape[1] // _CELLS)
    counted = weights >= max(_LEAST_BACKGROUND * cell, 1)
    if np.count_nonzero(counted) < 4:
        return None
    low, middle, high = np.quantile(values[counted] / weights[counted], (0.05, 0.5, 0.95)).tolist()
    return (high - low) / middle if middle > 0 else None


def _cell_sums(
    image: Shaped[np.ndarray, "y x"], probability: UInt8[np.ndarray, "y x"]
) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Sum the background's values and its pixels over squares; of large micrographs every how manieth row is used."""
    height, width = (side // _CELLS for side in image.shape)
    step = max(1, height // 64)
    rows = np.concatenate([np.arange(top * height, (top + 1) * height, step) for top in range(_CELLS)])
    is_background = probability[rows, : _CELLS * width] < _BACKGROUND
    values = np.where(is_background, image[rows, : _CELLS * width], 0)
    sums = [
        part.reshape(_CELLS, -1, _CELLS, width).sum(axis=(1, 3), dtype=np.float64).ravel()
        for part in (values, is_background)
    ]
    return sums[0], sums[1] * step


def _touching_share(particles: pa.Table, gap_nm: float) -> float | None:
    if not particles.num_rows:
        return None
    near = pc.fill_null(pc.less_equal(particles["gap_nm"], gap_nm), False)
    parent = particles["parent_label"].to_pandas()
    split = pa.array(parent.notna() & parent.duplicated(keep=False))  # of a label that stayed whole there is one part
    lumped = pc.less(particles["solidity"], _AGGLOMERATE)
    touching = pc.or_(pc.or_(near, split), lumped)
    return float(pc.mean(touching.cast(pa.int32())).as_py())
