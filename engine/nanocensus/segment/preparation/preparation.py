"""What a job or a call has done to micrographs before they are standardised."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Num, Shaped

from nanocensus.segment.preparation.flatfield import RECORDED_EXACTLY, Contrast, flatten, parse_micrograph


@dataclass(frozen=True)
class Preparation:
    """What is done to a micrograph before it is standardised."""

    flat_field: bool = True
    """Whether hot pixels are replaced and the micrograph is divided by its background."""
    contrast: Contrast = "dark"
    """What particles are against their surroundings; networks know dark ones, so "bright" is inverted."""


AS_USUAL = Preparation()
"""What is done unless a job or a call says otherwise."""


def prepare(image: Shaped[Any, "..."], preparation: Preparation) -> Num[Any, "y x"]:
    """Do to a micrograph what is to be done before it is standardised.

    Parameters
    ----------
    image : (y, x) array
        A whole micrograph: of numpy as recorded, or of JAX, from `as_transported`.
    preparation : Preparation

    Returns
    -------
    (y, x) array
        Of the same library; the same array if nothing is to be done.

    Raises
    ------
    ImageError
        If it is no micrograph, or is flattened and has values that are not finite.
    """
    parse_micrograph(image)
    if preparation.flat_field:
        image = flatten(image, contrast=preparation.contrast)
    if preparation.contrast == "bright":
        return -image.astype(np.float32 if image.dtype.name in RECORDED_EXACTLY else np.float64)
    return image
