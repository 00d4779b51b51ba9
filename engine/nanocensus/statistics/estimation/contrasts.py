"""Samples against each other: differences and ratios of their estimates, with intervals.

Two intervals that overlap do not mean that two samples agree; what is asked is answered by the interval of the difference.

Sources
-------
Welch, Biometrika 34, 28 (1947), and Satterthwaite, Biometrics Bulletin 2, 110 (1946): degrees of freedom of a difference
of two means whose variances differ.
Zou and Donner, Statistics in Medicine 27, 1693 (2008): the interval of a difference from the limits of both.
Holm, Scandinavian Journal of Statistics 6, 65 (1979): p values that stand for many comparisons at once.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
import xarray as xr
from scipy import special

from nanocensus.errors import StatisticsError
from nanocensus.statistics.estimation.reductions import mean, median

Kind = Literal["difference", "ratio"]
_SIGNS: dict[Kind, str] = {"difference": "−", "ratio": "/"}
_NOT_ASKED = "not asked for"


def difference(ds: xr.Dataset, a: object, b: object, *, key: str = "sample") -> xr.Dataset:
    """Give what a has more than b, for every statistic, with intervals.

    Parameters
    ----------
    ds : xr.Dataset
        Of `estimate` or `bootstrap`.
    a, b : str or number
        Two values of the key, for example two samples.
    key : str
        Any key of the estimates but the bins of a column, which share their micrographs.

    Returns
    -------
    xr.Dataset
        As `compare` gives it, without the dimension "comparison".

    Raises
    ------
    StatisticsError
        If there is no such key or value.

    Examples
    --------
    >>> values = {"estimate": [0.90, 0.93], "standard_error": [0.003, 0.004], "degrees_of_freedom": [7.0, 11.0]}
    >>> dims = ("sample", "descriptor", "statistic")
    >>> made = xr.Dataset({name: (dims, np.reshape(value, (2, 1, 1))) for name, value in values.items()},
    ...                   {"sample": ["A", "B"], "descriptor": ["circularity"], "statistic": ["mean"]})
    >>> limits = {"lower": made["estimate"] - 0.01, "upper": made["estimate"] + 0.01}
    >>> made = made.assign_coords(limits | {"refusal": (dims, np.full((2, 1, 1), "", object))})
    >>> found = difference(made, "B", "A")
    >>> [round(float(found[name].item()), 4) for name in ("estimate", "lower", "upper", "degrees_of_freedom")]
    [0.03, 0.0195, 0.0405, 17.937]
    """
    return _compare(ds, [(a, b)], key, "difference").isel(comparison=0)


def ratio(ds: xr.Dataset, a: object, b: object, *, key: str = "sample") -> xr.Dataset:
    """Give how many times as large a is as b, for every statistic that is positive, with intervals.

    Parameters and result are those of `difference`; the interval is made on the logarithm.
    """
    return _compare(ds, [(a, b)], key, "ratio").isel(comparison=0)


def compare(ds: xr.Dataset, *, kind: Kind = "difference", key: str = "sample",
            reference: object | None = None) -> xr.Dataset:  # fmt: skip
    """Compare all samples with each other, or with one of them.

    Parameters
    ----------
    ds : xr.Dataset
        Of `estimate` or `bootstrap`.
    kind : {"difference", "ratio"}
    key : str
        Any key of the estimates but the bins of a column.
    reference : str or number, optional
        The value that all others are compared with; all pairs, the later against the earlier, if absent.

    Returns
    -------
    xr.Dataset
        Along comparison and the other dimensions of `ds`: `estimate`, `standard_error`, `degrees_of_freedom`, `p` (two-sided,
        of "no difference"), `p_holm` (adjusted for all comparisons and size bins of this result, for each descriptor
        and statistic by itself), with `lower`, `upper` and `refusal` as coordinates; `first` and `second` name what is
        compared. Where one of the two has no interval there is none here, with its reason.

    Raises
    ------
    StatisticsError
        If there is no such key or value, or fewer than two values.

    Notes
    -----
    Standard errors add in squares, as samples share no cluster; the t distribution has Welch's and Satterthwaite's
    degrees of freedom. Ratios are differences of logarithms (delta method). Where a statistic's own limits may lie unequally
    far from it (standard deviation, CV, bootstrap), those of the difference, and of the logarithm of the ratio, are made from
    the limits of both; the p of a difference is then that of the ratio. A bootstrap has no degrees of freedom, and so no p.
    """
    values = ds[_known_key(ds, key)].to_numpy().tolist()
    if reference is not None:
        _place(ds, key, reference)
        pairs = [(value, reference) for value in values if value != reference]
    else:
        pairs = [(later, earlier) for earlier, later in combinations(values, 2)]
    if not pairs:
        raise StatisticsError(
            f"comparison by {key!r}",
            expected="at least two values",
            got=str(len(values)),
            remedy="Compare by another key.",
        )
    return _compare(ds, pairs, key, kind)


def independent_keys(ds: xr.Dataset) -> list[str]:
    """Name the keys of estimates whose values share no micrograph: all but the bins of a column."""
    keys = [str(name) for name in ds["estimate"].dims if name not in ("descriptor", "statistic")]
    return [name for name in keys if f"{name.removesuffix('_bin')}_left" not in ds.coords]


def _known_key(ds: xr.Dataset, key: str) -> str:
    keys = independent_keys(ds)
    if key not in keys:
        raise StatisticsError(
            "key of a comparison", expected="one of " + ", ".join(keys) if keys else "estimates by a key", got=repr(key),
            remedy="Estimate by that key. Bins share their micrographs: their estimates are not independent.",
        )  # fmt: skip
    return key


def _place(ds: xr.Dataset, key: str, value: object) -> int:
    values = ds[key].to_numpy().tolist()
    if value not in values:
        raise StatisticsError(
            f"{key} to compare", expected="one of " + ", ".join(map(str, values)), got=str(value),
            remedy="Check its name.",
        )  # fmt: skip
    return int(values.index(value))


def _compare(ds: xr.Dataset, pairs: Sequence[tuple[object, object]], key: str, kind: Kind) -> xr.Dataset:
    _known_key(ds, key)
    whole = ds.transpose(key, ..., "descriptor", "statistic")
    a, b = (_side(whole, [_place(ds, key, pair[side]) for pair in pairs], key) for side in (0, 1))
    level = float(ds.attrs.get("level", 0.95))
    found = (_ratio if kind == "ratio" else _difference)(a, b, level, _uneven(ds))
    refusal = _refusal(a, b, pairs, np.isfinite(found["lower"]) & np.isfinite(found["upper"]))
    told = refusal == ""
    found = {name: values if name == "estimate" else np.where(told, values, np.nan) for name, values in found.items()}
    found["p_holm"] = holm(found["p"])
    dims = ("comparison", *whole["estimate"].dims[1:])
    coords = {name: part for name, part in ds.coords.items() if key not in part.dims and name != key}
    labels = {
        "comparison": [f"{one} {_SIGNS[kind]} {other}" for one, other in pairs],
        "first": [one for one, _ in pairs],
        "second": [other for _, other in pairs],
    }
    made = xr.Dataset({name: (dims, values) for name, values in found.items()}, coords=coords)
    made = made.assign_coords({name: ("comparison", np.array(texts, object)) for name, texts in labels.items()})
    made = made.assign_coords(refusal=(dims, refusal)).set_coords(["lower", "upper"])
    return made.assign_attrs(kind=kind, key=key, level=level)


class _Side(NamedTuple):
    """One of the two of every comparison: arrays (comparison, ..., descriptor, statistic)."""

    estimate: np.ndarray
    error: np.ndarray
    freedom: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    refusal: np.ndarray


def _side(whole: xr.Dataset, places: list[int], key: str) -> _Side:
    chosen = whole.isel({key: places})
    names = ("estimate", "standard_error", "degrees_of_freedom", "lower", "upper", "refusal")
    absent = np.full(chosen["estimate"].shape, np.nan)  # a bootstrap has no degrees of freedom
    return _Side(*(chosen[name].to_numpy() if name in chosen else absent for name in names))


def _uneven(ds: xr.Dataset) -> np.ndarray:
    """Say which statistics may have limits unequally far from them, along statistic: measures of spread, bootstraps."""
    methods = ds.attrs.get("method", {})
    even = (mean.method, median.method)
    return np.array([methods.get(str(name), mean.method) not in even for name in ds["statistic"].values])


def _difference(a: _Side, b: _Side, level: float, uneven: np.ndarray) -> dict[str, np.ndarray]:
    estimate = a.estimate - b.estimate
    error, freedom = _welch(a.error, b.error, a.freedom, b.freedom)
    below, above = _reaches(a, b, _reach(level, freedom) * error, uneven)
    p = np.where(uneven, _ratio(a, b, level, uneven)["p"], _two_sided(estimate, error, freedom))
    return {"estimate": estimate, "standard_error": error, "degrees_of_freedom": freedom, "lower": estimate - below,
            "upper": estimate + above, "p": p}  # fmt: skip


def _ratio(a: _Side, b: _Side, level: float, uneven: np.ndarray) -> dict[str, np.ndarray]:
    with np.errstate(invalid="ignore", divide="ignore"):
        error, freedom = _welch(a.error / a.estimate, b.error / b.estimate, a.freedom, b.freedom)
        one, other = (side._replace(estimate=np.log(side.estimate), lower=np.log(side.lower), upper=np.log(side.upper))
                      for side in (a, b))  # fmt: skip
        below, above = _reaches(one, other, _reach(level, freedom) * error, uneven)
        log = one.estimate - other.estimate
        return {"estimate": np.exp(log), "standard_error": np.exp(log) * error, "degrees_of_freedom": freedom,
                "lower": np.exp(log - below), "upper": np.exp(log + above), "p": _two_sided(log, error, freedom)}  # fmt: skip


def _reaches(a: _Side, b: _Side, even: np.ndarray, uneven: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give how far the interval of a - b reaches down and up.

    Where limits lie unequally far from their estimate, the squares of the distances add up, end by end.
    """
    below = np.where(uneven, np.hypot(a.estimate - a.lower, b.upper - b.estimate), even)
    above = np.where(uneven, np.hypot(a.upper - a.estimate, b.estimate - b.lower), even)
    return below, above


def _welch(
    one: np.ndarray, other: np.ndarray, freedom: np.ndarray, others: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Give the standard error of a difference and its degrees of freedom."""
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = one**2 + other**2
        return np.sqrt(variance), variance**2 / (one**4 / freedom + other**4 / others)


def _reach(level: float, freedom: np.ndarray) -> np.ndarray:
    return np.asarray(special.stdtrit(freedom, (1 + level) / 2))


def _two_sided(estimate: np.ndarray, error: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(2 * special.stdtr(freedom, -np.abs(estimate / error)))


def _refusal(a: _Side, b: _Side, pairs: Sequence[tuple[object, object]], defined: np.ndarray) -> np.ndarray:
    """Give the reason of whichever side has one, with its name; else whether the comparison is defined."""
    texts = np.where(defined, "", "not defined for these values (no spread, or not positive)").astype(object)
    for place in np.ndindex(texts.shape):
        reasons = {str(value): side.refusal[place] for value, side in zip(pairs[place[0]], (a, b), strict=True)}
        if _NOT_ASKED in reasons.values():
            texts[place] = _NOT_ASKED
        elif any(reasons.values()):
            texts[place] = "; ".join(f"{name}: {reason}" for name, reason in reasons.items() if reason)
    return texts


def holm(p: np.ndarray) -> np.ndarray:
    """Adjust p values of shape (..., descriptor, statistic) for all tests of the same descriptor and statistic (Holm)."""
    tests = p.reshape(-1, *p.shape[-2:])
    order = np.argsort(tests, axis=0)  # NaN last
    count = np.isfinite(tests).sum(0)
    remaining = np.maximum(count - np.arange(len(tests))[:, None, None], 1)
    stepped = np.take_along_axis(tests, order, 0) * remaining
    adjusted = np.minimum(np.maximum.accumulate(stepped, axis=0), 1.0)
    found = np.empty_like(tests)
    np.put_along_axis(found, order, adjusted, 0)
    return found.reshape(p.shape)
