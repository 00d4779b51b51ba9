"""One network learns from batches of patches."""

import functools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Float32

from nanocensus.segment.parameters import fold, initial_network, named_arrays, network_of
from nanocensus.segment.standing import Standing, read_standing, write_standing
from nanocensus.segment.training_spec import TrainingSpec


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training stands; given to the `progress` callable every 20 steps."""

    network: str
    step: int
    steps: int
    loss: float
    """Mean loss of the steps since the last report."""


Batch = tuple[Float32[np.ndarray, "n side side"], Float32[np.ndarray, "n side side"]]
"""Standardised pixels, and area fractions in [0, 1]."""


def fit(
    spec: TrainingSpec,
    name: str,
    draw: Callable[[int], Batch],
    *,
    start: Mapping[str, np.ndarray] | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
    checkpoint: Path | None = None,
) -> tuple[dict[str, np.ndarray], list[float]]:
    """Train one network.

    Parameters
    ----------
    spec : TrainingSpec
    name : str
        What the reports of progress call it.
    draw : callable
        Gives the batch of a step, counted from 0: the same whatever was drawn before it.
    start : mapping of str to ndarray, optional
        Weights to go on from, BatchNorm folded; it stays so. Without it they are drawn at random.
    progress : callable, optional
        Called every 20 steps.
    checkpoint : Path, optional
        File that keeps where the training stands, every 500 steps. If it is there the training goes on from it, to the
        same bytes; it is removed in the end.

    Returns
    -------
    parameters : dict of str to ndarray
        The averaged weights, BatchNorm folded.
    losses : list of float
        Means over each 20 steps.
    """
    config = spec.architecture
    network = network_of(config, start) if start else initial_network(config, np.random.default_rng(spec.seed))
    rule = _rule(spec.learning_rate, spec.weight_decay, spec.steps)
    graph, state = nnx.split((network, nnx.Optimizer(network, rule, wrt=nnx.Param)))
    standing = Standing(0, state, jax.tree.map(jnp.copy, nnx.state(network, _KEPT)), [])
    if checkpoint is not None and checkpoint.exists():
        standing = read_standing(checkpoint, standing)
    state, average, losses = standing.state, standing.average, standing.losses
    recent: list[Array] = []
    for step, (pixels, targets) in enumerate(_ahead(draw, standing.step, spec.steps), start=standing.step + 1):
        # Early averages forget the random start sooner.
        decay = np.float32(min(spec.ema_decay, step / (step + 10)))
        state, average, value = _advance(graph, state, average, decay, pixels, targets)
        recent.append(value)
        if step % _REPORTED == 0 or step == spec.steps:
            losses.append(float(np.mean(jax.device_get(recent))))
            recent.clear()
            if progress is not None:
                progress(TrainingProgress(name, step, spec.steps, losses[-1]))
        if checkpoint is not None and step % _KEPT_EVERY == 0 and step < spec.steps:
            write_standing(checkpoint, Standing(step, state, average, losses))
    nnx.update(network, average)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    arrays = named_arrays(network)
    return (fold(arrays) if start is None else arrays), losses


_REPORTED = 20
"""Steps between two reports."""
_KEPT_EVERY = 500
"""Steps between two checkpoints; a multiple of those between reports."""
_KEPT = nnx.Any(nnx.Param, nnx.BatchStat)
"""What is averaged and kept: weights, and the running statistics that go with them."""


@functools.cache  # one object a rule, so that the networks of a job share one compiled step
def _rule(learning_rate: float, weight_decay: float, steps: int) -> optax.GradientTransformation:
    schedule = optax.warmup_cosine_decay_schedule(0, learning_rate, max(1, steps // 20), steps + 1)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=weight_decay))


@functools.partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def _advance(graph: Any, state: Any, average: Any, decay: Any, pixels: Any, targets: Any) -> Any:  # noqa: ANN401  pytrees
    """Take one step: the new state of network and optimiser, the new average, and the loss."""
    network, optimizer = nnx.merge(graph, state)
    value, gradients = nnx.value_and_grad(lambda network: loss(network(pixels), targets))(network)
    optimizer.update(network, gradients)
    now = nnx.state(network, _KEPT)
    average = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, average, now)
    return nnx.state((network, optimizer)), average, value


def loss(logits: Float[Array, "n y x"], targets: Float[Array, "n y x"]) -> Float[Array, ""]:
    """Give cross-entropy plus half the soft Dice loss against area fractions.

    The Dice term has squares below the line, ``1 - 2 sum(p t) / sum(p^2 + t^2)``: it is least at p = t, where the
    usual form would reward saturated maps, on which sub-pixel outlines are lost.

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
    total: Float[Array, ""] = cross_entropy + 0.5 * (1 - dice)
    return total


def _ahead(draw: Callable[[int], Batch], first: int, steps: int) -> Iterator[Batch]:
    """Draw batches ahead while the network is busy with the last."""
    with ThreadPoolExecutor(1) as artist:
        coming = deque(artist.submit(draw, step) for step in range(first, min(first + _AHEAD, steps)))
        for step in range(first, steps):
            batch = coming.popleft().result()
            if step + _AHEAD < steps:
                coming.append(artist.submit(draw, step + _AHEAD))
            yield batch


_AHEAD = 4
"""Batches that wait for the network."""
