"""Particles cut out of their micrographs, as small pictures of one scale that need no script."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nanocensus.show.crops import Crop
from nanocensus.show.figures.micrographs import embedded_picture
from nanocensus.show.figures.theme import ACCEPTED_COLOUR, REJECTED_COLOUR
from nanocensus.show.numbers import decimals_for

SMALL_TILE, GAP = 112, 8
"""Side of the tiles on the screen, and the space between them, px: eight in a line."""
LARGE_TILE = 2 + GAP / SMALL_TILE
"""Side of a large tile in sides of a small one: two and the space between them."""
_SHARPEST = 1.6
"""Embedded pixels for one of the screen, at most: more cannot be seen."""
_NICE = (1, 2, 5)
_BAR_SHARE = 0.4
"""Share of a small tile that a scale bar may take."""
_POINT_SPACING = 1.0
"""Distance along an outline between the points that are drawn, px of the screen."""
_SMALLEST_SEEN = 5.0
"""Extent of an outline on the screen, px, below which a ring shows where it is."""


@dataclass(frozen=True)
class Tile:
    """A crop ready to print; lengths are px of the screen."""

    side: int
    large: bool
    """Whether it takes the place of two tiles in both directions."""
    picture: str
    """Data URI."""
    left: float
    top: float
    width: float
    height: float
    outline: str
    """Points of a polygon: "x,y x,y"."""
    colour: str
    ring: tuple[float, float] | None
    """Centre (x, y) of a ring, where the outline is too small to be seen."""
    bar: float
    """Length of the scale bar."""
    bar_words: str
    value: str
    where: str
    """Label and micrograph."""
    reasons: str
    """Why it is rejected, whichever criterion this is about."""
    description: str
    """For those who do not see it; shown when the pointer rests on it."""


def tiles(crops: Iterable[Crop], *, nm_per_tile: float, assumed: bool, quantity: str = "") -> list[Tile]:
    """Lay out the crops of one sample to its scale.

    Parameters
    ----------
    crops : iterable of Crop
    nm_per_tile : float
        Length that a small tile shows, nm.
    assumed : bool
        Whether the user made the pixel size up; scale bars then say so.
    quantity : str
        Name of the crops' values.
    """
    return [_tile(crop, SMALL_TILE / nm_per_tile, _bar_nm(nm_per_tile), assumed, quantity) for crop in crops]


def _tile(crop: Crop, px_per_nm: float, bar_nm: float, assumed: bool, quantity: str) -> Tile:
    zoom = crop.pixel_size_nm * px_per_nm
    top, left = crop.place_px
    height, width = crop.pixels.shape
    outline = (crop.outline + 0.5) * zoom
    low, high = outline.min(axis=0), outline.max(axis=0)
    middle = (low + high) / 2
    where = f"#{crop.label}, {crop.micrograph}"
    value = "" if crop.value is None else _number(crop.value)
    outcome = "accepted" if crop.accepted else f"rejected: {crop.reasons}"
    cut = "" if crop.whole else "larger than the tile"
    facts = [f"particle {where}", f"{quantity} {value}" if value else "", outcome, cut]
    side = round(crop.side_px * zoom)
    return Tile(
        side=side,
        large=side > 1.5 * SMALL_TILE,
        picture=embedded_picture(crop.pixels, largest_side_px=math.ceil(_SHARPEST * zoom * max(height, width))),
        left=round(left * zoom, 2),
        top=round(top * zoom, 2),
        width=round(width * zoom, 2),
        height=round(height * zoom, 2),
        outline=_points(outline),
        colour=ACCEPTED_COLOUR if crop.accepted else REJECTED_COLOUR,
        ring=None if (high - low).max() >= _SMALLEST_SEEN else (round(middle[1], 1), round(middle[0], 1)),
        bar=round(bar_nm * px_per_nm, 2),
        bar_words=f"{bar_nm:g} nm" + (" (assumed)" if assumed else ""),
        value=value,
        where=where,
        reasons=crop.reasons,
        description="; ".join(fact for fact in facts if fact),
    )


def _points(places: np.ndarray) -> str:
    """Write a closed line, with no more points than can be seen."""
    steps = np.abs(np.diff(places, axis=0, append=places[:1])).max(axis=1)
    kept = np.diff(np.floor(np.cumsum(steps) / _POINT_SPACING), prepend=-1.0) > 0
    return " ".join(f"{x:.1f},{y:.1f}" for y, x in places[kept])


def _bar_nm(nm_per_tile: float) -> float:
    """Give the longest of 1, 2, 5, 10, ... nm that leaves room in a tile."""
    longest = _BAR_SHARE * nm_per_tile
    power = math.floor(math.log10(longest))  # which may round up to the next whole number
    steps = (step * 10.0**exponent for exponent in (power - 1, power) for step in _NICE)
    return max(step for step in steps if step <= longest)


def _number(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() and value >= 1 else f"{value:.{decimals_for(value, 4)}f}"
