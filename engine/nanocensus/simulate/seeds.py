"""Where randomness begins: one seed for each sample of a study."""

import hashlib

import numpy as np


def sample_seed(seed: int, sample: str) -> np.random.SeedSequence:
    """Give the seed sequence of a sample: its name is mixed in, so that samples can be drawn one without the other.

    Examples
    --------
    >>> a, b = (sample_seed(1, name).generate_state(1)[0] for name in ("Co0.2", "Co0.4"))
    >>> bool(a != b)
    True
    """
    name = int.from_bytes(hashlib.sha256(sample.encode()).digest()[:8], "little")
    return np.random.SeedSequence([seed, name])
