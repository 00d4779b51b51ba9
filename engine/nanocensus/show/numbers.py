"""Numbers as people read them: an estimate with its interval, no more digits than the interval allows."""

import math
import re
from typing import SupportsFloat

import numpy as np
from jaxtyping import Float

_DIGITS_OF_HALF_WIDTH = 2
_DIGITS_ALONE = 4
_MOST_DIGITS, _MOST_DECIMALS = 7, 15
"""A narrower interval than the first shows is one of rounding; what is smaller than the second shows is nothing."""

_STATISTIC_WORDS = {
    "mean": "mean",
    "median": "median",
    "sd": "standard deviation",
    "cv": "coefficient of variation",
}


def decimals_for(size: float, digits: int, *, beside: float = 0.0) -> int:
    """Give the number of decimals that show a quantity with some significant digits.

    Parameters
    ----------
    size : float
        The quantity.
    digits : int
        Significant digits, at least one.
    beside : float
        A larger quantity that is written with as many decimals: it gets seven significant digits at most.

    Examples
    --------
    >>> decimals_for(0.0123, 2), decimals_for(1.2e-12, 2, beside=0.5), decimals_for(1.2e-12, 2, beside=3e-9)
    (3, 7, 13)
    """
    if not math.isfinite(size) or size == 0:
        return digits
    most = min(_MOST_DECIMALS, _decimals(max(abs(size), abs(beside)), _MOST_DIGITS))
    return max(0, min(most, _decimals(size, digits)))


def _decimals(size: float, digits: int) -> int:
    return digits - 1 - math.floor(math.log10(abs(size)))


def decimals_of_column(
    estimates: Float[np.ndarray, " row"],
    lower: Float[np.ndarray, " row"] | None = None,
    upper: Float[np.ndarray, " row"] | None = None,
) -> int:
    """Give the number of decimals for all numbers of a column: two digits of the intervals' half-widths, else four of the numbers.

    Parameters
    ----------
    estimates, lower, upper : (row,) ndarray of float
        NaN where there is none. Medians decide.

    Examples
    --------
    >>> decimals_of_column(np.array([5.318, 5.902, np.nan])), decimals_of_column(np.array([123456.0]))
    (3, 0)
    >>> decimals_of_column(np.array([0.9321]), np.array([0.93204]), np.array([0.93216]))
    6
    """
    half = np.empty(0) if lower is None or upper is None else (upper - lower) / 2
    half, known = half[np.isfinite(half) & (half > 0)], np.abs(estimates[np.isfinite(estimates) & (estimates != 0)])
    if half.size:
        return decimals_for(float(np.median(half)), _DIGITS_OF_HALF_WIDTH, beside=float(known.max(initial=0.0)))
    return decimals_for(float(np.median(known)) if known.size else 0.0, _DIGITS_ALONE)


def with_interval(estimate: float, lower: float, upper: float) -> str:
    """Write an estimate and its interval; the interval's half-width gets two significant digits.

    Parameters
    ----------
    estimate, lower, upper : float
        NaN where there is none.

    Examples
    --------
    >>> with_interval(5.31842, 5.2613, 5.3758)
    '5.318 [5.261, 5.376]'
    >>> with_interval(5.31842, float("nan"), float("nan"))
    '5.318'
    """
    if not math.isfinite(estimate):
        return "–"
    if not (math.isfinite(lower) and math.isfinite(upper)):
        return _minus(f"{estimate:.{decimals_for(estimate, _DIGITS_ALONE)}f}")
    largest = max(abs(lower), abs(upper), abs(estimate))
    decimals = decimals_for((upper - lower) / 2 or estimate, _DIGITS_OF_HALF_WIDTH, beside=largest)
    return _minus(f"{estimate:.{decimals}f} [{lower:.{decimals}f}, {upper:.{decimals}f}]")


def with_reach(estimate: float, reach: float) -> str:
    """Write an estimate and how far to both sides it is uncertain, that with two significant digits.

    Parameters
    ----------
    estimate, reach : float
        A reach that is NaN is unknown, and said to be.

    Examples
    --------
    >>> with_reach(5.31842, 0.0573), with_reach(5.31842, float("nan"))
    ('5.318 ± 0.057', 'unknown')
    """
    if not math.isfinite(estimate):
        return "–"
    if not math.isfinite(reach):
        return "unknown"
    decimals = decimals_for(reach or estimate, _DIGITS_OF_HALF_WIDTH, beside=estimate)
    return _minus(f"{estimate:.{decimals}f} ± {reach:.{decimals}f}")


def count(number: SupportsFloat) -> str:
    """Write a count with thin spaces between thousands; one that is not known as a dash.

    Examples
    --------
    >>> count(441067)
    '441\u202f067'
    """
    value = float(number)
    return "–" if not math.isfinite(value) else f"{round(value):,}".replace(",", "\u202f")


def counted(number: int, singular: str, plural: str = "") -> str:
    """Write a count and the word for what is counted.

    Examples
    --------
    >>> counted(1, "micrograph"), counted(2, "micrograph")
    ('1 micrograph', '2 micrographs')
    """
    return f"{count(number)} {singular if number == 1 else plural or singular + 's'}"


def p_value(p: SupportsFloat) -> str:
    """Write a p value as it stands in a column of them; one that is not known as a dash.

    Examples
    --------
    >>> p_value(0.37123), p_value(2e-5), p_value(float("nan"))
    ('0.371', '< 0.001', '–')
    """
    value = float(p)
    if not math.isfinite(value):
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def p_words(p: SupportsFloat) -> str:
    """Write a p value as it stands in a sentence.

    Examples
    --------
    >>> p_words(0.37123), p_words(2e-5)
    ('p = 0.371', 'p < 0.001')
    """
    written = p_value(p)
    return f"p {written}" if written.startswith("<") else f"p = {written}"


def statistic_words(name: str) -> str:
    """Give the words for the name of a statistic.

    Examples
    --------
    >>> statistic_words("cv"), statistic_words("quantile_0.5"), statistic_words("quantile(0.9)")
    ('coefficient of variation', 'median', '90 % quantile')
    """
    if name in _STATISTIC_WORDS:
        return _STATISTIC_WORDS[name]
    quantile = re.fullmatch(r"q(?:uantile)?[_(]?(0?\.\d+|0|1)\)?", name)
    if quantile:
        share = float(quantile.group(1))
        return "median" if share == 0.5 else f"{100 * share:.4g} % quantile"
    return name.replace("_", " ")


def _minus(text: str) -> str:
    return text.replace("-", "−")
