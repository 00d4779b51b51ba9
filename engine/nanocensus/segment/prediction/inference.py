"""How a network is run: what costs time and memory, and changes its map by rounding at most, or a little in bfloat16."""

from dataclasses import dataclass

from nanocensus.segment.networks.architecture import Engine, Precision
from nanocensus.segment.prediction.windows import DEFAULT_TILE


@dataclass(frozen=True)
class Inference:
    """The choices that a job makes."""

    tile_px: int = DEFAULT_TILE
    """Largest side of the windows that a micrograph is cut into on a CPU, pixels."""
    engine: Engine = "jax"
    """Who runs the network."""
    precision: Precision = "float32"
    """Of the features between convolutions."""
