"""A particle cut out of its micrograph, as plain values."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Num


@dataclass(frozen=True, eq=False)
class Crop:
    """One particle, cut out of its micrograph."""

    pixels: Num[np.ndarray, "y x"]
    """What the tile shows of the micrograph, as recorded; smaller than the tile where the micrograph ends."""
    place_px: tuple[int, int]
    """Row and column of the tile at which those pixels begin."""
    outline: Float64[np.ndarray, "_ 2"]
    """(y, x) in pixels of the tile; may lead out of it."""
    side_px: int
    """Side of the tile, px."""
    pixel_size_nm: float
    """Side of a pixel, nm."""
    accepted: bool
    """Whether the particle met all criteria."""
    label: int
    """Its number on its micrograph."""
    micrograph: str
    """File name of the micrograph."""
    value: float | None = None
    """What the criterion looks at, where there is one."""
    reasons: str = ""
    """All that it was rejected for, in words."""

    @property
    def whole(self) -> bool:
        """Whether the outline lies in the tile."""
        inside = (self.outline > -0.5) & (self.outline < self.side_px - 0.5)
        return bool(inside.all())
