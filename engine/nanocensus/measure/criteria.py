"""What a particle has to be to enter the statistics: bounds for all samples, and other ones for some."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from nanocensus.errors import InputError, JobError, did_you_mean


@dataclasses.dataclass(frozen=True)
class SampleCriteria:
    """Bounds of one sample that differ from those of the others; `None` leaves a bound as the others have it."""

    min_area_nm2: float | Literal[False] | None = None
    """Smallest area, nm2, itself accepted."""
    max_area_nm2: float | Literal[False] | None = None
    """Largest area, nm2, itself accepted."""
    max_eccentricity: float | Literal[False] | None = None
    """The eccentricity has to be below this."""
    min_solidity: float | Literal[False] | None = None
    """The solidity has to be above this."""
    min_convexity: float | Literal[False] | None = None
    """The convexity has to be above this."""
    exclude_border: bool | None = None
    """Whether particles on the micrograph's border are left out."""
    min_pixels: int | Literal[False] | None = None
    """Smallest number of pixels, itself accepted."""
    min_mean_probability: float | Literal[False] | None = None
    """Smallest mean probability over the particle's pixels, itself accepted."""

    def __post_init__(self) -> None:
        """Check the bounds."""
        _settle(self)


@dataclasses.dataclass(frozen=True)
class Criteria:
    """What a particle has to be to enter the statistics.

    The least area is that of Cho et al. (ACS Nano 2024, 18, 29736); their other bounds differ from sample to sample
    and are not published in the text, so the defaults here are ours. `False` or `None` switches a criterion off.

    Examples
    --------
    >>> criteria = Criteria(min_solidity=0.9, samples={"Co0.8": SampleCriteria(max_area_nm2=200.0)})
    >>> criteria.of("Co0.8").max_area_nm2, criteria.of("Co0.8").min_solidity, criteria.of("Co0.4").max_area_nm2
    (200.0, 0.9, None)
    """

    min_area_nm2: float | Literal[False] | None = 6.0
    """Smallest area, nm2, itself accepted."""
    max_area_nm2: float | Literal[False] | None = None
    """Largest area, nm2, itself accepted."""
    max_eccentricity: float | Literal[False] | None = 0.85
    """The eccentricity has to be below this; rods and pairs of touching particles are above."""
    min_solidity: float | Literal[False] | None = 0.90
    """The solidity has to be above this; most agglomerates are below."""
    min_convexity: float | Literal[False] | None = None
    """The convexity has to be above this; what it means depends on the estimator, so there is no default."""
    exclude_border: bool = True
    """Whether particles on the micrograph's border are left out."""
    min_pixels: int | Literal[False] | None = 200
    """Smallest number of pixels, itself accepted; with fewer, circularity tells more of pixels than of particles."""
    min_mean_probability: float | Literal[False] | None = None
    """Smallest mean probability over the particle's pixels, itself accepted; below it the network was in doubt."""
    samples: Mapping[str, SampleCriteria] | None = None
    """Samples with bounds of their own, by name; what a table leaves out stays as it is for all."""

    def __post_init__(self) -> None:
        """Check the bounds, those of each sample together with what it inherits."""
        _settle(self)
        if self.min_area_nm2 and self.max_area_nm2 is not None and self.max_area_nm2 < self.min_area_nm2:
            raise _refusal("max_area_nm2", f"at least min_area_nm2, {self.min_area_nm2:g}", self.max_area_nm2)
        for name, own in (self.samples or {}).items():
            if not isinstance(own, SampleCriteria):  # a whole Criteria would put its defaults over what all have
                raise InputError(
                    f'[criteria.samples."{name}"]',
                    expected="SampleCriteria",
                    got=repr(own),
                    remedy="Give SampleCriteria(...) with the bounds that differ.",
                )
            try:
                self.of(name)
            except InputError as error:
                where = f'[criteria.samples."{name}"] {error.subject}'
                raise InputError(where, expected=error.expected, got=error.got, remedy=error.remedy) from None

    def of(self, sample: str) -> "Criteria":
        """Give what a particle of a sample has to be, without other samples' bounds."""
        own = (self.samples or {}).get(sample, SampleCriteria())
        given = {field.name: getattr(own, field.name) for field in dataclasses.fields(own)}
        changes = {name: value for name, value in given.items() if value is not None}
        return dataclasses.replace(self, samples=None, **changes)


def refuse_unknown_samples(criteria: Criteria, samples: Iterable[str]) -> None:
    """Refuse criteria for a sample that is not there: its particles would silently get the bounds of all.

    Parameters
    ----------
    criteria : Criteria
    samples : iterable of str
        Names of the samples that are there.

    Raises
    ------
    JobError
        With the nearest name.
    """
    known = sorted(set(samples))
    for name in criteria.samples or {}:
        if name not in known:
            raise JobError(
                f'[criteria.samples."{name}"]',
                expected="a sample of the run: " + (", ".join(known) or "there is none"),
                got=repr(name),
                remedy=did_you_mean(name, known) or "Correct the name, or remove the table.",
            )


_BOUNDS: Mapping[str, tuple[float, float]] = {
    "min_area_nm2": (0.0, math.inf),
    "max_area_nm2": (0.0, math.inf),
    "max_eccentricity": (0.0, 1.0),
    "min_solidity": (0.0, 1.0),
    "min_convexity": (0.0, 1.0),
    "min_pixels": (0.0, math.inf),
    "min_mean_probability": (0.0, 1.0),
}


def _settle(criteria: SampleCriteria | Criteria) -> None:
    """Check each bound and give it its own type; a criterion of all samples that is off is None."""
    common = isinstance(criteria, Criteria)
    for name in _BOUNDS:
        value = _parse(name, getattr(criteria, name))
        object.__setattr__(criteria, name, None if common and value is False else value)
    if not isinstance(criteria.exclude_border, bool) and (common or criteria.exclude_border is not None):
        raise _refusal("exclude_border", "true or false", criteria.exclude_border)


def _parse(name: str, value: object) -> Any:  # noqa: ANN401  each criterion has its own type
    """Give a criterion's value in its own type, or refuse it."""
    if value is None or value is False:
        return value
    low, high = _BOUNDS[name]
    bounds = f"a number from {low:g} to {high:g}" if math.isfinite(high) else f"a finite number of at least {low:g}"
    bounds += ", or false for none"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refusal(name, bounds, value)
    if not (math.isfinite(value) and low <= value <= high):
        raise _refusal(name, bounds, value)
    if name != "min_pixels":
        return float(value)
    if not isinstance(value, int):
        raise _refusal(name, "a whole number", value)
    return value


def _refusal(name: str, expected: str, got: object) -> InputError:
    return InputError(name, expected=expected, got=repr(got), remedy="Correct it, or leave it out.")
