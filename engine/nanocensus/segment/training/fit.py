"""One network learns from batches of patches."""

import functools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from nanocensus.errors import JobError
from nanocensus.segment.networks.parameters import Network, fold, initial_network, named_arrays, unfold
from nanocensus.segment.training.learning_curve import Batch, CurvePoint, is_best, validate
from nanocensus.segment.training.losses import LOSSES
from nanocensus.segment.training.spec import TrainingSpec
from nanocensus.segment.training.standing import Standing, read_standing, write_standing


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training stands; given to the `progress` callable every 20 steps."""

    network: str
    step: int
    steps: int
    loss: float
    """Mean loss of the steps since the last report."""


def fit(
    spec: TrainingSpec,
    name: str,
    draw: Callable[[int], Batch],
    *,
    threads: int = 1,
    start: Mapping[str, np.ndarray] | None = None,
    validation: Batch | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
    checkpoint: Path | None = None,
) -> tuple[dict[str, np.ndarray], list[CurvePoint]]:
    """Train one network.

    Parameters
    ----------
    spec : TrainingSpec
    name : str
        What the reports of progress call it.
    draw : callable
        Gives the batch of a step, counted from 0: the same whatever was drawn before it.
    threads : int
        Steps that are drawn at the same time.
    start : mapping of str to ndarray, optional
        Weights to go on from, BatchNorm folded. Without it they are drawn at random.
    validation : Batch, optional
        Patches that are looked at but not learnt from. With ``spec.keep == "best"`` the weights that are kept are those
        with the least loss on them; without patches, the last.
    progress : callable, optional
        Called every 20 steps.
    checkpoint : Path, optional
        File that keeps where the training stands, every 500 steps or so. If it is there the training goes on from it,
        to the same bytes. Whoever has saved what comes of it removes it.

    Returns
    -------
    parameters : dict of str to ndarray
        The weights that are kept, BatchNorm folded.
    curve : list of CurvePoint

    Raises
    ------
    JobError
        If the loss is not finite: nothing that comes after could be used.
    """
    network = _first_network(spec, draw, start)
    graph, state = nnx.split((network, nnx.Optimizer(network, _rule(spec), wrt=nnx.Param)))
    standing = Standing(0, state, jax.tree.map(jnp.copy, nnx.state(network, _KEPT)), [])
    if checkpoint is not None and checkpoint.exists():
        standing = read_standing(checkpoint, standing)
    shared, split = _placements(spec.batch)
    state, kept = jax.device_put((standing.state, standing.kept), shared)
    curve = [CurvePoint(**point) for point in standing.curve]
    loss, between = LOSSES[spec.loss], _between_points(spec.steps)
    recent: list[Array] = []
    for step, batch in enumerate(_ahead(draw, standing.step, spec.steps, threads), start=standing.step + 1):
        state, kept, value = _advance(graph, loss, state, kept, _decay(spec, step), *jax.device_put(batch, split))
        recent.append(value)
        if progress is not None and (step % _REPORTED == 0 or step == spec.steps):
            shown = float(np.mean(jax.device_get(recent[-_REPORTED:])))
            progress(TrainingProgress(name, step, spec.steps, shown))
        if step % between == 0 or step == spec.steps:
            mean = _mean_loss(recent, spec, name, step)
            judged = kept if spec.keep == "average" else _network_state(graph, state)
            found = validate(graph, state, judged, loss, validation, spec.batch)
            if spec.keep == "best" and is_best(found[0], curve):
                kept = jax.tree.map(jnp.copy, judged)
            curve.append(CurvePoint(step, mean, *found))
            recent.clear()
        if checkpoint is not None and step % (between * max(1, _KEPT_EVERY // between)) == 0 and step < spec.steps:
            write_standing(checkpoint, Standing(step, state, kept, [asdict(point) for point in curve]))
    nnx.update(network, kept)
    return fold(named_arrays(network)), curve


def _mean_loss(recent: list[Array], spec: TrainingSpec, name: str, step: int) -> float:
    mean = float(np.mean(jax.device_get(recent)))
    if np.isfinite(mean):
        return mean
    raise JobError(
        "key 'learning_rate'",
        expected="a rate at which the loss stays finite",
        got=f"a loss of {mean:g} up to step {step} of {name}, at {spec.learning_rate:g}",
        remedy="Lower it, to a third for a start.",
    )


def _first_network(spec: TrainingSpec, draw: Callable[[int], Batch], start: Mapping[str, np.ndarray] | None) -> Network:
    """Give the network of the first step: with random weights, or with those to go on from."""
    if start is None:
        return initial_network(spec.architecture, np.random.default_rng(spec.seed))
    return unfold(spec.architecture, start, jnp.concatenate([draw(step)[0] for step in range(_LOOKED_AT)]))


def _between_points(steps: int) -> int:
    """Give the steps between two points of the learning curve: whole reports, a hundredth of a long training."""
    return _REPORTED * max(1, round(steps / (_POINTS * _REPORTED)))


def _decay(spec: TrainingSpec, step: int) -> np.float32:
    """Give the decay of the weights that are kept; where the best is kept it waits for its successor."""
    if spec.keep == "best":
        return np.float32(1)
    # Early averages forget the random start sooner.
    return np.float32(min(spec.ema_decay, step / (step + 10)))


def _network_state(graph: Any, state: Any) -> Any:  # noqa: ANN401  pytrees
    """Give the part of a training's state that may be kept."""
    return nnx.state(nnx.merge(graph, state)[0], _KEPT)


def _placements(batch: int) -> tuple[NamedSharding, NamedSharding]:
    """Give where weights lie, on every device, and patches, an equal part of the batch on each.

    As many devices take part as divide the batch.
    """
    devices = jax.local_devices()
    several = max(count for count in range(1, len(devices) + 1) if batch % count == 0)
    mesh = Mesh(np.array(devices[:several]), ("batch",))
    whole, split = (PartitionSpec(*axes) for axes in ((), ("batch",)))  # type: ignore[no-untyped-call]  # no types there
    return NamedSharding(mesh, whole), NamedSharding(mesh, split)


_LOOKED_AT = 4
"""Batches that BatchNorm takes its first statistics from, where a training goes on from a folded network."""
_REPORTED = 20
"""Steps between two reports."""
_POINTS = 100
"""Points of a long training's learning curve."""
_KEPT_EVERY = 500
"""Steps between two checkpoints, at most; they come with points of the learning curve."""
_KEPT = nnx.Any(nnx.Param, nnx.BatchStat)
"""What is averaged and kept: weights, and the running statistics that go with them."""


@functools.cache  # one object a spec, so that the networks of a job share one compiled step
def _rule(spec: TrainingSpec) -> optax.GradientTransformation:
    schedule: optax.Schedule
    if spec.schedule == "cosine":
        schedule = optax.warmup_cosine_decay_schedule(0, spec.learning_rate, max(1, spec.steps // 20), spec.steps + 1)
    else:
        fifths = {round(spec.steps * part / 5): 0.5 for part in range(1, 5)}
        schedule = optax.piecewise_constant_schedule(spec.learning_rate, fifths)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=spec.weight_decay))


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2, 3))
def _advance(graph: Any, loss: Any, state: Any, kept: Any, decay: Any, pixels: Any, targets: Any) -> Any:  # noqa: ANN401  pytrees
    """Take one step: the new state of network and optimiser, the new average, and the loss."""
    network, optimizer = nnx.merge(graph, state)
    value, gradients = nnx.value_and_grad(lambda network: loss(network(pixels), targets))(network)
    optimizer.update(network, gradients)
    now = nnx.state(network, _KEPT)
    kept = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, kept, now)
    return nnx.state((network, optimizer)), kept, value


def _ahead(draw: Callable[[int], Batch], first: int, steps: int, threads: int) -> Iterator[Batch]:
    """Draw batches ahead while the network is busy with the last."""
    ahead = threads + _WAITING
    with ThreadPoolExecutor(threads) as artists:
        coming = deque(artists.submit(draw, step) for step in range(first, min(first + ahead, steps)))
        for step in range(first, steps):
            batch = coming.popleft().result()
            if step + ahead < steps:
                coming.append(artists.submit(draw, step + ahead))
            yield batch


_WAITING = 3
"""Batches that wait for the network, besides those that are being drawn."""
