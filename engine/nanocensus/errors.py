"""Everything that nanocensus refuses, in one tree.

::

    NanocensusError
    ├── InputError (ValueError)            something the user gave cannot be used
    │   ├── JobError                       the job file
    │   ├── ImageError                     a micrograph's file or pixels
    │   │   └── CalibrationError           its pixel size
    │   ├── TableError                     a table given to the statistics, or a micrographs.csv
    │   ├── ModelError                     weights, or a model's name
    │   └── StatisticsError                a question that the data cannot answer
    ├── StoreError (OSError)               what is on disk is not what it should be
    │   ├── FormatVersionError             written by a newer nanocensus
    │   ├── DamageError                    bytes that changed since they were written
    │   └── LockedError                    another run holds the output
    ├── DeviceError (RuntimeError)         a device that was asked for is not there
    └── MissingExtraError (ImportError)    an optional dependency is not installed

Every message has the same three parts: what was expected, what came, what to do.
"""

import difflib
from collections.abc import Callable, Iterable
from typing import ClassVar


class NanocensusError(Exception):
    """Base of all errors that nanocensus raises on purpose.

    Parameters
    ----------
    subject : str
        What the message is about: a file, a key of the job file, a column.
    expected, got : str
        What would have been right, and what came instead.
    remedy : str
        What the user can do, as a sentence.
    """

    exit_code: ClassVar[int] = 1
    """The exit code of the command line for this branch of the tree."""

    def __init__(self, subject: str, *, expected: str, got: str, remedy: str) -> None:
        self.subject, self.expected, self.got, self.remedy = subject, expected, got, remedy
        super().__init__(f"{subject}: expected {expected}, got {got}. {remedy}")

    def __reduce__(self) -> tuple[Callable[..., "NanocensusError"], tuple[object, ...]]:
        """Travel between processes whole; the default would lose the keyword arguments."""
        return _rebuild, (type(self), self.subject, self.expected, self.got, self.remedy)


def _rebuild(kind: type[NanocensusError], subject: str, expected: str, got: str, remedy: str) -> NanocensusError:
    return kind(subject, expected=expected, got=got, remedy=remedy)


class InputError(NanocensusError, ValueError):
    """Something the user gave cannot be used."""

    exit_code = 2


class JobError(InputError):
    """The job file says something that cannot be done."""


class ImageError(InputError):
    """A file holds no micrograph that can be measured."""


class CalibrationError(ImageError):
    """The pixel size is missing, impossible or not a length."""


class TableError(InputError):
    """A table lacks a column, or holds values that its columns cannot have."""


class ModelError(InputError):
    """A model's name or weights cannot be used."""


class StatisticsError(InputError):
    """The data cannot answer the question asked of them."""


class StoreError(NanocensusError, OSError):
    """What is on disk is not what it should be."""

    exit_code = 3


class FormatVersionError(StoreError):
    """An artefact was written by a newer nanocensus than this one."""


class DamageError(StoreError):
    """Bytes changed since they were written."""


class LockedError(StoreError):
    """Another run holds the output."""


class DeviceError(NanocensusError, RuntimeError):
    """A device that was asked for is not there."""

    exit_code = 4


class MissingExtraError(NanocensusError, ImportError):
    """An optional dependency is not installed."""

    exit_code = 4


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Give the sentence that names the nearest of some names, or nothing.

    Examples
    --------
    >>> did_you_mean("Lenght", ["Length", "Area"])
    "Did you mean 'Length'?"
    """
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {near[0]!r}?" if near else ""
