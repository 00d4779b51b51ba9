"""How far a micrograph is from those that a network was trained on.

Chosen by measurement (docs/explanation/trust.md): what the network's own map says of its doubt, and how much of the image
it leaves unexplained, tells failures apart; the noise's texture and strength do not, since networks bear a lot of it.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Shaped, UInt8

from nanocensus.errors import ImageError, ModelError

_VERSION = 1
"""Of the description: cards with another are refused."""
_MOST_PIXELS = 2**21
"""Of one micrograph; of larger ones, bands of `_BAND` rows at equal distances are described."""
_BAND = 64
_CELL = 8
"""Side of the squares over which the image and its map are averaged before they are compared, px."""
_FEWEST_PIXELS = 200
"""Of particles; from fewer nothing is told about particles."""


@dataclass(frozen=True)
class Description:
    """What a micrograph and its probability map look like to a network; None where there is nothing to tell it from."""

    diameter_px: float | None
    """4/pi of the mean chord of the particles, rows and columns alike: the diameter of discs of one size, px."""
    coverage: float
    """Share of the pixels that are particle."""
    edge_px: float | None
    """Pixels with a probability of 0.1 to 0.9 by length of the particles' borders: the width of the map's edges, px. It
    grows where the network is undecided elsewhere too."""
    doubt: float | None
    """1 - the mean probability inside the particles."""
    contrast_to_noise: float | None
    """Background less particles (medians) by the background's scatter (1.48 median absolute deviations)."""
    noise: float
    """Scatter from pixel to pixel by the micrograph's standard deviation."""
    structure: float
    """Standard deviation of means over 8 x 8 pixels by the micrograph's: 1/8 for white noise."""
    unexplained: float
    """Of `structure`, what a straight line through the map's means leaves."""


_SCORED: Mapping[str, tuple[float, bool]] = {
    "edge_px": (0.15, True),
    "doubt": (0.25, True),
    "coverage": (0.1, False),
    "structure": (0.1, False),
    "unexplained": (0.05, True),
}
"""What counts in the score: the smallest spread that it is measured by, and whether only more than in training counts."""


def describe(image: Shaped[np.ndarray, "y x"], probability: UInt8[np.ndarray, "rows columns"]) -> Description:
    """Describe a micrograph and its map by a few numbers.

    They do not change with the exposure or gain of the camera.

    Parameters
    ----------
    image : (y, x) ndarray
        As recorded, before anything that is done to it for the network.
    probability : (y, x) ndarray of uint8
        Its map, 255 = surely particle.

    Returns
    -------
    Description

    Raises
    ------
    ImageError
        If the two differ in shape.

    Examples
    --------
    >>> image, probability = np.full((64, 64), 9, np.uint8), np.zeros((64, 64), np.uint8)
    >>> image[16:48, 16:48], probability[16:48, 16:48] = 3, 255
    >>> found = describe(image, probability)
    >>> round(found.diameter_px, 1), found.coverage, found.doubt, round(found.unexplained, 6)
    (40.7, 0.25, 0.0, 0.0)
    """
    if image.shape != probability.shape:
        raise ImageError(
            "probability map",
            expected=f"the shape of its micrograph, {image.shape}",
            got=str(probability.shape),
            remedy="Give the map that was predicted from this micrograph.",
        )
    values = np.array(_bands(image), np.float32)
    values -= values.mean(dtype=np.float64)
    deviation = float(np.sqrt(np.mean(np.square(values), dtype=np.float64)))
    values /= np.float32(deviation or 1.0)
    stated = _bands(probability)
    inside = stated >= 128
    structure, unexplained = _structure(values, stated)
    return Description(
        coverage=float(inside.mean()),
        noise=_noise(values),
        structure=structure,
        unexplained=unexplained,
        **_particles(values, stated, inside),
    )


def _bands(pixels: Shaped[np.ndarray, "y x"]) -> Shaped[np.ndarray, "b h x"]:
    height, width = pixels.shape
    if pixels.size <= _MOST_PIXELS or height < 2 * _BAND:
        return pixels[None]
    step = math.ceil(pixels.size / _MOST_PIXELS)
    return pixels[: height // _BAND * _BAND].reshape(-1, _BAND, width)[::step]


def _particles(
    values: Float32[np.ndarray, "b h x"], stated: UInt8[np.ndarray, "b h x"], inside: Bool[np.ndarray, "b h x"]
) -> dict[str, float | None]:
    """Give what the map says of particles: nothing if there are hardly any, or nothing else."""
    count = int(np.count_nonzero(inside))
    down, across = inside[:, 1:] != inside[:, :-1], inside[:, :, 1:] != inside[:, :, :-1]
    # Pairs of neighbours that a border parts, in each direction of as many pairs as there are pixels.
    parted = [float(pairs.mean()) * inside.size if pairs.size else 0.0 for pairs in (down, across)]
    if count < _FEWEST_PIXELS or inside.size - count < _FEWEST_PIXELS or sum(parted) == 0:
        return dict.fromkeys(("diameter_px", "edge_px", "doubt", "contrast_to_noise"))
    undecided = int(np.count_nonzero((stated >= 26) & (stated < 230)))
    background = values[~inside]
    contrast = float(np.median(background[::4]) - np.median(values[inside][::4]))
    return {
        "diameter_px": 4 / math.pi * count / (sum(parted) / 4),
        "edge_px": undecided / (math.pi / 4 * sum(parted)),
        "doubt": 1 - float(stated[inside].mean()) / 255,
        "contrast_to_noise": contrast / max(_scatter(background[::4]), 1e-6),
    }


def _scatter(values: Float32[np.ndarray, " n"]) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _noise(values: Float32[np.ndarray, "b h x"]) -> float:
    """Measure the scatter by second differences over 2 x 2 pixels, which slopes and most edges leave alone."""
    _, height, width = values.shape
    even = values[:, : height // 2 * 2, : width // 2 * 2]
    differences = even[:, ::2, ::2] - even[:, ::2, 1::2] - even[:, 1::2, ::2] + even[:, 1::2, 1::2]
    return _scatter(differences.ravel()) / 2 if differences.size else 0.0


def _structure(values: Float32[np.ndarray, "b h x"], stated: UInt8[np.ndarray, "b h x"]) -> tuple[float, float]:
    image, probability = (_cell_means(part) for part in (values, stated))
    if image.size < 2:
        return 0.0, 0.0
    spread, said = float(image.std()), float(probability.std())
    if spread == 0 or said == 0:
        return spread, spread
    together = float(np.mean((image - image.mean()) * (probability - probability.mean()))) / (spread * said)
    return spread, spread * math.sqrt(max(1 - together**2, 0.0))


def _cell_means(pixels: Shaped[np.ndarray, "b h x"]) -> Shaped[np.ndarray, " n"]:
    bands, height, width = pixels.shape
    rows, columns = height // _CELL, width // _CELL
    cells = pixels[:, : rows * _CELL, : columns * _CELL].reshape(bands, rows, _CELL, columns * _CELL)
    means: np.ndarray = cells.sum(axis=2, dtype=np.float32).reshape(-1, _CELL).sum(axis=1, dtype=np.float64) / _CELL**2
    return means


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
    """Root mean square distance, in spreads, that one in a hundred of them exceeds, and at least 1."""
    ranges: Mapping[str, tuple[float, float, float]]
    """5th, 50th and 95th percentile over them of everything in a `Description`."""
    pixel_size_nm: tuple[float, float] | None = None
    """Smallest and largest pixel size, nm, where all were known."""

    @classmethod
    def of(cls, descriptions: Sequence[Description], pixel_sizes_nm: Sequence[float] = ()) -> "Domain":
        """Sum up the micrographs that a network was trained on.

        Parameters
        ----------
        descriptions : sequence of Description
            Of each micrograph and the network's own map of it; of micrographs that it was not trained on, but of the same
            kind, where there are such: its maps of those are less decided.
        pixel_sizes_nm : sequence of float, optional
            Of each.

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
        unit = max(1.0, float(np.quantile([domain.score(each) for each in descriptions], 0.99)))
        return cls(**{**vars(domain), "unit": unit})

    def score(self, description: Description) -> float:
        """Say how far a micrograph is from the training's.

        Returns
        -------
        float
            0 in their middle; 1 is where one in a hundred of them lies (or as far as networks bear, if they were very much
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
        return {"version": _VERSION, **asdict(self)}

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
