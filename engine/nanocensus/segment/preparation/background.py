"""The light behind a micrograph: a smooth surface through what is not particle.

The surface is the tensor product of Bernstein polynomials of degree 2, fitted by reweighted least squares to means of
4 x 4 pixels, as in the routine of the Scott group (K. Sytwu after C. Ophus, HRTEM-Generalization). Its weights fall with
the residual whatever its sign. Particles are outliers on one side only, so by default the weights here are one-sided:
they keep the surface on the film where particles cover half of the micrograph.

Written once, for the functions that numpy and `jax.numpy` share.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool, Float32, Num

State = TypeVar("State")

Loss = Literal["one-sided", "paper"]
"""How pixels that are not background lose their weight."""

REDUCTION = 4
"""Side of the blocks whose means are fitted, pixels."""
MOST_SAMPLES = 512
"""Of the block means, at most about so many along an axis are used: nine numbers need no more."""
LEAST_LIGHT = 0.1
"""A surface that falls below this share of its maximum, or a mean that is not positive, is taken for no light."""

_DEGREE = 2
_SAMPLES_PER_DEGREE = 4
"""A short side gets a stiffer surface: one sample per coefficient would follow the particles."""
_ENVELOPE_ROUNDS, _ROUNDS = 3, 7
_ENVELOPE_WEIGHT = 0.02
"""Of what is on the particles' side of the surface, in the first rounds: they lift it off the particles."""
_STIFFNESS = 1e-6
"""Of a constant surface, as a share of the samples' weight: it decides only what the samples do not."""
_SCALE_SAMPLES = 128
_LEAST_SCALE = np.float32(3e-4)
"""Of residuals, as a share of the surface. Means of 4 x 4 pixels of 1e5 electrons scatter by almost three times as much; with less,
the rounding of an image without noise would be taken for particles."""


class Background(NamedTuple):
    """The surface that was found."""

    coefficients: Float32[Any, "i j"]
    """Of the Bernstein polynomials in y and in x; in the units of the micrograph."""
    is_light: Bool[Any, ""]
    """Whether a micrograph can be divided by it; if not, the coefficients are all the mean, or 1."""


def fit_background(
    xp: ModuleType, image: Num[Any, "y x"], *, particles: Literal["dark", "bright"], loss: Loss
) -> Background:
    """Fit the background of a micrograph whose values are finite.

    Parameters
    ----------
    xp : module
        `numpy`, or `jax.numpy` for an array of JAX (traced or not).
    image : (y, x) array
        Micrograph; hot pixels are best replaced before.
    particles : {"dark", "bright"}
        Side of the background on which particles lie; "paper" does not use it.
    loss : {"one-sided", "paper"}
        "paper": one plain fit, then one with the weights exp(-3 e2 / mean(e2)) of its squared residuals e2.
        "one-sided": in seven rounds, residuals relative to the surface lose weight on the particles' side only, as
        exp(-e2 / (2 s2)), with s from the median residual of the other side. Three rounds before them lift the surface
        off the particles.
    """
    values = _samples(xp, image)
    mean = values.mean()
    level = xp.where(mean > 0, mean, 1).astype(np.float32)
    uneven = values.max() > values.min()
    values = values / level
    rows, columns = (_sample_basis(side) for side in image.shape)
    fit = _Fit(xp, values, rows, columns)
    found = fit.paper() if loss == "paper" else fit.one_sided(1.0 if particles == "dark" else -1.0)
    surface = fit.surface(found)
    is_light = (mean > 0) & (surface.min() > LEAST_LIGHT * surface.max())
    return Background(level * xp.where(is_light & uneven, fit.coefficients(found), np.float32(1)), is_light)


def surface_factors(
    xp: ModuleType, coefficients: Float32[Any, "i j"], shape: tuple[int, int]
) -> tuple[Float32[Any, "y term"], Float32[Any, "term x"]]:
    """Give two matrices whose product is the surface at every pixel, exactly even where all coefficients are equal."""
    rows, columns = (
        bernstein((np.arange(side) + 0.5) / side, degree - 1)
        for side, degree in zip(shape, coefficients.shape, strict=True)
    )
    level = coefficients[0, 0]
    return (
        xp.concatenate([rows, np.ones_like(rows[:, :1])], axis=1),
        xp.concatenate([(coefficients - level) @ columns.T, xp.full((1, shape[1]), level)]),
    )


def bernstein(places: np.ndarray, degree: int) -> Float32[np.ndarray, "place i"]:
    """Evaluate the Bernstein polynomials of a degree up to 2 on [0, 1].

    Examples
    --------
    >>> bernstein(np.array([0.0, 0.5]), 2)
    array([[1.  , 0.  , 0.  ],
           [0.25, 0.5 , 0.25]], dtype=float32)
    """
    binomials = ((1,), (1, 1), (1, 2, 1))[degree]
    terms = [number * places**i * (1 - places) ** (degree - i) for i, number in enumerate(binomials)]
    return np.stack(terms, axis=1).astype(np.float32)


def _sampling(side: int) -> tuple[int, int, int]:
    """Give the side of a block, the number of blocks along an axis, and that every how manieth is used."""
    block = min(REDUCTION, side)
    blocks = side // block
    return block, blocks, -(-blocks // MOST_SAMPLES)


def _sample_basis(side: int) -> Float32[np.ndarray, "place i"]:
    block, blocks, step = _sampling(side)
    places = (np.arange(0, blocks, step) * block + block / 2) / side
    return bernstein(places, min(_DEGREE, places.size // _SAMPLES_PER_DEGREE))


def _samples(xp: ModuleType, image: Num[Any, "y x"]) -> Float32[Any, "row column"]:
    """Give means of blocks; the last pixels of a side that is no multiple of the block are in none."""
    height, width = image.shape
    block, blocks, step = _sampling(height)
    sums = image[: block * blocks].reshape(blocks, block, width)[::step].sum(axis=1, dtype=np.float32)
    across, blocks, step = _sampling(width)
    sums = sums[:, : across * blocks].reshape(-1, blocks, across)[:, ::step].sum(axis=2)
    return sums / np.float32(block * across)


def _repeated(xp: ModuleType, step: Callable[[State], State], times: int, state: State) -> State:
    """Take a step some times; JAX compiles it once."""
    if xp is np:
        for _ in range(times):
            state = step(state)
        return state
    import jax

    repeated: State = jax.lax.fori_loop(0, times, lambda _, state: step(state), state)
    return repeated


class _Fit:
    """Weighted least squares of one set of samples of mean 1.

    Solved for the samples less 1, in a basis that is orthonormal on them and spans the same surfaces: with Bernstein's own
    float32 would lose another two digits.
    """

    def __init__(
        self,
        xp: ModuleType,
        values: Float32[Any, "row column"],
        rows: Float32[np.ndarray, "row i"],
        columns: Float32[np.ndarray, "column j"],
    ) -> None:
        self.xp, self.values = xp, values
        (self.rows, to_rows), (self.columns, to_columns) = _orthonormal(rows), _orthonormal(columns)
        self.to_rows, self.to_columns = to_rows.astype(np.float32), to_columns.astype(np.float32)
        self.row_pairs, self.column_pairs = (
            (basis[:, :, None] * basis[:, None, :]).reshape(len(basis), -1) for basis in (self.rows, self.columns)
        )
        to_both = np.kron(to_rows, to_columns)
        unequal = np.eye(len(to_both)) - 1 / len(to_both)
        self.stiffness = (_STIFFNESS * values.size * to_both.T @ unequal @ to_both).astype(np.float32)

    def paper(self) -> Float32[Any, "i j"]:
        squared = (self.values - self.surface(self.solve(self.xp.ones_like(self.values)))) ** 2
        return self.solve(self.xp.exp(-3 * squared / self.xp.maximum(squared.mean(), np.float32(1e-30))))

    def one_sided(self, sign: float) -> Float32[Any, "i j"]:
        xp = self.xp

        def above(found: Float32[Any, "i j"]) -> Float32[Any, "row column"]:
            surface = self.surface(found)
            return np.float32(sign) * (self.values - surface) / xp.maximum(surface, np.float32(LEAST_LIGHT))

        def lifted(found: Float32[Any, "i j"]) -> Float32[Any, "i j"]:
            return self.solve(xp.where(above(found) > 0, np.float32(1), np.float32(_ENVELOPE_WEIGHT)))

        def settled(state: tuple[Any, Any]) -> tuple[Any, Any]:
            found, scale = state
            residuals = above(found)
            # It may only fall: a surface that sinks among crowded particles would else widen it, and sink on.
            scale = xp.minimum(scale, self.scale(residuals))
            return self.solve(xp.exp(-0.5 * (xp.minimum(residuals, 0) / scale) ** 2)), scale

        plain = self.solve(xp.ones_like(self.values))
        start = _repeated(xp, lifted, _ENVELOPE_ROUNDS, plain)
        found, _ = _repeated(xp, settled, _ROUNDS, (start, np.float32(np.inf)))
        return found

    def scale(self, above: Float32[Any, "row column"]) -> Float32[Any, ""]:
        """Give the standard deviation of a normal distribution from the median of its positive half."""
        sparse = above[tuple(slice(None, None, max(1, side // _SCALE_SAMPLES)) for side in above.shape)].ravel()
        ordered = self.xp.sort(self.xp.where(sparse > 0, sparse, np.float32(np.inf)))
        return self.xp.maximum(np.float32(1.4826) * ordered[(sparse > 0).sum() // 2], _LEAST_SCALE)

    def surface(self, found: Float32[Any, "i j"]) -> Float32[Any, "row column"]:
        return self.rows @ found @ self.columns.T + 1

    def coefficients(self, found: Float32[Any, "i j"]) -> Float32[Any, "i j"]:
        """Give those of the Bernstein polynomials, which sum to 1 everywhere."""
        return self.to_rows @ found @ self.to_columns.T + 1

    def solve(self, weights: Float32[Any, "row column"]) -> Float32[Any, "i j"]:
        shape = self.rows.shape[1], self.columns.shape[1]
        pairs = (self.row_pairs.T @ weights @ self.column_pairs).reshape(shape[0], shape[0], shape[1], shape[1])
        normal = pairs.transpose(0, 2, 1, 3).reshape(self.stiffness.shape)
        right = (self.rows.T @ (weights * (self.values - 1)) @ self.columns).reshape(-1, 1)
        return self.xp.linalg.solve(normal + self.stiffness, right).reshape(shape)


def _orthonormal(basis: Float32[np.ndarray, "place i"]) -> tuple[Float32[np.ndarray, "place i"], np.ndarray]:
    """Give an equivalent basis whose functions have a mean square of 1, and its coefficients' way back."""
    functions, triangle = np.linalg.qr(basis.astype(np.float64))
    root = np.sqrt(len(basis))
    return (functions * root).astype(np.float32), np.linalg.inv(triangle) * root
