"""Labels and extents by cuCIM on a GPU: the twin of `_runs`, with the same numbers.

What follows stays with the kernels of the host. cuCIM 26.10 has no contours, hull perimeters or smallest Feret diameters,
and it takes convex areas one region at a time on the host. Sums come from CuPy, since cuCIM's means are float32.
"""

import math

import numpy as np
from jaxtyping import Int32, UInt8

from nanocensus.measure.regions._contour import SURE
from nanocensus.measure.regions._properties import Extents


def label_regions(probability: UInt8[np.ndarray, "y x"], level: float) -> tuple[Int32[np.ndarray, "y x"], Extents]:
    """Label the 8-connected particles of a map, and give their extents.

    Parameters
    ----------
    probability : uint8 (y, x)
    level : float
        Value from 0 to 255 that the pixels of particles exceed.

    Returns
    -------
    labels : int32 (y, x)
        1 to n in raster order of first pixels, as on the host.
    extents : Extents
    """
    import cupy
    import cupyx
    from cucim.skimage.measure import label, regionprops_table

    values = cupy.asarray(probability)
    labels = label(values > math.floor(level), connectivity=2).astype(cupy.int32, copy=False)
    n = int(labels.max()) if labels.size else 0
    painted = labels.get(out=cupyx.empty_pinned(labels.shape, np.int32))
    if n == 0:  # which cuCIM's region properties do not expect
        nothing = np.empty(0, np.int32)
        return painted, Extents(nothing, np.empty((0, 4), np.int32), nothing, np.empty(0), np.empty(0))
    of = regionprops_table(labels, values, properties=("num_pixels", "bbox", "intensity_min"))
    total = cupy.bincount(labels.ravel(), weights=values.ravel(), minlength=n + 1)[1:].get()
    box = np.stack([of[f"bbox-{side}"].get() for side in range(4)], axis=1).astype(np.int32)
    count = of["num_pixels"].get().astype(np.int32)
    least = of["intensity_min"].get().astype(np.float64)
    return painted, Extents(np.arange(1, n + 1, dtype=np.int32), box, count, total / (SURE * count), least / SURE)
