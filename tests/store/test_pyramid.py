"""Smaller copies of images: means and where they lie, against plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nanocensus.store.formats.planes import RECORDED_DTYPES
from nanocensus.store.images.pyramid import SMALLEST, copies, transformations


def mean_of_four(image, y, x):
    four = image[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel().tolist()
    # Python's numbers have no size; halves go up.
    return sum(value / 4 for value in four) if image.dtype.kind == "f" else (sum(four) + 2) // 4


@settings(max_examples=60)
@given(data=st.data())
def test_copies_are_means_of_four_whatever_the_type(data):
    dtype = np.dtype(data.draw(st.sampled_from([*RECORDED_DTYPES, "int64"])))
    shape = data.draw(st.tuples(st.integers(2, 5), st.sampled_from([SMALLEST + 1, SMALLEST + 2, 2 * SMALLEST + 3])))
    elements = hnp.from_dtype(dtype, allow_nan=False, allow_infinity=False)
    if dtype == "int64":
        elements = st.integers(-(2**60), 2**60)
    image = data.draw(hnp.arrays(dtype, shape, elements=elements, fill=st.just(0)))
    found = list(copies(image, labels=False))
    before = image
    for copy in found:
        assert copy.dtype == dtype
        assert copy.shape == (before.shape[0] // 2, before.shape[1] // 2)
        for x in {0, 1, copy.shape[1] // 2, copy.shape[1] - 1}:
            expected = mean_of_four(before, 0, x)
            # Quarters are added in single precision or in double, and those of the smallest numbers are lost.
            tiny = 8 * float(np.finfo(dtype).smallest_subnormal) if dtype.kind == "f" else 0
            assert copy[0, x].item() == (pytest.approx(expected, rel=1e-6, abs=tiny) if dtype.kind == "f" else expected)
        before = copy
    assert max(before.shape) <= SMALLEST or min(before.shape) == 1


@pytest.mark.parametrize("shape", [(1, 5000), (512, 512), (7, 3)])
def test_what_is_small_or_a_line_has_none(shape):
    assert list(copies(np.zeros(shape, np.uint8), labels=False)) == []


def test_a_copy_lies_where_its_transformations_say():
    """Of an image whose values are the places of its pixels, each copy holds the places of its own."""
    y, x = np.mgrid[:1100, :2049] * 0.1
    for values in (y, x):
        for level, copy in enumerate(copies(values, labels=False), 1):
            scale, shift = transformations(0.1, level, labels=False)
            at = np.arange(copy.shape[values is x]) * scale["scale"][0] + shift["translation"][0]
            np.testing.assert_allclose(copy, np.broadcast_to(at if values is x else at[:, None], copy.shape), atol=1e-9)


def test_a_copy_of_labels_holds_labels_where_they_were():
    labels = np.random.default_rng(0).integers(0, 2**31 - 1, (601, 1301)).astype(np.int32)
    first, second = copies(labels, labels=True)
    np.testing.assert_array_equal(first, labels[:600:2, :1300:2])
    np.testing.assert_array_equal(second, labels[:600:4, :1300:4])
    (scale,) = transformations(0.1, 2, labels=True)
    assert scale == {"type": "scale", "scale": [0.4, 0.4]}
