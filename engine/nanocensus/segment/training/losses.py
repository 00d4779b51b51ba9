"""What a training makes small."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

Loss = Callable[[Float[Array, "n y x"], Float[Array, "n y x"]], Float[Array, ""]]


SLOPES = 10.0
"""Weight of the slopes' error. It makes the third part about as large as the first where a training has come far."""


def outlines(logits: Float[Array, "n y x"], targets: Float[Array, "n y x"]) -> Float[Array, ""]:
    """Give cross-entropy, half the soft Dice loss against area fractions, and ten times the error of their slopes.

    The Dice term has squares below the line, ``1 - 2 sum(p t) / sum(p^2 + t^2)``: it is least at p = t, where the
    usual form would reward saturated maps, on which sub-pixel outlines are lost. The slopes' error is the mean square
    of ``d(p - t)`` from each pixel to the next: it is least at p = t too, and costs a ragged outline, which the other
    two hardly see, as much as a misplaced one.

    Parameters
    ----------
    logits : (n, y, x) array of float
    targets : (n, y, x) array of float
        Area fractions in [0, 1].

    Returns
    -------
    scalar array
    """
    cross_entropy = optax.sigmoid_binary_cross_entropy(logits, targets).mean()
    probability = jax.nn.sigmoid(logits)
    overlap = 2 * jnp.sum(probability * targets) + 1.0
    dice = overlap / (jnp.sum(probability**2) + jnp.sum(targets**2) + 1.0)
    error = probability - targets
    slopes = jnp.mean(jnp.diff(error, axis=1) ** 2) + jnp.mean(jnp.diff(error, axis=2) ** 2)
    total: Float[Array, ""] = cross_entropy + 0.5 * (1 - dice) + SLOPES * slopes
    return total


def usual(logits: Float[Array, "n y x"], targets: Float[Array, "n y x"]) -> Float[Array, ""]:
    """Give cross-entropy plus the soft Dice loss ``1 - 2 sum(p t) / sum(p + t)`` with parameters as `outlines`.

    Of two classes, background and particle, as Cho et al. (2024) train: the mean of both classes' Dice.
    """
    cross_entropy = optax.sigmoid_binary_cross_entropy(logits, targets).mean()
    probability = jax.nn.sigmoid(logits)
    dice = [
        (2 * jnp.sum(p * t) + 1.0) / (jnp.sum(p) + jnp.sum(t) + 1.0)
        for p, t in ((probability, targets), (1 - probability, 1 - targets))
    ]
    total: Float[Array, ""] = cross_entropy + 1 - (dice[0] + dice[1]) / 2
    return total


LOSSES: Mapping[str, Loss] = {"outlines": outlines, "usual": usual}
"""By the names that a job gives them."""
