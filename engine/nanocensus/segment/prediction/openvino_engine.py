"""The networks on Intel's OpenVINO, an extra: the same weights and maps in less of a CPU's time.

The graphs are the plain ones: cells are repeated, features joined, and every convolution is a convolution. What makes
them fast is up to the engine.
"""

import functools
import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32

from nanocensus.errors import MissingExtraError
from nanocensus.segment.networks.architecture import Precision, ResNetUNetConfig, UNetConfig
from nanocensus.segment.networks.network import Network

_PRECISIONS: Mapping[Precision, str] = {"float32": "f32", "bfloat16": "bf16"}


def require_openvino() -> Any:  # noqa: ANN401  a module that may be absent
    """Give the module, without its telemetry: importing it would fork a process that reports to Google Analytics.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # as if it were not installed
    try:
        return importlib.import_module("openvino")
    except ModuleNotFoundError:
        raise MissingExtraError(
            'the engine "openvino"',
            expected="the package openvino",
            got="none",
            remedy='Install it with `pip install "nanocensus[openvino]"`, or say engine = "jax".',
        ) from None


def run(network: Network, precision: Precision, window: Float32[np.ndarray, "n y x"]) -> Float32[np.ndarray, "n y x"]:
    """Give the probability of a particle in standardised pixels.

    Parameters
    ----------
    network : Network
    precision : {"float32", "bfloat16"}
        Of the features between convolutions; the processor decides whether bfloat16 is worth it to it.
    window : (n, y, x) ndarray of float32
        y and x are multiples of the stride.

    Returns
    -------
    (n, y, x) ndarray of float32

    Raises
    ------
    MissingExtraError
        If OpenVINO is not installed.
    """
    compiled = _compiled(network, precision, window.shape)
    found: Float32[np.ndarray, "n y x"] = np.array(compiled.create_infer_request().infer({0: window[:, None]})[0][:, 0])
    return found


@functools.lru_cache(maxsize=8)
def _compiled(network: Network, precision: Precision, shape: tuple[int, int, int]) -> Any:  # noqa: ANN401  OpenVINO's own
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _PRECISIONS[precision], "PERFORMANCE_HINT": "LATENCY"}
    if "NPROC" in os.environ:  # as XLA reads it: a worker has its share of the cores
        settings["INFERENCE_NUM_THREADS"] = int(os.environ["NPROC"])
    return _core().compile_model(graph(network, shape), "CPU", settings)


@functools.cache
def _core() -> Any:  # noqa: ANN401  OpenVINO's own
    """Give the one engine of this process, which lives as long as the process does.

    Its plugin gives the thread that makes it a stack for signals, and frees it in whichever thread drops the last of
    it: were that another, the next Ctrl-C would be handled on freed memory and crash.
    """
    return require_openvino().Core()


def graph(network: Network, shape: tuple[int, int, int]) -> Any:  # noqa: ANN401  OpenVINO's own
    """Give a network as an OpenVINO model: (n, 1, y, x) standardised pixels to the probability of a particle.

    Parameters
    ----------
    network : Network
    shape : (int, int, int)
        n, y and x; -1 for any.

    Returns
    -------
    openvino.Model
    """
    openvino = require_openvino()
    layers = _Layers(network.parameters)
    image = layers.ops.parameter([shape[0], 1, *shape[1:]], np.float32, name="image")
    logits = (
        _fast(layers, network.config, image)
        if isinstance(network.config, UNetConfig)
        else _paper(layers, network.config, image)
    )
    return openvino.Model([layers.ops.sigmoid(logits)], [image], network.name)


class _Layers:
    """Layers with the weights of a network; features are (n, channels, y, x)."""

    def __init__(self, parameters: Mapping[str, np.ndarray]) -> None:
        self.parameters = parameters
        self.ops = importlib.import_module("openvino.opset13")

    def _per_channel(self, name: str) -> np.ndarray:
        return self.parameters[name].reshape(1, -1, 1, 1)

    def convolution(self, x: Any, name: str, stride: int = 1) -> Any:  # noqa: ANN401
        kernel = np.ascontiguousarray(self.parameters[f"{name}.kernel"].transpose(3, 2, 0, 1))
        around = [kernel.shape[-1] // 2] * 2
        convolved = self.ops.convolution(x, kernel, [stride] * 2, around, around, [1, 1])
        if f"{name}.bias" not in self.parameters:
            return convolved
        return self.ops.add(convolved, self._per_channel(f"{name}.bias"))

    def rectified(self, x: Any) -> Any:  # noqa: ANN401
        return self.ops.relu(x)

    def rectifier(self, x: Any, name: str) -> Any:  # noqa: ANN401
        scaled = self.ops.multiply(x, self._per_channel(f"{name}.scale"))
        return self.rectified(self.ops.add(scaled, self._per_channel(f"{name}.shift")))

    def pooled(self, x: Any, side: int, padding: int) -> Any:  # noqa: ANN401
        around = [padding] * 2
        return self.ops.max_pool(x, [2, 2], [1, 1], around, around, [side] * 2).output(0)

    def joined(self, lower: Any, skip: Any) -> Any:  # noqa: ANN401
        large = self.ops.interpolate(
            lower,
            np.array([2, 2], np.float32),
            "nearest",
            "scales",
            axes=np.array([2, 3]),
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        return large if skip is None else self.ops.concat([large, skip], 1)

    def residual(self, x: Any, name: str) -> Any:  # noqa: ANN401
        hidden = self.convolution(self.rectified(self.convolution(x, f"{name}.first")), f"{name}.second")
        return self.rectified(self.ops.add(hidden, self.convolution(x, f"{name}.shortcut")))


def _fast(layers: _Layers, config: UNetConfig, image: Any) -> Any:  # noqa: ANN401
    x, skips = layers.convolution(layers.ops.space_to_depth(image, "blocks_first", 2), "stem"), []
    for level in range(config.levels):
        x = layers.residual(x, f"encoders.{level}")
        skips.append(x)
        x = layers.pooled(x, 2, 0)
    x = layers.residual(x, "middle")
    for level in reversed(range(config.levels)):
        x = layers.residual(layers.joined(x, skips[level]), f"decoders.{level}")
    return layers.ops.depth_to_space(layers.convolution(x, "head"), "blocks_first", 2)


def _paper(layers: _Layers, config: ResNetUNetConfig, image: Any) -> Any:  # noqa: ANN401
    x = layers.rectified(layers.convolution(image, "stem", 2))
    skips, x = [None, x], layers.pooled(x, 3, 1)
    for number in range(config.units * len(config.encoder_widths)):
        name, first = f"units.{number}", number % config.units == 0
        stride = 2 if first and number else 1
        rectified = layers.rectifier(x, f"{name}.input")
        if first and number:
            skips.append(rectified)
        hidden = layers.rectified(layers.convolution(rectified, f"{name}.first", stride))
        around = layers.convolution(rectified, f"{name}.shortcut", stride) if first else x
        x = layers.ops.add(layers.convolution(hidden, f"{name}.second"), around)
    x = layers.rectifier(x, "last")
    for number, skip in enumerate(reversed(skips)):
        hidden = layers.rectified(layers.convolution(layers.joined(x, skip), f"decoders.{number}.first"))
        x = layers.rectified(layers.convolution(hidden, f"decoders.{number}.second"))
    return layers.convolution(x, "classes")
