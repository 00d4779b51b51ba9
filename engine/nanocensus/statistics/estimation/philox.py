"""Random numbers by counting: each is a function of a key and a counter, so no order of work shows in them.

Philox4x64-10 as numpy has it, bit for bit. The key is (seed, purpose); the counter names what is drawn for: a replicate,
a micrograph, a particle. Nothing is shared and nothing is advanced.

Source
------
Salmon, Moraes, Dror and Shaw, SC '11 (2011), article 16: Philox, its multipliers and its round constants.
"""

import hashlib
from enum import IntEnum
from typing import no_type_check

import numba
import numpy as np
from jaxtyping import UInt64

from nanocensus.errors import StatisticsError

_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_BUMP_0, _BUMP_1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_ROUNDS = 10
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


class Purpose(IntEnum):
    """What numbers are drawn for: the second half of the key. A new purpose gets a new number, for ever."""

    RANDOM_GROUPS = 1
    """The place of a particle in the random order of its sample."""
    SUBSETS = 2
    """Which micrographs a smaller study would have had."""
    BOOTSTRAP = 3
    """Which clusters a replicate holds."""
    OUTLINES = 21
    """The phases of a particle's surrogate outline, and whether it is among those that a reference is found from."""


def random_words(seed: int, purpose: Purpose, counters: UInt64[np.ndarray, "n 4"]) -> UInt64[np.ndarray, "n 4"]:
    """Give the four words of each counter.

    Parameters
    ----------
    seed : int
        0 to 2^64 - 1.
    purpose : Purpose
    counters : uint64 array (n, 4)
        Least significant word first, as numpy's `Philox(counter=...)`, which adds one before its first block.

    Examples
    --------
    >>> counters = np.array([[5, 0, 9, 0]], np.uint64)
    >>> words = random_words(7, Purpose.RANDOM_GROUPS, counters)
    >>> numpys = np.random.Philox(key=np.array([7, 1], np.uint64), counter=np.array([4, 0, 9, 0], np.uint64))
    >>> bool((words[0] == numpys.random_raw(4)).all())
    True
    """
    words = np.empty(counters.shape, np.uint64)
    _fill(np.uint64(seed), np.uint64(purpose), counters, words)
    return words


def generator(seed: int, purpose: str) -> np.random.Generator:
    """Give the stream of random numbers of a seed and a purpose as numpy draws them (counter-based: Philox)."""
    key = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "little")
    return np.random.Generator(np.random.Philox(key=np.array([seed, key], np.uint64)))


def check_seed(seed: int) -> None:
    """Refuse what is no key.

    Raises
    ------
    StatisticsError
        Unless it lies from 0 to 2^64 - 1.
    """
    if not 0 <= seed < 2**64:
        raise StatisticsError(
            "seed", expected="a whole number from 0 to 2^64 - 1", got=str(seed), remedy="Give another."
        )


def name_word(*names: str) -> int:
    """Give 64 bits that stand for names (a sample, a micrograph) in a counter.

    Examples
    --------
    >>> name_word("Co0.4", "x") == name_word("Co0.4x")
    False
    """
    return int.from_bytes(hashlib.sha256("\0".join(names).encode()).digest()[:8], "little")


@numba.njit(inline="always")
@no_type_check
def _high(a: np.uint64, b: np.uint64) -> np.uint64:  # pragma: no cover  (compiled)
    """Give the upper 64 bits of a product."""
    a_low, a_high, b_low, b_high = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    low, cross, other = a_low * b_low, a_low * b_high, a_high * b_low
    middle = (low >> _HALF) + (cross & _LOW) + (other & _LOW)
    return a_high * b_high + (cross >> _HALF) + (other >> _HALF) + (middle >> _HALF)


@numba.njit(cache=True)
@no_type_check
def philox(
    key_0: np.uint64, key_1: np.uint64, c_0: np.uint64, c_1: np.uint64, c_2: np.uint64, c_3: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:  # pragma: no cover  (compiled)
    """Give the four words of one counter; for compiled loops."""
    for _ in range(_ROUNDS):
        high_0, low_0 = _high(_MULTIPLIER_0, c_0), _MULTIPLIER_0 * c_0
        high_1, low_1 = _high(_MULTIPLIER_1, c_2), _MULTIPLIER_1 * c_2
        c_0, c_1, c_2, c_3 = high_1 ^ c_1 ^ key_0, low_1, high_0 ^ c_3 ^ key_1, low_0
        key_0, key_1 = key_0 + _BUMP_0, key_1 + _BUMP_1
    return c_0, c_1, c_2, c_3


@numba.njit(nogil=True, cache=True)
@no_type_check
def _fill(
    key_0: np.uint64, key_1: np.uint64, counters: np.ndarray, words: np.ndarray
) -> None:  # pragma: no cover  (compiled)
    for row in range(len(counters)):
        c = counters[row]
        words[row, 0], words[row, 1], words[row, 2], words[row, 3] = philox(key_0, key_1, c[0], c[1], c[2], c[3])
