"""What constant shapes would show against size, measured as the data were: the trend that is nobody's.

An estimator of shape depends on size by itself, as pixels, blur and noise weigh more on small particles. A disc counted by
pixels gets less circular as it grows; a square on a soft outline does too. Only what is left beside the trend of constant
shapes, the excess, is the particles' own.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float64

from nanocensus.errors import InputError, StatisticsError
from nanocensus.pipeline.baselines.excess_columns import ENVELOPE
from nanocensus.pipeline.baselines.measuring import Measuring, measure_copies, measuring_of_run
from nanocensus.simulate.outline import Outline
from nanocensus.simulate.shapes import disc, square, truncated_square

SHAPES: Mapping[str, Outline] = {"disc": disc(), "square": square(), "truncated_square": truncated_square(0.4)}
"""The constant shapes, by name; a cut takes 0.4 of half a side from each side of the truncated square."""
OF = ("circularity", "solidity")
COLUMNS = ENVELOPE.names
_SIZES, _GROUPS = 16, 12
_FEWEST_COPIES = 30
_FEWEST_PX = 8.0
"""Edge length below which nothing is drawn."""
_DEGREE = 4
_STEP_NM = 0.05
_LEAST_ERROR = 0.1
"""A standard error below this share of the median one is luck."""
_SPREAD = (0.025, 0.975)


@dataclass(frozen=True, eq=False)
class NullEnvelope:
    """Descriptors of constant shapes against size."""

    measuring: Measuring
    """What the shapes went through."""
    between_nm: tuple[float, float]
    """Edge lengths that are covered."""
    table: pd.DataFrame
    """One row a shape, descriptor and size: shape, descriptor, size_nm (mean measured edge length), value (mean),
    standard_error, spread_lower and spread_upper (2.5 and 97.5 % of single particles), n, fitted (a smooth curve through the
    values)."""

    def baseline(self, descriptor: str, shape: str = "disc") -> pd.DataFrame:
        """Give the smooth curve of one shape: columns size_nm and value, every 0.05 nm or less.

        Raises
        ------
        InputError
            If the shape or the descriptor is not in the table.
        """
        sizes = self._grid()
        return pd.DataFrame({"size_nm": sizes, "value": _fit(self._rows(descriptor, shape))(sizes)})

    def changes(
        self, descriptor: str, shape: str, n: int, rng: np.random.Generator
    ) -> Float64[np.ndarray, "draw size"]:
        """Give by how much higher the baseline might as well have come out, at its sizes, in each of many draws.

        The mean at each size is drawn from a normal distribution about the one that was measured, with its standard error,
        and the smooth curve is fitted anew. Sizes are independent: each has copies, or particles, of its own.

        Parameters
        ----------
        descriptor, shape : str
            See `baseline`.
        n : int
            Number of draws.
        rng : Generator
        """
        errors = self.errors(descriptor, shape)
        return np.asarray(rng.standard_normal((n, len(errors))) @ errors)

    def errors(self, descriptor: str, shape: str) -> Float64[np.ndarray, "measured size"]:
        """Give by how much the baseline rises, at its sizes, where the mean at one measured size is a standard error higher.

        The fitted curve is linear in the means, so that these tell all of its uncertainty.
        """
        rows, sizes = self._rows(descriptor, shape), self._grid()
        risen = np.diag(rows["standard_error"].to_numpy(np.float64))
        return np.array([_fit(rows.assign(value=value))(sizes) for value in risen])

    def at(
        self, sizes_nm: Float64[np.ndarray, " n"], descriptor: str, shape: str = "disc"
    ) -> Float64[np.ndarray, " n"]:
        """Give the value of one shape at some sizes, by the baseline; NaN at sizes that are not covered."""
        curve = self.baseline(descriptor, shape)
        return np.asarray(np.interp(sizes_nm, curve["size_nm"], curve["value"], left=np.nan, right=np.nan), np.float64)

    def _grid(self) -> Float64[np.ndarray, " size"]:
        low, high = self.between_nm
        return np.linspace(low, high, math.ceil((high - low) / _STEP_NM) + 1)

    def _rows(self, descriptor: str, shape: str) -> pd.DataFrame:
        rows = self.table[(self.table["shape"] == shape) & (self.table["descriptor"] == descriptor)]
        if rows.empty:
            known = self.table[["shape", "descriptor"]].drop_duplicates().agg(" ".join, axis=1)
            raise InputError(
                "baseline", expected="one of " + ", ".join(known), got=f"{shape} {descriptor}",
                remedy="Ask null_envelope for this shape and descriptor.",
            )  # fmt: skip
        return rows


def null_envelope(
    measuring: Measuring | str | os.PathLike[str],
    *,
    shapes: Mapping[str, Outline] | Sequence[str] = tuple(SHAPES),
    of: Sequence[str] = OF,
    between_nm: tuple[float, float] = (2.4, 10.6),
    copies: int = 120,
    seed: int = 0,
) -> NullEnvelope:
    """Measure constant shapes of many sizes in random poses, as the particles of the data were measured.

    Parameters
    ----------
    measuring : Measuring or path
        Pixel size, estimator, and the sharpness and noise of the maps; or the folder of a finished run, whose own maps tell.
    shapes : sequence of str, or mapping of str to Outline
        Names of `SHAPES`, or outlines of one's own in any unit of length: a mean outline of the data is one too.
    of : sequence of str
        Descriptors: columns of the particle table.
    between_nm : (float, float)
        Smallest and largest edge length, nm.
    copies : int
        Particles of each shape and size.
    seed : int
        Of poses and noise; each shape and size has a stream of its own.

    Returns
    -------
    NullEnvelope

    Raises
    ------
    InputError
        For unknown shapes and descriptors, too few copies, and sizes of a few pixels.
    StatisticsError
        If the noise leaves nothing of the particles, or a run's maps cannot tell how they were measured.
    StoreError
        If there are no results in the folder.

    Examples
    --------
    >>> measuring = Measuring(pixel_size_nm=0.086, edge_width_nm=0.22, estimator="paper")
    >>> envelope = null_envelope(measuring, shapes=["disc"], of=["circularity"], copies=30)
    >>> envelope.at(np.array([3.0, 4.3, 8.5]), "circularity").round(2).tolist()
    [0.94, 0.93, 0.91]
    """
    measuring = measuring if isinstance(measuring, Measuring) else measuring_of_run(Path(measuring))
    outlines = _outlines(shapes)
    low, high = float(between_nm[0]), float(between_nm[1])
    _check(measuring, (low, high), of, copies)
    sizes = 1 / np.linspace(1 / low, 1 / high, _SIZES)  # trends of pixels and blur go with 1 / size
    rows = []
    for number, (shape, outline) in enumerate(outlines.items()):
        for place, size in enumerate(sizes.tolist()):
            found = measure_copies(outline, size, measuring, copies, np.random.default_rng([seed, number, place]))
            rows += [_row(shape, name, found) for name in of]
    table = pd.DataFrame(rows, columns=list(COLUMNS[:-1]))
    return NullEnvelope(measuring, (low, high), _with_fit(table))


def envelope_of_particles(
    particles: pd.DataFrame, measuring: Measuring, *, shape: str = "disc", of: Sequence[str] = OF
) -> NullEnvelope:
    """Make an envelope of particles that all have one shape and went through more than measuring: micrograph and network.

    A network draws outlines in ways of its own, which blur and noise do not tell. Simulate micrographs of one family of shapes,
    run the same job on them, and their accepted particles are the envelope of the whole chain.

    Parameters
    ----------
    particles : DataFrame
        Accepted particles of one constant shape: edge_length_nm and the descriptors.
    measuring : Measuring
        How they were measured.
    shape : str
        What to call the shape.
    of : sequence of str
        Descriptors.

    Returns
    -------
    NullEnvelope
        Over the sizes from the means of the smallest to those of the largest twelfth.

    Raises
    ------
    StatisticsError
        If there are fewer than 360 particles: twelve sizes of 30.
    InputError
        If a descriptor is none.
    """
    sizes = _sizes(particles) if "edge_length_nm" in particles else np.empty(0)
    if sizes.size < _GROUPS * _FEWEST_COPIES:
        raise StatisticsError(
            "envelope of particles", expected=f"at least {_GROUPS * _FEWEST_COPIES} particles with an edge_length_nm",
            got=str(sizes.size), remedy="Simulate more micrographs of the shape.",
        )  # fmt: skip
    groups = np.array_split(np.argsort(sizes, kind="stable"), _GROUPS)
    rows = [_row(shape, name, particles.iloc[group]) for group in groups for name in of]
    table = _with_fit(pd.DataFrame(rows, columns=list(COLUMNS[:-1])))
    return NullEnvelope(measuring, (float(table["size_nm"].min()), float(table["size_nm"].max())), table)


def _sizes(particles: pd.DataFrame) -> Float64[np.ndarray, " n"]:
    return particles["edge_length_nm"].to_numpy(np.float64)


def _with_fit(table: pd.DataFrame) -> pd.DataFrame:
    """Add the smooth curve through the values, and sort."""
    table = table.assign(fitted=np.nan)
    for _, group in table.groupby(["shape", "descriptor"], sort=False):
        table.loc[group.index, "fitted"] = _fit(group)(group["size_nm"].to_numpy(np.float64))
    return table.sort_values(["shape", "descriptor", "size_nm"], ignore_index=True)


def _outlines(shapes: Mapping[str, Outline] | Sequence[str]) -> Mapping[str, Outline]:
    if isinstance(shapes, Mapping):
        return shapes
    unknown = [name for name in shapes if name not in SHAPES]
    if unknown or not shapes:
        raise InputError(
            "shapes", expected="some of " + ", ".join(SHAPES) + ", or outlines by name",
            got=", ".join(unknown) or "none", remedy="Give a mapping of names to outlines for other shapes.",
        )  # fmt: skip
    return {name: SHAPES[name] for name in shapes}


def _check(measuring: Measuring, between_nm: tuple[float, float], of: Sequence[str], copies: int) -> None:
    least = _FEWEST_PX * measuring.pixel_size_nm
    if not least <= between_nm[0] < between_nm[1] < math.inf:
        raise InputError(
            "between_nm", expected=f"two increasing edge lengths of at least {_FEWEST_PX:g} px, {least:.3g} nm",
            got=f"{between_nm[0]:g} to {between_nm[1]:g}", remedy="Smaller particles have no shape that pixels could tell.",
        )  # fmt: skip
    if copies < _FEWEST_COPIES or not of:
        raise InputError(
            "null envelope", expected=f"a descriptor and at least {_FEWEST_COPIES} copies", got=f"{len(of)} and {copies}",
            remedy="Leave them at their defaults.",
        )  # fmt: skip


def _row(shape: str, descriptor: str, found: pd.DataFrame) -> dict[str, object]:
    if descriptor not in found or not pd.api.types.is_numeric_dtype(found[descriptor]):
        raise InputError(
            "of", expected="numeric columns of the particle table", got=descriptor,
            remedy="See docs/reference/columns.md.",
        )  # fmt: skip
    values = found[descriptor].to_numpy(np.float64, na_value=np.nan)
    n = int(np.isfinite(values).sum())
    if n < _FEWEST_COPIES / 2:
        raise StatisticsError(
            f"{descriptor} of constant shapes", expected="a value of most copies", got=f"{n} of {len(found)} regions",
            remedy="Choose larger sizes, a descriptor that this estimator has, or less noise.",
        )  # fmt: skip
    lower, upper = np.nanquantile(values, _SPREAD)
    return {
        "shape": shape,
        "descriptor": descriptor,
        "size_nm": float(found["edge_length_nm"].mean()),
        "value": float(np.nanmean(values)),
        "standard_error": float(np.nanstd(values, ddof=1)) / math.sqrt(n),
        "spread_lower": float(lower),
        "spread_upper": float(upper),
        "n": n,
    }


@dataclass(frozen=True)
class _Curve:
    """A polynomial in 1 / size."""

    polynomial: np.polynomial.Polynomial

    def __call__(self, sizes_nm: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        return np.asarray(self.polynomial(1 / sizes_nm), np.float64)


def _fit(rows: pd.DataFrame) -> _Curve:
    """Fit values by their errors; interpolated points would bend at each of them, and a bend be found there."""
    size, value, error = (rows[name].to_numpy(np.float64) for name in ("size_nm", "value", "standard_error"))
    known = np.maximum(error, _LEAST_ERROR * np.median(error) or 1.0)  # all copies of a shape may read the same
    return _Curve(np.polynomial.Polynomial.fit(1 / size, value, _DEGREE, w=1 / known))
