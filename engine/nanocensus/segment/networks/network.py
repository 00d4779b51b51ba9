"""A network as a value: its architecture, its weights, and what names it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from nanocensus.segment.networks.architecture import Architecture


@dataclass(frozen=True)
class Network:
    """An architecture with weights; equal ones are equal, whatever their file."""

    name: str
    """The shipped name, or the file's name without its suffix."""
    digest: str
    """SHA-256 of the tensors and the architecture: equal weights have equal digests, whatever their file."""
    config: Architecture
    """The architecture."""
    parameters: Mapping[str, np.ndarray] = field(repr=False, compare=False)
    """The weights by their dotted names, float32, BatchNorm folded."""
