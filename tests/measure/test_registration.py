import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from nanocensus.measure import registration
from nanocensus.measure.registration import find_overlaps, reduction, thumbnail
from nanocensus.store.formats.readers import read_image

DEMO = Path(__file__).parents[2] / "jobs" / "demo"


def film(rng, shape):
    return ndimage.gaussian_filter(rng.normal(size=shape), 2.0)


def seen_twice(rng, first, second, side=256, noise=0.05):
    """Two windows of one film, each with noise of its own."""
    wide = film(rng, (2 * side, 2 * side))
    return [
        wide[y : y + side, x : x + side] + noise * rng.normal(size=(side, side)) * wide.std()
        for y, x in (first, second)
    ]


@pytest.mark.parametrize("corner", [(0, 0), (100, 0), (0, -120), (60, 88), (-90, 70), (-20, -124)])
def test_a_shift_is_found_with_its_sign_and_share(corner):
    first, second = (128, 128), (128 + corner[0], 128 + corner[1])
    images = seen_twice(np.random.default_rng(5), first, second)
    (found,) = find_overlaps([thumbnail(image) for image in images])
    assert np.array(found.shift) * reduction((256, 256)) == pytest.approx(corner, abs=1.5)  # a pixel of it is two
    assert found.share == pytest.approx((256 - abs(corner[0])) * (256 - abs(corner[1])) / 256**2, abs=0.02)
    (back,) = find_overlaps([thumbnail(image) for image in images[::-1]])
    assert back.shift == pytest.approx((-found.shift[0], -found.shift[1]), abs=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 129), (12, 4096), (4096, 31)])
def test_a_strip_has_a_thumbnail_too(shape):
    height, width = thumbnail(film(np.random.default_rng(0), shape)).shape
    assert (height, width) == (shape[0] // reduction(shape), shape[1] // reduction(shape))
    assert min(height, width) > 0


def test_light_gain_and_offset_do_not_hide_a_repeated_place():
    one, other = seen_twice(np.random.default_rng(6), (0, 0), (40, 90))
    other = 700 + 55 * other * np.linspace(0.5, 1.5, 256)
    (found,) = find_overlaps([thumbnail(one), thumbnail(other)])
    assert np.array(found.shift) * 2 == pytest.approx((40, 90), abs=1.5)


def test_what_two_thumbnails_have_in_common_at_a_shift_is_counted_and_correlated_as_a_slow_sum_does():
    rng = np.random.default_rng(7)
    one, other = (rng.integers(-90, 90, shape).astype(np.int8) for shape in ((40, 33), (28, 36)))
    padded = (80, 72)
    common, weight = registration._common(one.shape, other.shape, padded)
    for dy, dx in ((0, 0), (12, -9), (-17, 20), (25, 14)):
        pairs = [
            (y, x)
            for y in range(40)
            for x in range(33)
            if 0 <= y - dy < 28 and 0 <= x - dx < 36
        ]  # fmt: skip
        assert common[dy, dx] == len(pairs)
        assert (weight[dy, dx] > 0) == (len(pairs) >= 0.08 * 28 * 36)
        a, b = np.array([(float(one[y, x]), float(other[y - dy, x - dx])) for y, x in pairs]).T
        a, b = a - a.mean(), b - b.mean()
        top, left = min(pairs)
        squares: dict[tuple[int, int], float] = {}
        for (y, x), product in zip(pairs, a * b, strict=True):
            square = (y - top) // 16, (x - left) // 16
            squares[square] = squares.get(square, 0.0) + product
        sums = np.array(list(squares.values()))
        wanted = np.corrcoef(a, b)[0, 1] * sums.sum() / np.sqrt((sums**2).sum())
        assert registration._evidence(one, other, (dy, dx)) == pytest.approx(wanted)


def test_places_that_are_not_the_same_are_told_apart_whatever_their_particles():
    rng = np.random.default_rng(8)
    y, x = np.mgrid[:512, :512]

    def particles():
        image = 0.1 * film(rng, (512, 512)) / 0.14
        for row, column in rng.uniform(0, 512, (16, 2)):
            image -= np.hypot(y - row, x - column) < 27
        return thumbnail(image)

    assert find_overlaps([particles() for _ in range(12)]) == []


def test_uneven_light_makes_no_two_places_alike():
    rng = np.random.default_rng(11)
    light = 1000 * (1 + 0.5 * np.linspace(-1, 1, 512)) * np.linspace(1.2, 0.8, 512)[:, None]
    assert find_overlaps([thumbnail(light * (1 + 0.2 * film(rng, (512, 512)))) for _ in range(8)]) == []


def test_an_array_of_particles_is_not_taken_for_itself():
    rng = np.random.default_rng(9)
    y, x = np.mgrid[:512, :512]
    arrays = [
        np.cos(y / 6 + phase) * np.cos(x / 6 + phase) + 0.3 * film(rng, (512, 512)) / 0.14 for phase in (0.0, 2.0)
    ]
    assert find_overlaps([thumbnail(array) for array in arrays]) == []


def test_an_even_micrograph_is_like_none():
    even = thumbnail(np.full((300, 300), 7, np.uint16))
    assert not even.any()
    assert find_overlaps([even, even, thumbnail(film(np.random.default_rng(0), (300, 300)))]) == []
    assert find_overlaps([]) == []


def test_rows_and_known_pairs_cut_the_work_and_lose_nothing():
    rng = np.random.default_rng(10)
    wide = film(rng, (256, 1000))
    images = [thumbnail(wide[:, left : left + 256]) for left in (0, 600, 100, 700, 150, 744)]
    whole = find_overlaps(images)
    assert {(found.first, found.second) for found in whole} == {(0, 2), (0, 4), (2, 4), (1, 3), (1, 5), (3, 5)}
    assert [*find_overlaps(images, [0, 3]), *find_overlaps(images, [1, 2, 4])] != whole  # another order,
    assert sorted(map(repr, (*find_overlaps(images, [0, 3]), *find_overlaps(images, [1, 2, 4])))) == sorted(
        map(repr, whole)
    )
    new = find_overlaps(images, known=4)
    assert [(found.first, found.second) for found in new] == [(0, 4), (1, 5), (2, 4), (3, 5)]


def test_the_demonstrations_fields_are_found_and_their_shifts_close():
    with (DEMO / "fields.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["field"] in ("0", "1", "2", "3", "4", "5", "7", "8")]
    found = find_overlaps([thumbnail(read_image(DEMO / "images" / row["image"]).pixels) for row in rows])
    shifts = {(rows[each.first]["image"][:-4], rows[each.second]["image"][:-4]): np.array(each.shift) for each in found}
    fields = {row["image"][:-4]: row["field"] for row in rows}
    across = {pair for pair in shifts if fields[pair[0]] != fields[pair[1]]}
    assert across == {("test_01", "test_16")}  # a tenth of each; by eye too
    assert len(shifts) == 16
    round_trip = shifts["test_03", "test_04"] + shifts["test_04", "test_08"] - shifts["test_03", "test_08"]
    assert np.abs(round_trip).max() < 1.0
