"""The words by which a caller says how a micrograph is to be segmented."""

from collections.abc import Mapping
from typing import get_args

from nanocensus.errors import InputError, did_you_mean
from nanocensus.segment.networks.architecture import Engine, Precision
from nanocensus.segment.prediction.resample import Resample
from nanocensus.segment.preparation.flatfield import Contrast

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
            raise InputError(
                name,
                expected="one of " + ", ".join(map(repr, known)),
                got=repr(word),
                remedy=did_you_mean(str(word).lower(), known) or "Use one of these words.",
            )
