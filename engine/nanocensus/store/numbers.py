"""Numbers as people write them in tables."""

import math
import re


def as_number(text: str) -> float | None:
    """Give the finite decimal number that a text writes, or None.

    Examples
    --------
    >>> as_number(" 0.40 "), as_number("1e-3"), as_number("nan"), as_number("0,4")
    (0.4, 0.001, None, None)
    """
    if not re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", text, re.ASCII):
        return None
    number = float(text)
    return number if math.isfinite(number) else None
