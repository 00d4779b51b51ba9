"""From a mask to numbered particles."""

import numpy as np
from jaxtyping import Bool, Int32

from nanocensus.errors import InputError
from nanocensus.measure.parse import parse_mask
from nanocensus.measure.regions._runs import Connectivity, paint, runs_of_mask


def label_particles(
    mask: Bool[np.ndarray, "y x"], connectivity: Connectivity = 8
) -> tuple[Int32[np.ndarray, "y x"], int]:
    """Give each connected particle of a mask a number.

    Parameters
    ----------
    mask : bool (y, x)
        Where there is particle.
    connectivity : {8, 4}
        Whether pixels that touch at a corner belong together (8), as in scikit-image by default, or not (4).

    Returns
    -------
    labels : int32 (y, x)
        0 for background, then 1 to n in raster order of first pixels: the numbers of `skimage.measure.label`.
    n : int
        Number of particles.

    Raises
    ------
    InputError
        If connectivity is neither, or the mask is not two-dimensional.

    Examples
    --------
    >>> labels, n = label_particles(np.eye(3, dtype=bool), connectivity=4)
    >>> n, int(labels[2, 2])
    (3, 3)
    """
    if connectivity not in (4, 8):
        raise InputError(
            "connectivity",
            expected="4 or 8",
            got=repr(connectivity),
            remedy="8 joins pixels that touch at a corner (scikit-image's connectivity=2), 4 does not.",
        )
    runs = runs_of_mask(parse_mask(mask), connectivity)
    return paint(runs), runs.label.size
