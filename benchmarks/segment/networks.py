"""The networks that are compared, and who runs them; all start from the same folded weights."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from nanocensus.segment.networks.architecture import ResNetUNetConfig, UNetConfig
from nanocensus.segment.networks.parameters import fold, initial_network, logits, named_arrays
from nanocensus.segment.prediction.model import Model
from nanocensus.segment.prediction.openvino_engine import graph, require_openvino

NETWORKS = {
    "paper (ResNet-18)": ResNetUNetConfig(),
    "fast, base 8": UNetConfig(base=8),
    "fast, base 12": UNetConfig(base=12),
}
OURS, PEER, PEER_COARSE = "JAX float32", "OpenVINO float32", "OpenVINO bfloat16"
ENGINES = (OURS, PEER, PEER_COARSE)
SEED = 0
AGREEMENT = 1e-4
"""Largest difference of probabilities between float32 engines; they add in different orders."""


@dataclass(frozen=True)
class Line:
    network: str
    engine: str
    call: object
    """From a (1, y, x) array to the same of probabilities."""
    difference: float
    """Largest, from ours in float32."""
    spread: float
    """Standard deviation of the probabilities: a network that says the same everywhere would prove nothing."""


def random_weights(config):
    """Draw weights, and let BatchNorm see noise until its running statistics are those of the features."""
    rng = np.random.default_rng(SEED)
    network = initial_network(config, rng)
    network.train()
    seen = nnx.jit(lambda network, x: network(x).mean())
    for _ in range(40):
        seen(network, jnp.asarray(rng.normal(size=(1, 128, 128)), jnp.float32))
    return fold(named_arrays(network))


def ours(config, parameters):
    on_device = jax.device_put(parameters)
    compiled = jax.jit(lambda parameters, x: jax.nn.sigmoid(logits(config, parameters, x)))
    return lambda x: np.asarray(compiled(on_device, x))


def peers(config, parameters, cores):
    openvino = require_openvino()
    network = graph(Model("random", "0" * 64, config, parameters), (-1, -1, -1))
    settings = {"INFERENCE_NUM_THREADS": cores, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}

    def runner(precision):
        compiled = openvino.Core().compile_model(network, "CPU", settings | {"INFERENCE_PRECISION_HINT": precision})
        request = compiled.create_infer_request()
        return lambda x: np.array(request.infer({0: x[:, None]})[0][:, 0])

    return {PEER: runner("f32"), PEER_COARSE: runner("bf16")}


def started(image, cores):
    """Start everyone, which warms them up, and hold what they say against ours."""
    lines = []
    for name, config in NETWORKS.items():
        parameters = random_weights(config)
        calls = {OURS: ours(config, parameters)} | peers(config, parameters, cores)
        reference = calls[OURS](image)
        for engine, call in calls.items():
            difference = float(np.abs(call(image) - reference).max())
            if engine == PEER and difference > AGREEMENT:
                raise SystemExit(f"{name}: {engine} departs from ours by {difference:.2g}. Nothing is written.")
            lines.append(Line(name, engine, call, difference, float(reference.std())))
    return lines
