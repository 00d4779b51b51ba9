"""Micrographs that show the same place: thumbnails, whitened and correlated at every shift.

Whitening makes all that is in a thumbnail count alike, whatever its size: edges and the film's grain fix the shift, and the
particles' common size, which makes any two micrographs of one sample alike, does not. Of the correlation at every shift
(Kuglin & Hines 1975) the highest is held against the scatter of all the others, so no threshold depends on the exposure.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
from jaxtyping import Float32, Int8, Shaped
from scipy import ndimage

THUMBNAIL_PX = 128
"""Longest side of a thumbnail, but of strips so narrow that nothing would be left of their width."""
LEAST_SHARE = 0.08
"""Smallest overlap that is looked for, as a share of the smaller micrograph."""
LEAST_Z = 9.0
"""Height of a correlation, in standard deviations of the same pair's others, above which it is no chance."""
LEAST_EVIDENCE = 1.3
"""Least product of the correlation coefficient where both show the same place and the root of the number of squares that
bear it out: a particle that happens to lie on one of its size is one square, and most of the rest disagrees."""
LEAST_DISTINCT = 1.3
"""By how much it has to exceed the next highest elsewhere: among periodic arrays of particles many shifts are alike."""
_BATCH = 32
_SQUARE = 16
"""Side of those squares, pixels of a thumbnail."""
_SPARSE = 3
"""Every how manieth correlation along an axis tells their scatter."""
_APART = 4
"""Pixels of a thumbnail beyond which a maximum is another one."""
_STEPS = 30.0
"""Steps of a standard deviation in which a thumbnail is kept; what is beyond four is cut off."""
_LIGHT_PX = 6.0
"""Pixels of a thumbnail over which (Gaussian sigma) what varies more slowly is taken for light."""
_NOISY, _NOISE_SHARE = 0.42, 0.95
"""Frequency, cycles a pixel, above which there is little but noise, and its part that is left out at other frequencies."""
_FINEST = 0.35
"""Frequency, cycles a pixel, above which a thumbnail is left out: means over pixels alias there."""


@dataclass(frozen=True)
class Overlap:
    """Two micrographs that show the same place."""

    first: int
    second: int
    """Their numbers."""
    share: float
    """Of the smaller one that both show."""
    shift: tuple[float, float]
    """(y, x) of the second's corner on the first, px of the thumbnail."""
    z: float
    """Height of their correlation over the scatter of those at other shifts."""


def reduction(shape: tuple[int, int]) -> int:
    """Give how many pixels of a micrograph are one of its thumbnail.

    Examples
    --------
    >>> reduction((4096, 4096)), reduction((500, 600)), reduction((64, 64)), reduction((12, 4096))
    (32, 5, 1, 12)
    """
    return min(-(-max(shape) // THUMBNAIL_PX), *shape)


def thumbnail(image: Shaped[np.ndarray, "y x"]) -> Int8[np.ndarray, "h w"]:
    """Reduce a micrograph, and make all frequencies count alike in it.

    Parameters
    ----------
    image : (y, x) array

    Returns
    -------
    int8 array (h, w)
        Means over squares of `reduction` pixels, divided by the mean spectrum at each distance from zero frequency, less noise;
        `1/30` of a standard deviation a step, all zero for an even micrograph.
    """
    factor = reduction((image.shape[0], image.shape[1]))
    height, width = (side // factor for side in image.shape)
    cells = image[: height * factor, : width * factor].reshape(height, factor, width, factor)
    means = cells.mean(axis=(1, 3), dtype=np.float64)
    # Light that falls off to one side would show as a step where the transform wraps round, the same in every micrograph.
    means -= ndimage.gaussian_filter(means, _LIGHT_PX, mode="reflect")
    spectrum = scipy.fft.rfft2(means)
    y, x = np.meshgrid(scipy.fft.fftfreq(height), scipy.fft.rfftfreq(width), indexing="ij")
    radius = np.hypot(y, x)
    ring = (radius * max(height, width)).astype(int)
    power = np.bincount(ring.ravel(), (np.abs(spectrum) ** 2).ravel()) / np.maximum(np.bincount(ring.ravel()), 1)
    if power.max() <= 0:
        return np.zeros((height, width), np.int8)
    finest = np.abs(spectrum[radius > _NOISY]) ** 2
    noise = float(np.median(finest)) / math.log(2) if finest.size else 0.0
    seen = np.maximum(1 - _NOISE_SHARE * noise / np.maximum(power, np.finfo(float).tiny), 0)
    weight = seen / np.sqrt(power + 1e-3 * power.max())
    values = scipy.fft.irfft2(spectrum * weight[ring] * (radius < _FINEST), s=(height, width))
    values -= np.median(values)
    scale = 1.4826 * float(np.median(np.abs(values))) or float(np.abs(values).max()) or 1.0
    return np.rint(np.clip(values / scale, -4.0, 4.0) * _STEPS).astype(np.int8)


def find_overlaps(
    thumbnails: Sequence[Int8[np.ndarray, "_ _"]], rows: Sequence[int] | None = None, known: int = 0
) -> list[Overlap]:
    """Find the pairs of thumbnails that show the same place, shifted but not turned or magnified.

    Parameters
    ----------
    thumbnails : sequence of int8 (h, w)
        Of micrographs of one pixel size and `reduction`.
    rows : sequence of int, optional
        Numbers of those that are compared with all that come after them; all if absent.
    known : int
        Pairs of which both numbers are below this are left out: they were compared before.

    Returns
    -------
    list of Overlap
        `first` < `second`; in order of both.
    """
    if not thumbnails:
        return []
    height, width = (max(each.shape[axis] for each in thumbnails) for axis in (0, 1))
    padded = tuple(scipy.fft.next_fast_len(2 * side, real=True) for side in (height, width))
    values = [each.astype(np.float32) / np.float32(_STEPS) for each in thumbnails]
    spectra = [scipy.fft.rfft2(each - each.mean(), s=padded) for each in values]
    found: list[Overlap] = []
    for first in range(len(thumbnails)) if rows is None else rows:
        others = range(max(first + 1, known if first < known else 0), len(thumbnails))
        for start in range(others.start, others.stop, _BATCH):
            batch = range(start, min(start + _BATCH, others.stop))
            product = spectra[first] * np.conj(np.stack([spectra[second] for second in batch]))
            surfaces = scipy.fft.irfft2(product, s=padded)
            found += _peaks(surfaces, first, batch, thumbnails)
    return found


def _peaks(
    surfaces: Float32[np.ndarray, "n p q"], first: int, batch: range, thumbnails: Sequence[np.ndarray]
) -> Iterator[Overlap]:
    """Give those of a batch whose highest correlation is no chance."""
    for surface, second in zip(surfaces, batch, strict=True):
        one, other = thumbnails[first].shape, thumbnails[second].shape
        common, weight = _common(one, other, surface.shape)
        heights = surface * weight
        scatter = 1.4826 * float(np.median(np.abs(heights[::_SPARSE, ::_SPARSE][weight[::_SPARSE, ::_SPARSE] > 0])))
        place = divmod(int(heights.argmax()), heights.shape[1])
        highest = float(heights[place])
        if scatter <= 0 or highest < LEAST_Z * scatter or highest < LEAST_DISTINCT * _next_highest(heights, place):
            continue
        signed = tuple(at - side * (at > side // 2) for at, side in zip(place, heights.shape, strict=True))
        if _evidence(thumbnails[first], thumbnails[second], signed) < LEAST_EVIDENCE:
            continue
        share = float(common[place]) / min(math.prod(one), math.prod(other))
        shift = (_between(heights[:, place[1]], place[0]), _between(heights[place[0]], place[1]))
        yield Overlap(first, second, share, shift, highest / scatter)


@functools.lru_cache(maxsize=8)
def _common(
    one: tuple[int, ...], other: tuple[int, ...], padded: tuple[int, ...]
) -> tuple[Float32[np.ndarray, "p q"], Float32[np.ndarray, "p q"]]:
    """Give how many pixels two thumbnails have in common at each shift, and what evens their correlations out.

    A sum of n independent products scatters by sqrt(n), whatever the shift; where too few are common nothing is told.
    """
    along = []
    for length, second, whole in zip(one, other, padded, strict=True):
        shift = np.arange(whole)
        shift = np.where(shift > whole // 2, shift - whole, shift)
        along.append(np.maximum(np.minimum(length, shift + second) - np.maximum(0, shift), 0).astype(np.float32))
    common = np.asarray(along[0][:, None] * along[1])
    wanted = common >= LEAST_SHARE * min(math.prod(one), math.prod(other))
    return common, np.where(wanted, 1 / np.sqrt(np.maximum(common, 1)), 0).astype(np.float32)


def _evidence(first: Int8[np.ndarray, "_ _"], second: Int8[np.ndarray, "_ _"], shift: tuple[int, ...]) -> float:
    """Give how well two thumbnails agree where both show the same place, and all over it.

    The correlation coefficient times sum(s) / sqrt(sum(s^2)) of the products' sums s over squares, which is 1 if one square
    bears it all, and the root of their number if all bear alike.
    """
    one = [slice(max(0, at), at + side) for at, side in zip(shift, second.shape, strict=True)]
    other = [slice(max(0, -at), side - at) for at, side in zip(shift, first.shape, strict=True)]
    a, b = first[tuple(one)].astype(float), second[tuple(other)].astype(float)
    a, b = a - a.mean(), b - b.mean()
    rows, columns = (np.arange(0, side, _SQUARE) for side in a.shape)
    sums = np.add.reduceat(np.add.reduceat(a * b, rows, axis=0), columns, axis=1)
    whole = float(np.sqrt((a**2).sum() * (b**2).sum() * (sums**2).sum()))
    return float(sums.sum()) ** 2 / whole if whole > 0 else 0.0


def _next_highest(heights: Float32[np.ndarray, "p q"], place: tuple[int, int]) -> float:
    around = [np.arange(at - _APART, at + _APART + 1) % side
              for at, side in zip(place, heights.shape, strict=True)]  # fmt: skip
    others = heights.copy()
    others[np.ix_(*around)] = 0
    return float(others.max())


def _between(line: Float32[np.ndarray, " n"], at: int) -> float:
    """Give where the maximum of a line is, between its places by a parabola through three; negative beyond half."""
    side = len(line)
    before, here, after = (float(line[(at + step) % side]) for step in (-1, 0, 1))
    curvature = before - 2 * here + after
    between = 0.5 * (before - after) / curvature if curvature < 0 else 0.0
    return (at - side if at > side // 2 else at) + between
