"""How far a micrograph is from those that a network was trained on.

What counts was chosen by measurement (docs/explanation/trust.md): what the network's own map says of its doubt, and how much
of the image it leaves unexplained, tells failures apart; the noise's texture and strength do not, since networks bear a lot
of it.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from nanocensus.errors import ModelError
from nanocensus.segment.prediction.description import Description

_VERSION = 2
"""Of descriptions and scores: cards with another are refused."""

_SCORED: Mapping[str, tuple[float, bool]] = {
    "edge_px": (0.15, True),
    "doubt": (0.25, True),
    "coverage": (0.1, False),
    "structure": (0.1, False),
    "unexplained": (0.05, True),
}
"""What counts in the score: the smallest spread that it is measured by, and whether only more than in training counts."""


_ORDINARY = 0.95
"""Share of the training micrographs that score less than 1."""


@dataclass(frozen=True)
class Domain:
    """What a network was trained on, as its model card keeps it."""

    micrographs: int
    """Number of micrographs that were described."""
    centre: Mapping[str, float]
    """Median over them of what counts in the score."""
    spread: Mapping[str, float]
    """Standard deviation of the same, no less than a smallest one."""
    unit: float
    """Root mean square distance, in spreads, that one in twenty of them exceeds, and at least 1."""
    ranges: Mapping[str, tuple[float, float, float]]
    """5th, 50th and 95th percentile over them of everything in a `Description`."""
    pixel_size_nm: tuple[float, float] | None = None
    """Smallest and largest pixel size of the micrographs, nm, where all were known; scenes have none."""

    @classmethod
    def of(cls, descriptions: Sequence[Description], pixel_sizes_nm: Sequence[float] = ()) -> "Domain":
        """Sum up the micrographs that a network was trained on.

        Parameters
        ----------
        descriptions : sequence of Description
            Of each micrograph and the network's own map of it; of micrographs that it was not trained on, but of the same
            kind and that it maps well, where there are such: its maps of those are less decided than of the training's.
        pixel_sizes_nm : sequence of float, optional
            Of those that have one.

        Raises
        ------
        ModelError
            If there are none, or none with particles.
        """
        columns = {name: _known(descriptions, name) for name in (field.name for field in fields(Description))}
        lacking = [name for name, values in columns.items() if not len(values)]
        if lacking:
            raise ModelError(
                "domain of a network",
                expected="micrographs with particles",
                got=f"{len(descriptions)} micrographs, none with " + ", ".join(lacking),
                remedy="Describe the micrographs that it was trained on.",
            )
        scored = {name: np.array([_scaled(name, value) for value in columns[name]]) for name in _SCORED}
        domain = cls(
            micrographs=len(descriptions),
            centre={name: float(np.median(values)) for name, values in scored.items()},
            spread={name: max(float(values.std()), _SCORED[name][0]) for name, values in scored.items()},
            unit=1.0,
            ranges={name: _quantiles(values) for name, values in columns.items()},
            pixel_size_nm=(min(pixel_sizes_nm), max(pixel_sizes_nm)) if len(pixel_sizes_nm) else None,
        )
        unit = max(1.0, float(np.quantile([domain.score(each) for each in descriptions], _ORDINARY)))
        return cls(**{**vars(domain), "unit": unit})

    def score(self, description: Description) -> float:
        """Say how far a micrograph is from the training's.

        Returns
        -------
        float
            0 in their middle; 1 is where one in twenty of them lies (or as far as networks bear, if they were very much
            alike); it grows in proportion to the distance. What a map without particles cannot tell is left out.
        """
        squares = []
        for name, (_, one_sided) in _SCORED.items():
            value = getattr(description, name)
            if value is not None:
                away = (_scaled(name, value) - self.centre[name]) / self.spread[name]
                squares.append(max(away, 0.0) ** 2 if one_sided else away**2)
        return math.sqrt(sum(squares) / len(squares)) / self.unit

    def to_dict(self) -> dict[str, Any]:
        """Give what the model card says, as JSON holds it."""
        fields = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {"version": _VERSION, **fields, "ranges": {name: list(ends) for name, ends in self.ranges.items()}}

    @classmethod
    def from_dict(cls, stated: Mapping[str, Any]) -> "Domain":
        """Read what `to_dict` gave.

        Raises
        ------
        ModelError
            If it is something else, or of another version.
        """
        try:
            if stated["version"] != _VERSION:
                raise ValueError(f"version {stated['version']}")
            sizes = stated["pixel_size_nm"]
            return cls(
                micrographs=int(stated["micrographs"]),
                centre={name: float(stated["centre"][name]) for name in _SCORED},
                spread={name: float(stated["spread"][name]) for name in _SCORED},
                unit=float(stated["unit"]),
                ranges={str(name): (float(low), float(middle), float(high))
                        for name, (low, middle, high) in stated["ranges"].items()},
                pixel_size_nm=None if sizes is None else (float(sizes[0]), float(sizes[1])),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise ModelError(
                "domain in a model card",
                expected=f"what training writes, version {_VERSION}",
                got=f"{type(error).__name__}: {error}",
                remedy='Train the network again, or take "domain" out of its card: scores are then missing.',
            ) from error


def read_domain(card: Path, digest: str) -> Domain | None:
    """Read what a model card says of its network's domain; None if there is no card of this network, or it says nothing.

    Raises
    ------
    ModelError
        If it says something that is no domain.
    """
    try:
        stated = json.loads(card.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # weights can be used without their card
        return None
    if not isinstance(stated, dict) or stated.get("digest") != digest or stated.get("domain") is None:
        return None
    return Domain.from_dict(stated["domain"])


def _known(descriptions: Sequence[Description], name: str) -> list[float]:
    values = (getattr(description, name) for description in descriptions)
    return [float(value) for value in values if value is not None]


def _quantiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95)).tolist()
    return low, middle, high


def _scaled(name: str, value: float) -> float:
    """Give a number on the scale on which training micrographs scatter alike whatever it is."""
    if name == "coverage":
        return math.sqrt(value)
    return math.log(value + 1e-3) if name in ("edge_px", "doubt") else value
