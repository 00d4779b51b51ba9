"""The order in which people number files."""

import re

_DIGITS = re.compile(r"([0-9]+)")
_Pieces = tuple[tuple[int, int, str], ...]


def natural_key(name: str) -> tuple[tuple[_Pieces, ...], str]:
    """Give the key that sorts names as people number them; folders before what differs inside them.

    Parameters
    ----------
    name : str
        A name or a relative path with forward slashes.

    Examples
    --------
    >>> sorted(["a/img10.tif", "a/img2.tif", "A10/x", "A9/x"], key=natural_key)
    ['a/img2.tif', 'a/img10.tif', 'A9/x', 'A10/x']
    """
    return tuple(_pieces(component) for component in name.split("/")), name


def _pieces(component: str) -> _Pieces:
    pieces = _DIGITS.split(component.casefold())  # text, digits, text, digits, ..., text
    return tuple((0, int(piece), "") if i % 2 else (1, 0, piece) for i, piece in enumerate(pieces) if piece)
