"""Sessions at the microscope: micrographs of one kind of imaging that hardly changes, and faults planted in some."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, UInt16

from nanocensus.errors import InputError
from nanocensus.simulate.grain import grain
from nanocensus.simulate.placement import place_particles
from nanocensus.simulate.rendering import make_specimen
from nanocensus.simulate.scenes.exposure import record, transmit
from nanocensus.simulate.scenes.imaging import Imaging, draw_imaging, visible
from nanocensus.simulate.spec import SimulationSpec

_DARK_COUNTS = 2000.0
_COUNTS = 6400.0
"""Of bare support."""
_DISCHARGES = 0.1
"""Of a row."""


@dataclass(frozen=True)
class Faults:
    """What is wrong with which micrographs of a session, by their numbers."""

    blurred: Mapping[int, float] = field(default_factory=dict)
    """Out of focus: blur (Gaussian sigma) of what reaches the camera, px."""
    drifted: Mapping[int, float] = field(default_factory=dict)
    """Length over which the specimen moves, in a direction drawn by chance, px."""
    saturated: Mapping[int, float] = field(default_factory=dict)
    """Share of the pixels that are brighter than the camera records."""
    repeated: Mapping[int, tuple[int, float]] = field(default_factory=dict)
    """Number of an earlier micrograph that shows the same place, and the share of its columns that both show: 1 is the same
    place recorded anew."""
    crowded: Mapping[int, float] = field(default_factory=dict)
    """How many times as many particles there are."""
    charged: Mapping[int, float] = field(default_factory=dict)
    """Range over which a charged support makes the brightness change from place to place, as a share of it."""
    striped: Mapping[int, float] = field(default_factory=dict)
    """Standard deviation of the brightness of bands of some ten rows, as discharges leave them while an image is read out or
    scanned, as a share of it."""
    contaminated: Mapping[int, float] = field(default_factory=dict)
    """Share of the light that a patch of carbon over a tenth of the view takes."""


def simulate_session(
    spec: SimulationSpec, n: int, rng: np.random.Generator, faults: Faults | None = None
) -> list[UInt16[np.ndarray, "y x"]]:
    """Simulate the micrographs of one session.

    The kind of imaging (`spec.imaging`) is drawn once. From one micrograph to the next noise, defocus and density change by
    some 10 % (standard deviations of their logarithms), and place, support, light and noise are new.

    Parameters
    ----------
    spec : SimulationSpec
        What the micrographs look like; `imaging` has to be a kind.
    n : int
        Number of micrographs.
    rng : numpy.random.Generator
        All randomness comes from it.
    faults : Faults, optional
        None if absent.

    Returns
    -------
    list of (y, x) arrays of uint16
        In counts.

    Raises
    ------
    InputError
        If no kind of imaging is named, one micrograph is to repeat a later one, or a share is none.

    Examples
    --------
    >>> spec = SimulationSpec(shape=(96, 96), mean_particles=2.0, mean_edge_length_nm=1.5, imaging="plain")
    >>> first, again = simulate_session(spec, 2, np.random.default_rng(0), Faults(repeated={1: (0, 1.0)}))
    >>> bool(np.corrcoef(first.ravel(), again.ravel())[0, 1] > 0.5), np.array_equal(first, again)
    (True, False)
    """
    faults = faults or Faults()
    _check(spec, n, faults)
    radius = spec.mean_edge_length_px / math.sqrt(math.pi)
    imaging = visible(draw_imaging(spec.imaging, (), rng), radius)
    shown: list[Float32[np.ndarray, "y x"]] = []
    recorded = []
    for number in range(n):
        now = _varied(imaging, rng)
        particles = faults.crowded.get(number, 1.0) * spec.mean_particles
        intensity = _field(dataclasses.replace(spec, mean_particles=particles), now, radius, rng)
        if number in faults.contaminated:
            intensity *= _patch(spec.extent, faults.contaminated[number], rng)
        if number in faults.repeated:
            other, share = faults.repeated[number]
            common = round(share * spec.extent[1])
            intensity = np.concatenate([shown[other][:, spec.extent[1] - common :], intensity[:, common:]], axis=1)
        shown.append(intensity)
        now = dataclasses.replace(
            now,
            blur_px=math.hypot(now.blur_px, faults.blurred.get(number, 0.0)),
            drift_px=faults.drifted.get(number, now.drift_px),
        )
        counts = _DARK_COUNTS + _COUNTS * record(intensity, now, rng)
        if number in faults.charged:
            counts *= _charged(spec.extent, faults.charged[number], rng)
        if number in faults.striped:
            counts *= _striped(spec.extent[0], faults.striped[number], rng)
        if number in faults.saturated:
            counts = np.minimum(counts, np.quantile(counts, 1 - faults.saturated[number]))
        recorded.append(np.clip(np.rint(counts), 0, np.iinfo(np.uint16).max).astype(np.uint16))
    return recorded


def _check(spec: SimulationSpec, n: int, faults: Faults) -> None:
    if not spec.imaging:
        raise InputError(
            "imaging",
            expected="a kind of imaging",
            got="none",
            remedy="See docs/reference/simulation.md for the kinds.",
        )
    for number, (other, _) in faults.repeated.items():
        if not 0 <= other < number < n:
            raise InputError(
                "repeated",
                expected="an earlier micrograph of the session",
                got=f"{other} for number {number} of {n}",
                remedy="Let the later micrograph repeat the earlier one.",
            )
    shares = {"repeated": [share for _, share in faults.repeated.values()], "saturated": faults.saturated.values()}
    for name, planted in shares.items():
        wrong = [share for share in planted if not 0 <= share <= 1]
        if wrong:
            raise InputError(
                name, expected="shares from 0 to 1", got=f"{wrong[0]:g}", remedy="Give a share, not per cent."
            )


def _varied(imaging: Imaging, rng: np.random.Generator) -> Imaging:
    factors = np.exp(0.1 * rng.standard_normal(3)).tolist()
    return dataclasses.replace(
        imaging,
        noise=imaging.noise * factors[0],
        defocus_px2=imaging.defocus_px2 * factors[1],
        density=imaging.density * factors[2],
    )


def _field(
    spec: SimulationSpec, imaging: Imaging, radius: float, rng: np.random.Generator
) -> Float32[np.ndarray, "y x"]:
    """Give what reaches the camera of a new place, before it moves and blurs."""
    specimen, pad = make_specimen(place_particles(spec, rng), spec, rng)
    intensity = transmit(specimen, imaging, radius, rng)
    return intensity[pad : pad + spec.extent[0], pad : pad + spec.extent[1]]


def _patch(shape: tuple[int, int], strength: float, rng: np.random.Generator) -> Float32[np.ndarray, "y x"]:
    """Give what passes a round patch with a soft edge."""
    y, x = (np.arange(side, dtype=np.float32) - rng.uniform(0.2, 0.8) * side for side in shape)
    away = (y[:, None] ** 2 + x**2) / np.float32(0.18 * min(shape)) ** 2
    return np.asarray(1 - np.float32(strength) * np.exp(-(away**2)), np.float32)


def _charged(shape: tuple[int, int], reach: float, rng: np.random.Generator) -> Float32[np.ndarray, "y x"]:
    height = grain(shape, min(shape) / 6, rng)
    return np.asarray(1 + np.float32(reach) * ((height - height.min()) / np.ptp(height) - 0.5), np.float32)


def _striped(rows: int, strength: float, rng: np.random.Generator) -> Float32[np.ndarray, "y 1"]:
    """Give the brightness of rows that stays even until the next discharge."""
    band = np.cumsum(rng.random(rows) < _DISCHARGES)
    height = 1 + np.float32(strength) * rng.standard_normal(rows, dtype=np.float32)[band]
    return np.asarray(height[:, None], np.float32)
