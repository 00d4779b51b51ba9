"""The words by which a caller says how a micrograph is to be segmented."""

import difflib
from collections.abc import Mapping
from typing import get_args

from nanocensus.errors import InputError
from nanocensus.segment.architecture import Engine, Precision
from nanocensus.segment.flatfield import Contrast
from nanocensus.segment.resample import Resample

_KNOWN: Mapping[str, tuple[str, ...]] = {
    "contrast": get_args(Contrast),
    "precision": get_args(Precision),
    "engine": get_args(Engine),
    "resample": get_args(Resample),
}


def check_options(**given: object) -> None:
    """Refuse words that mean nothing: they would be passed over.

    Parameters
    ----------
    **given
        `contrast`, `precision`, `engine` and `resample`; None says nothing.

    Raises
    ------
    InputError
        If one is none of those that are known.
    """
    for name, word in given.items():
        known = _KNOWN[name]
        if word is not None and word not in known:
            near = difflib.get_close_matches(str(word).lower(), known, n=1)
            raise InputError(
                name,
                expected="one of " + ", ".join(map(repr, known)),
                got=repr(word),
                remedy=f"Did you mean {near[0]!r}?" if near else "Use one of these words.",
            )
