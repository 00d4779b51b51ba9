"""What is done to micrographs before they are standardised."""

import numpy as np
import pytest

from nanocensus.errors import ImageError
from nanocensus.segment.preparation.flatfield import flatten, standardise
from nanocensus.segment.preparation.preparation import AS_USUAL, Preparation, prepare


def test_what_is_no_micrograph_is_not_prepared():
    for preparation in (AS_USUAL, Preparation(flat_field=False, contrast="bright")):
        with pytest.raises(ImageError, match="real numbers"):
            prepare(np.zeros((3, 3), bool), preparation)


@pytest.mark.parametrize("dtype", ["uint16", "int64", "float32"])
def test_bright_particles_are_inverted(dtype):
    image = (np.random.default_rng(0).poisson(100, (70, 90)) * np.linspace(1, 2, 90)).astype(dtype)
    raw, inverted = Preparation(flat_field=False), Preparation(flat_field=False, contrast="bright")
    assert prepare(image, raw) is image
    assert np.allclose(standardise(prepare(image, inverted)), -standardise(image), atol=1e-5)
    bright = prepare(image, Preparation(contrast="bright"))
    assert np.array_equal(bright, -flatten(image, contrast="bright"))
