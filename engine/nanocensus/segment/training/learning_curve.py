"""How a training goes, on patches that it does not learn from."""

import csv
import functools
import io
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float32

from nanocensus.segment.training.losses import Loss
from nanocensus.store.commit import commit_bytes

Batch = tuple[Float32[np.ndarray, "n side side"], Float32[np.ndarray, "n side side"]]
"""Standardised pixels, and area fractions in [0, 1]."""


@dataclass(frozen=True)
class CurvePoint:
    """A place on a training's learning curve; there is one every hundredth of a training, or every 20 steps."""

    step: int
    loss: float
    """Mean of the steps since the last point."""
    validation_loss: float | None
    """Of the patches for validation, under the weights that would be kept at this step; None without such patches."""
    validation_dice: float | None
    """``2 sum(p t) / sum(p^2 + t^2)`` of probabilities and area fractions, over all their pixels."""
    validation_iou: float | None
    """Intersection over union of the pixels on the particle's side of one half, over all of them."""


def write_curve(path: Path, curve: list[CurvePoint]) -> None:
    """Write a learning curve as CSV, a row a point; cells are empty where there were no patches for validation.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(field.name for field in fields(CurvePoint))
    writer.writerows(astuple(point) for point in curve)
    commit_bytes(path, text.getvalue().encode())


def is_best(found: float | None, curve: list[CurvePoint]) -> bool:
    """Say whether a validation loss is below all before; without patches, the last is the best."""
    before = [point.validation_loss for point in curve if point.validation_loss is not None]
    return found is None or found < min(before, default=np.inf)


def validate(
    graph: Any,  # noqa: ANN401  pytrees
    state: Any,  # noqa: ANN401
    weights: Any,  # noqa: ANN401
    loss: Loss,
    validation: Batch | None,
    batch: int,
) -> tuple[float, float, float] | tuple[None, None, None]:
    """Give loss, Dice and intersection over union on the patches for validation, so many at a time.

    Parameters
    ----------
    graph, state : pytree
        The network and its optimiser, as `flax.nnx.split` gives them.
    weights : pytree
        Weights and running statistics to take in the place of the network's own.
    loss : callable
    validation : Batch or None
    batch : int

    Returns
    -------
    tuple of float, or of None without patches
    """
    if validation is None:
        return None, None, None
    sums = np.zeros(5)
    count, (pixels, targets) = 0, validation
    for first in range(0, len(pixels), batch):
        part = slice(first, first + batch)
        *overlaps, value = jax.device_get(_overlaps(graph, loss, state, weights, pixels[part], targets[part]))
        sums += np.array([*overlaps, value * len(pixels[part])])
        count += len(pixels[part])
    product, squares, both, either, value = sums
    return float(value / count), float(2 * product / max(squares, 1e-12)), float(both / max(either, 1))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _overlaps(graph: Any, loss: Any, state: Any, weights: Any, pixels: Any, targets: Any) -> Any:  # noqa: ANN401  pytrees
    network, _ = nnx.merge(graph, state)
    nnx.update(network, weights)
    network.eval()
    logits = network(pixels)
    probability = jax.nn.sigmoid(logits)
    found, true = probability > 0.5, targets > 0.5
    return (
        jnp.sum(probability * targets),
        jnp.sum(probability**2 + targets**2),
        jnp.sum(found & true),
        jnp.sum(found | true),
        loss(logits, targets),
    )
