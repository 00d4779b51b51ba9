"""Particles that grow from round over faceted to concave, with bends where they are told to be.

What is planted is the descriptor itself: circularity falls above one size, solidity above another, both stop falling at
a third. The outline of each size is found by inverting the two. Planting a shape parameter that grows in proportion
to the size would not do: solidity leaves 1 with zero slope, and a fit then finds its bend a nanometre too late.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd
from jaxtyping import Float64
from scipy.optimize import brentq

from nanocensus.errors import InputError
from nanocensus.simulate.outline import Outline
from nanocensus.simulate.shapes import DIRECTIONS, dented_superellipse

_EXPONENTS = (2.0, 40.0)
_TRIED = 40
"""Exponents that are tried for a shape as round as is asked for."""
_DEEPEST = 0.45
_CONVEX = 1 - 1e-12
"""Solidity above which nothing is pressed in."""


@dataclass(frozen=True)
class Growth:
    """How circularity and solidity of one synthesis condition depend on the edge length.

    Both are flat up to their onset, fall by their slope, and are flat again from the saturation on.

    Examples
    --------
    >>> growth = Growth(circularity_slope=0.03, solidity_slope=0.01)
    >>> growth.circularity_at(np.array([3.0, 4.3, 5.3, 9.0])).round(4).tolist()
    [0.985, 0.985, 0.955, 0.859]
    >>> growth.solidity_at(np.array([5.3, 6.3])).round(4).tolist()
    [1.0, 0.99]
    >>> round(growth.outline(6.3).solidity, 6)
    0.99
    """

    circularity_slope: float
    """Fall of the circularity per nm between its onset and the saturation."""
    solidity_slope: float
    """Fall of the solidity per nm between its onset and the saturation."""
    circularity: float = 0.985
    """Circularity up to its onset."""
    solidity: float = 1.0
    """Solidity up to its onset."""
    circularity_onset_nm: float = 4.3
    """Edge length above which facets grow."""
    solidity_onset_nm: float = 5.3
    """Edge length above which faces become concave."""
    saturation_nm: float = 8.5
    """Edge length above which the shape stays the same."""
    bend_nm: float = 0.0
    """Half width of the three bends: 0 for kinks; otherwise a parabola joins the straight lines there."""

    def __post_init__(self) -> None:
        """Refuse what is no growth."""
        if not 0 <= self.bend_nm < math.inf or min(self.circularity_slope, self.solidity_slope) < 0:
            raise _refusal("slopes and bend_nm of at least 0", str(self))
        if max(self.circularity_onset_nm, self.solidity_onset_nm) + 2 * self.bend_nm > self.saturation_nm:
            raise _refusal("onsets that lie below the saturation by more than the bends", str(self))
        last = np.array([self.saturation_nm + self.bend_nm])
        if not (self.circularity_at(last)[0] > 0 and self.circularity <= 1):
            raise _refusal("a circularity that stays between 0 and 1", str(self))
        if not (self.solidity_at(last)[0] > 0 and self.solidity <= 1):
            raise _refusal("a solidity that stays between 0 and 1", str(self))

    def circularity_at(self, edge_length_nm: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
        """Give the circularity at edge lengths, nm."""
        return self.circularity - self.circularity_slope * self._fall(edge_length_nm, self.circularity_onset_nm)

    def solidity_at(self, edge_length_nm: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
        """Give the solidity at edge lengths, nm."""
        return self.solidity - self.solidity_slope * self._fall(edge_length_nm, self.solidity_onset_nm)

    def _fall(self, edge_length_nm: Float64[np.ndarray, "*n"], onset_nm: float) -> Float64[np.ndarray, "*n"]:
        started = _bend(edge_length_nm - onset_nm, self.bend_nm)
        return np.asarray(started - _bend(edge_length_nm - self.saturation_nm, self.bend_nm))

    def parameters(self, edge_length_nm: float) -> tuple[float, float]:
        """Give the exponent and the depth of the shape at an edge length, see `shape_parameters`."""
        at = np.array([edge_length_nm])
        return shape_parameters(float(self.circularity_at(at)[0]), float(self.solidity_at(at)[0]))

    def outline(self, edge_length_nm: float) -> Outline:
        """Give the outline, in nm, that has the told circularity and solidity at an edge length.

        Raises
        ------
        InputError
            If no shape of the family has both.
        """
        return dented_superellipse(*self.parameters(edge_length_nm)).scaled(edge_length_nm)


def _bend(distance: Float64[np.ndarray, "*n"], half_width: float) -> Float64[np.ndarray, "*n"]:
    """Give 0 below a bend and the distance above it; a parabola joins the two without a jump of the slope."""
    if half_width == 0:
        return np.asarray(np.maximum(distance, 0.0))
    inside = (distance + half_width) ** 2 / (4 * half_width)
    return np.asarray(np.where(np.abs(distance) < half_width, inside, np.maximum(distance, 0.0)))


@lru_cache(maxsize=4096)  # below its onset a condition has one shape at all sizes
def shape_parameters(circularity: float, solidity: float) -> tuple[float, float]:
    """Find the dented superellipse that has a circularity and a solidity.

    Deeper faces lower the solidity at every exponent. At a given solidity the circularity passes each value below that
    of exponent 2 once (next to a solidity of 1, where round shapes bear deep faces without a dent, some above it twice).
    So both are found by bisection, one inside the other, on the very polygon that is planted.

    Returns
    -------
    exponent, depth : float
        For `dented_superellipse`; from 2 to 40, and from 0 to 0.45.

    Raises
    ------
    InputError
        If no shape of the family has both: the faces that a solidity needs already cost circularity.

    Examples
    --------
    >>> exponent, depth = shape_parameters(0.9, 0.98)
    >>> outline = dented_superellipse(exponent, depth)
    >>> round(outline.circularity, 9), round(outline.solidity, 9)
    (0.9, 0.98)
    """

    def depth_at(exponent: float) -> float:
        if solidity >= _CONVEX:
            return 0.0
        return float(brentq(lambda depth: _solidity(exponent, depth) - solidity, 0.0, _DEEPEST, xtol=1e-13))

    def excess(exponent: float) -> float:
        return dented_superellipse(exponent, depth_at(exponent)).circularity - circularity

    reachable = _solidity(_EXPONENTS[0], _DEEPEST) < solidity <= 1 and excess(_EXPONENTS[1]) <= 0
    # Of two shapes with nearly no dent, a round one that is about to have one and a faceted one, this is the faceted one.
    rounder = (float(exponent) for exponent in np.geomspace(*_EXPONENTS, _TRIED) if excess(exponent) >= 0)
    low = next(rounder, None) if reachable else None
    if low is None:
        raise _refusal("a shape that the family has", f"circularity {circularity:g} with solidity {solidity:g}")
    exponent = float(brentq(excess, low, _EXPONENTS[1], xtol=1e-12))
    return exponent, depth_at(exponent)


def _solidity(exponent: float, depth: float) -> float:
    """Give the solidity of a dented superellipse; a hundred times as fast as by a general hull.

    Each face has one dent, and the hull bridges it by a straight line across the face's axis, from crest to crest.
    """
    outline = dented_superellipse(exponent, depth)
    face = np.concatenate([outline.radii[-DIRECTIONS // 8 :], outline.radii[: DIRECTIONS // 8 + 1]])
    away = np.cos(2 * math.pi * np.arange(-(DIRECTIONS // 8), DIRECTIONS // 8 + 1) / DIRECTIONS)
    crest = int(np.argmax(face * away))
    crests = sorted([crest, len(face) - 1 - crest])
    bridge = face[crest] * away[crest] / away
    hull = face.copy()
    hull[crests[0] : crests[1] + 1] = bridge[crests[0] : crests[1] + 1]
    return float((face[1:] * face[:-1]).sum() / (hull[1:] * hull[:-1]).sum())


def truth_table(conditions: Mapping[str, Growth], edge_lengths_nm: npt.ArrayLike) -> pd.DataFrame:
    """Tabulate the true descriptors along size.

    Parameters
    ----------
    conditions : mapping of str to Growth
    edge_lengths_nm : array of float

    Returns
    -------
    DataFrame
        One row a condition and edge length: `condition`, the descriptors of `Outline.descriptors` (of the outline
        itself, not of the curve that was asked for), `psi_4` and `psi_8` (Fourier amplitudes of the radius), and the
        `exponent` and `depth` of the shape.

    Raises
    ------
    InputError
        If a condition asks for what no shape of the family has.

    Examples
    --------
    >>> table = truth_table({"Co0.4": Growth(0.03, 0.005)}, [4.0, 5.0, 6.0])
    >>> table[["condition", "edge_length_nm", "circularity", "solidity"]].round(4).values.tolist()[1]
    ['Co0.4', 5.0, 0.964, 1.0]
    """
    sizes = np.asarray(edge_lengths_nm, np.float64).tolist()
    rows = []
    for growth in conditions.values():
        for edge_length in sizes:
            exponent, depth = growth.parameters(edge_length)
            outline = growth.outline(edge_length)
            amplitudes = {f"psi_{order}": outline.amplitude(order) for order in (4, 8)}
            rows.append(outline.descriptors() | amplitudes | {"exponent": exponent, "depth": depth})
    table = pd.DataFrame(rows)
    table.insert(0, "condition", np.repeat(list(conditions), len(sizes)))
    return table


def _refusal(expected: str, got: str) -> InputError:
    return InputError("growth", expected=expected, got=got, remedy="Choose other slopes or plateaus.")
