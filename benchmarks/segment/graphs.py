"""Our networks as ONNX graphs, from the same weights: what a user of another engine would export.

The graphs are the plain ones: cells are repeated, features joined, and every convolution is a convolution. BatchNorm is
folded, as in ours; what engines do about the rest is up to them.
"""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from nanocensus.segment.architecture import UNetConfig

OPSET = 17


class Graph:
    """Nodes in the order of their making; features are (n, channels, y, x)."""

    def __init__(self, parameters):
        self.parameters, self.nodes, self.constants = parameters, [], []

    def node(self, kind, inputs, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def convolution(self, x, name, stride=1):
        kernel = self.parameters[f"{name}.kernel"]
        side = kernel.shape[0]
        inputs = [x, self.constant(kernel.transpose(3, 2, 0, 1))]
        if f"{name}.bias" in self.parameters:
            inputs.append(self.constant(self.parameters[f"{name}.bias"]))
        return self.node("Conv", inputs, kernel_shape=[side] * 2, strides=[stride] * 2, pads=[side // 2] * 4)

    def rectified(self, x):
        return self.node("Relu", [x])

    def rectifier(self, x, name):
        scale, shift = (
            self.constant(self.parameters[f"{name}.{part}"].reshape(1, -1, 1, 1)) for part in ("scale", "shift")
        )
        return self.rectified(self.node("Add", [self.node("Mul", [x, scale]), shift]))

    def pooled(self, x, side, padding):
        return self.node("MaxPool", [x], kernel_shape=[side] * 2, strides=[2, 2], pads=[padding] * 4)

    def joined(self, lower, skip):
        none, twice = self.constant(np.empty(0, np.float32)), self.constant(np.array([1, 1, 2, 2], np.float32))
        large = self.node(
            "Resize",
            [lower, none, twice],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        return large if skip is None else self.node("Concat", [large, skip], axis=1)

    def model(self, output):
        shape = ["n", 1, "y", "x"]
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", output)]
        graph = helper.make_graph(self.nodes, "network", ends[:1], ends[1:], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def as_onnx(config, parameters):
    """Give the network of folded weights: (n, 1, y, x) standardised pixels to the probability of a particle."""
    graph = Graph(parameters)
    logits = _fast(graph, config) if isinstance(config, UNetConfig) else _paper(graph, config)
    return graph.model(graph.node("Sigmoid", [logits]))


def _fast(graph, config):
    def block(x, name):
        hidden = graph.rectified(graph.convolution(x, f"{name}.first"))
        hidden = graph.convolution(hidden, f"{name}.second")
        return graph.rectified(graph.node("Add", [hidden, graph.convolution(x, f"{name}.shortcut")]))

    x, skips = graph.convolution(graph.node("SpaceToDepth", ["image"], blocksize=2), "stem"), []
    for level in range(config.levels):
        x = block(x, f"encoders.{level}")
        skips.append(x)
        x = graph.pooled(x, 2, 0)
    x = block(x, "middle")
    for level in reversed(range(config.levels)):
        x = block(graph.joined(x, skips[level]), f"decoders.{level}")
    return graph.node("DepthToSpace", [graph.convolution(x, "head")], blocksize=2)


def _paper(graph, config):
    x = graph.rectified(graph.convolution("image", "stem", 2))
    skips, x = [None, x], graph.pooled(x, 3, 1)
    for number in range(config.units * len(config.encoder_widths)):
        name, first = f"units.{number}", number % config.units == 0
        stride = 2 if first and number else 1
        rectified = graph.rectifier(x, f"{name}.input")
        if first and number:
            skips.append(rectified)
        hidden = graph.rectified(graph.convolution(rectified, f"{name}.first", stride))
        around = graph.convolution(rectified, f"{name}.shortcut", stride) if first else x
        x = graph.node("Add", [graph.convolution(hidden, f"{name}.second"), around])
    x = graph.rectifier(x, "last")
    for number, skip in enumerate(reversed(skips)):
        hidden = graph.rectified(graph.convolution(graph.joined(x, skip), f"decoders.{number}.first"))
        x = graph.rectified(graph.convolution(hidden, f"decoders.{number}.second"))
    return graph.convolution(x, "classes")
