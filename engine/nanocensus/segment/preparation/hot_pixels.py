"""Pixels that an X-ray or a fault of the camera made much too bright.

A micrograph is blurred by its microscope and camera, so nothing real is two pixels small and twice as far above the
median as the brightest thousandth of the micrograph begins. No count of the camera enters, and no noise of a known
shape: with few electrons, where the noise has a long tail, the brightest thousandth lies further up too.

Written once, for the functions that numpy and `jax.numpy` share.
"""

from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int, Num

_BRIGHTEST = 1e-3
"""Share of the pixels that may be hot, and from whose darkest the rest's spread is read."""
_TIMES_SPREAD = 2.0
_SAMPLES = 512
"""Along each axis, for the quantiles."""
_RING = tuple((y, x) for y in (-2, 0, 2) for x in (-2, 0, 2) if (y, x) != (0, 0))
"""Neighbours at a distance of two: a spot of up to 2 x 2 pixels lies within."""
_MOST_SUSPECTS = 4 * _BRIGHTEST


def replace_hot_pixels(xp: ModuleType, image: Num[Any, "y x"]) -> Num[Any, "y x"]:
    """Replace hot pixels by the median of the pixels around them.

    A pixel is hot that lies above the median of the micrograph by more than twice as much as its 0.999 quantile does,
    and above all of the eight pixels at a distance of two by more than once as much.

    Parameters
    ----------
    xp : module
        `numpy`, or `jax.numpy` for an array of JAX (traced or not).
    image : (y, x) array
        Finite values.

    Returns
    -------
    (y, x) array
        Of the same type; the same array if no pixel is hot.
    """
    median, spread = _median_and_spread(xp, image)
    suspects = _first_places(xp, (image > median + np.float32(_TIMES_SPREAD) * spread) & (spread > 0))
    there = suspects >= 0
    rows, columns = xp.divmod(xp.maximum(suspects, 0), image.shape[1])
    ring = xp.stack([image[_mirrored(xp, rows + y, image.shape[0]), _mirrored(xp, columns + x, image.shape[1])]
                     for y, x in _RING], axis=-1).astype(np.float32)  # fmt: skip
    recorded = image[rows, columns].astype(np.float32)
    hot = there & (recorded - ring.max(axis=-1) > spread)
    ordered = xp.sort(ring, axis=-1)
    typical = (ordered[:, 3] + ordered[:, 4]) / 2
    if np.issubdtype(image.dtype, np.integer):
        typical = xp.rint(typical)
    return _with_values(xp, image, xp.where(hot, suspects, -1), typical.astype(image.dtype))


def _median_and_spread(xp: ModuleType, image: Num[Any, "y x"]) -> tuple[Float32[Any, ""], Float32[Any, ""]]:
    """Give the median and the distance from it to the 0.999 quantile, of a grid of pixels."""
    sparse = image[tuple(slice(None, None, -(-side // _SAMPLES)) for side in image.shape)].ravel()
    ordered = xp.sort(sparse)
    median, high = (ordered[place].astype(np.float32) for place in
                    (sparse.size // 2, sparse.size - 1 - int(_BRIGHTEST * sparse.size)))  # fmt: skip
    return median, high - median


def _first_places(xp: ModuleType, suspected: Bool[Any, "y x"]) -> Int[Any, " place"]:
    """Give the places in raster order, none if they are so many that they must belong to the specimen."""
    most = int(_MOST_SUSPECTS * suspected.size) + 1
    if xp is np:
        places = np.flatnonzero(suspected)
        return places if places.size <= most else places[:0]
    places = xp.flatnonzero(suspected, size=most, fill_value=-1)
    return xp.where(suspected.sum() <= most, places, -1)


def _mirrored(xp: ModuleType, places: Int[Any, " place"], side: int) -> Int[Any, " place"]:
    return xp.clip(side - 1 - xp.abs(side - 1 - xp.abs(places)), 0, side - 1)


def _with_values(
    xp: ModuleType, image: Num[Any, "y x"], places: Int[Any, " place"], values: Num[Any, " place"]
) -> Num[Any, "y x"]:
    """Put values in their places; those at a negative place nowhere."""
    if xp is not np:
        beyond = xp.where(places >= 0, places, image.size)
        return image.ravel().at[beyond].set(values, mode="drop").reshape(image.shape)
    if not (places >= 0).any():
        return image
    changed = image.copy(order="C")
    changed.ravel()[places[places >= 0]] = values[places >= 0]
    return changed
