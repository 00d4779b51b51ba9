"""One network learns from random patches."""

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

from nanocensus.segment.architecture import UNetConfig
from nanocensus.segment.parameters import fold, initial_network, named_arrays
from nanocensus.segment.patches import Crop, draw_batch
from nanocensus.segment.training_spec import TrainingSpec


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training stands; given to the `progress` callable every 20 steps."""

    network: str
    step: int
    steps: int
    loss: float
    """Mean loss of the steps since the last report."""


def fit(
    spec: TrainingSpec, name: str, crops: list[Crop], progress: Callable[[TrainingProgress], None] | None
) -> tuple[dict[str, np.ndarray], list[float]]:
    """Train one network.

    Parameters
    ----------
    spec : TrainingSpec
    name : str
        What the reports of progress call it.
    crops : list of Crop
        What it learns from.
    progress : callable or None
        Called every 20 steps.

    Returns
    -------
    parameters : dict of str to ndarray
        The averaged weights, BatchNorm folded.
    losses : list of float
        Means over each 20 steps.
    """
    network = initial_network(UNetConfig(spec.base, spec.levels), np.random.default_rng(spec.seed))
    rule = _rule(spec.learning_rate, spec.weight_decay, spec.steps)
    graph, state = nnx.split((network, nnx.Optimizer(network, rule, wrt=nnx.Param)))
    average = jax.tree.map(jnp.copy, nnx.state(network, _KEPT))
    losses: list[float] = []
    recent: list[Array] = []
    for step, (pixels, targets) in enumerate(_batches(spec, crops), start=1):
        # Early averages forget the random start sooner.
        decay = np.float32(min(spec.ema_decay, step / (step + 10)))
        state, average, value = _advance(graph, state, average, decay, pixels, targets)
        recent.append(value)
        if step % 20 == 0 or step == spec.steps:
            losses.append(float(np.mean(jax.device_get(recent))))
            recent.clear()
            if progress is not None:
                progress(TrainingProgress(name, step, spec.steps, losses[-1]))
    nnx.update(network, average)
    return fold(named_arrays(network)), losses


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


def _batches(spec: TrainingSpec, crops: list[Crop]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Draw one batch ahead while the network is busy with the last."""

    def draw(step: int) -> tuple[np.ndarray, np.ndarray]:
        return draw_batch(crops, np.random.default_rng([spec.seed, step]), count=spec.batch, side=spec.patch)

    with ThreadPoolExecutor(1) as artist:
        coming = artist.submit(draw, 0)
        for step in range(1, spec.steps + 1):
            batch = coming.result()
            if step < spec.steps:
                coming = artist.submit(draw, step)
            yield batch
