"""What users ask of several statistics alike: refused at the door if it makes no sense."""

from nanocensus.errors import StatisticsError
from nanocensus.statistics.cells.quanta import Number


def check_level(level: Number) -> None:
    """Refuse levels that are none.

    Raises
    ------
    StatisticsError
        Unless it lies between 0 and 1.
    """
    if not 0 < level < 1:
        raise StatisticsError(
            "level", expected="a number between 0 and 1", got=f"{level:g}", remedy="For example 0.95."
        )


def check_draws(name: str, count: int, *, least: int = 1) -> None:
    """Refuse numbers of replicates or permutations that tell nothing.

    Raises
    ------
    StatisticsError
        If there are fewer than `least`.
    """
    if count < least:
        raise StatisticsError(name, expected=f"{least} or more", got=str(count), remedy="Leave it out for the default.")
