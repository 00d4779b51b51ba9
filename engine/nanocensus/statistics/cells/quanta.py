"""How the values of a column become integers, so that their sums are exact in any order."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from nanocensus.errors import TableError
from nanocensus.schema import PARTICLES

Number = int | float
"""A number as users write it; the checker of the tests does not take 1 for 1.0."""

LARGEST_INTEGER = 2**23
"""With weights below 2^16 quanta, weight * value^2 stays below 2^62."""

_HISTOGRAM_SHIFT: Mapping[str, int] = {"1": 6, "rad": 6, "nm": 3}
"""Quanta are joined by 2^shift into steps of a histogram: 2^-12 for ratios, 2^-9 (0.002) nm for lengths."""


@dataclass(frozen=True)
class Quantum:
    """The step and the range in which one column is counted."""

    column: str
    step: float
    """Value of one quantum, in the unit of the column."""
    minimum: float
    maximum: float
    unit: str = ""

    @property
    def inverse(self) -> float:
        """Quanta in one unit of the column: values are multiplied by it everywhere, never divided by the step."""
        return 1.0 / self.step

    @property
    def histogram_shift(self) -> int:
        """Number of low bits that a histogram drops; a column with a user's own quantum keeps them all."""
        own = self.column not in PARTICLES or self.step != PARTICLES[self.column].quantum
        return 0 if own else _HISTOGRAM_SHIFT.get(self.unit, 0)

    def quantise(self, values: Float64[np.ndarray, " row"]) -> Int64[np.ndarray, " row"]:
        """Round values to quanta, halves to even.

        Examples
        --------
        >>> Quantum("edge_length_nm", 2.0**-12, 0.0, 2048.0).quantise(np.array([4.2]))
        array([17203])
        """
        return np.rint(values * self.inverse).astype(np.int64)


def quantum_of(column: str, scale: Mapping[str, Number] | None = None) -> Quantum:
    """Find how a column is counted: as declared in the schema, or as the user says.

    Parameters
    ----------
    column : str
        Name of a column of numbers.
    scale : mapping of str to float, optional
        The step of columns that the schema does not know, in their own unit, or another step of those that it knows.
        Values may reach 2^23 steps on both sides of zero.

    Raises
    ------
    TableError
        If nobody declares the column's quantum, or a step is not positive.

    Examples
    --------
    >>> quantum_of("circularity").step == 2.0**-18
    True
    >>> quantum_of("log_circularity", {"log_circularity": 2.0**-18}).maximum
    32.0
    """
    declared = next((known for known in PARTICLES.columns if known.name == column), None)
    if scale is not None and column in scale:
        step = float(scale[column])
        if not (0 < step < np.inf):
            raise TableError(
                f"scale of column {column!r}", expected="a positive number", got=f"{step:g}",
                remedy="Give the step to which its values may be rounded.",
            )  # fmt: skip
        unit = "" if declared is None else declared.unit
        return Quantum(column, step, -LARGEST_INTEGER * step, LARGEST_INTEGER * step, unit)
    if declared is None or declared.quantum is None:
        raise TableError(
            f"column {column!r}", expected="a quantum (the step to which its values are rounded)",
            got="none in the schema",
            remedy=f"Give it: scale={{{column!r}: step}}, far below what can be measured and above range / 2^23.",
        )  # fmt: skip
    reach = LARGEST_INTEGER * declared.quantum
    low = -reach if declared.minimum is None else declared.minimum
    high = reach if declared.maximum is None else declared.maximum
    return Quantum(column, declared.quantum, low, high, declared.unit)
