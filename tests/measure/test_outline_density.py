import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.errors import InputError
from nanocensus.measure.outline_density import outline_density


def crosses(start, end, row, column):
    """Say whether more than a point of a segment lies in a square of side 1 (Liang and Barsky's clipping)."""
    first, last = 0.0, 1.0
    for position, step, low in ((start[0], end[0] - start[0], row), (start[1], end[1] - start[1], column)):
        if step == 0.0:
            if not low <= position < low + 1:
                return False
            continue
        enter, leave = sorted(((low - position) / step, (low + 1 - position) / step))
        first, last = max(first, enter), min(last, leave)
    return first < last


def brute_force(radii, half_width, bins):
    theta = 2.0 * np.pi * np.arange(radii.shape[1]) / radii.shape[1]
    counts = np.zeros((bins, bins), int)
    for outline in radii:
        points = (
            (np.stack([outline * np.sin(theta), outline * np.cos(theta)], axis=1) + half_width) * bins / 2 / half_width
        )
        edges = list(zip(points, np.roll(points, -1, axis=0), strict=True))
        for row, column in np.ndindex(counts.shape):
            counts[row, column] += any(crosses(start, end, row, column) for start, end in edges)
    return counts


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32), bins=st.integers(1, 12), angles=st.sampled_from([4, 10, 32]), width=st.floats(0.3, 3.0)
)
def test_an_outline_counts_once_in_each_square_that_it_crosses(seed, bins, angles, width):
    radii = np.random.default_rng(seed).uniform(0.2, 2.0, (3, angles))
    found = outline_density(radii, half_width=width, bins=bins)
    np.testing.assert_array_equal(found, brute_force(radii, width, bins))


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), parts=st.integers(1, 5))
def test_densities_of_parts_add_up_to_that_of_the_whole(seed, parts):
    radii = np.random.default_rng(seed).uniform(3.0, 5.0, (23, 64))
    whole = outline_density(radii, half_width=6.0, bins=50)
    pieces = [outline_density(piece, half_width=6.0, bins=50) for piece in np.array_split(radii, parts)]
    np.testing.assert_array_equal(sum(pieces), whole)
    assert whole.max() <= len(radii)


def test_y_runs_along_rows_and_the_angle_from_x_to_y():
    radii = np.full((1, 128), 1.0)
    radii[0, 32] = 3.0  # towards +y
    density = outline_density(radii, half_width=4.0, bins=9)
    assert density[7, 4] == 1
    assert density[1, 4] == density[4, 7] == density[4, 1] == 0


def test_no_outline_draws_nothing_and_a_grid_without_extent_is_refused():
    assert outline_density(np.ones((0, 8)), half_width=1.0, bins=4).sum() == 0
    for half_width, bins in ((0.0, 4), (float("nan"), 4), (1.0, 0)):
        with pytest.raises(InputError, match="half width"):
            outline_density(np.ones((1, 8)), half_width=half_width, bins=bins)
