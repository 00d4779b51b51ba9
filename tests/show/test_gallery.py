"""The gallery of criteria: every particle is counted on its side of the bound and drawn where it is."""

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanocensus.errors import InputError
from nanocensus.show.crops import Crop
from nanocensus.show.figures.criteria import ACCEPTED_BAR, REJECTED_BAR, bar_edges, criterion
from nanocensus.show.figures.theme import ACCEPTED_COLOUR, REJECTED_COLOUR
from nanocensus.show.figures.tiles import SMALL_TILE, tiles
from nanocensus.show.gallery.content import CriterionView, GalleryContent, SampleGallery
from nanocensus.show.gallery.gallery import render_gallery

EVIL = "<script>alert(1)</script>"


def bars(figure, label):
    """Edges and heights of a group's bars as drawn."""
    drawn = next(element for element in figure if element.label.startswith(label))
    return [tuple(float(row[i]) for i in (0, 1, 2, 3)) for row in drawn.array()]


@settings(max_examples=40)
@given(
    values=st.lists(st.floats(0.0, 1.0) | st.just(np.nan), min_size=1, max_size=60),
    bound=st.floats(0.05, 0.95),
)
def test_every_particle_stands_on_its_side_of_the_bound(values, bound):
    values = np.array(values)
    rejected = ~(values > bound) & ~np.isnan(values)
    accepted = values > bound
    figure = criterion(values, "solidity", accepted=accepted, rejected=rejected, bound=bound)

    good, bad = bars(figure, "accepted"), bars(figure, "rejected by it")
    assert sum(top for _, _, _, top in good) == accepted.sum()
    assert sum(top for _, _, _, top in bad) == rejected.sum()
    assert all(left >= bound for left, _, _, _ in good)
    at_bound = np.count_nonzero(values == bound)  # rejected, and stands in the first bar to the right
    assert all(right <= bound or at_bound for _, _, right, _ in bad)


@settings(max_examples=60)
@given(
    values=st.lists(st.floats(1e-3, 1e4), max_size=40),
    bound=st.floats(1e-2, 1e3) | st.none(),
    logarithmic=st.booleans(),
)
def test_bars_are_in_order_and_one_edge_is_the_bound(values, bound, logarithmic):
    edges = bar_edges(np.array(values, float), bound, logarithmic=logarithmic)
    assert (np.diff(edges) > 0).all()
    assert bound is None or bound in edges
    assert 2 <= len(edges) <= 45
    if values:
        inside = sum(edges[0] * (1 - 1e-9) - 1e-9 <= value <= edges[-1] * (1 + 1e-9) + 1e-9 for value in values)
        assert inside >= 0.9 * len(values) - 2


def test_values_a_rounding_apart_get_bars_of_some_width():
    edges = bar_edges(np.array([0.9, np.nextafter(0.9, 1.0)]), 0.9, logarithmic=False)
    assert (np.diff(edges) > 0.01).all()
    assert 0.9 in edges


def test_few_rejected_can_be_seen_beside_many_accepted():
    values = np.append(np.linspace(0.95, 0.99, 5000), 0.8)
    figure = criterion(values, "solidity", accepted=values > 0.9, rejected=values < 0.9, bound=0.9)
    options = figure.opts.get("plot", backend="bokeh").kwargs
    assert options["logy"]
    assert bars(figure, "rejected by it")[0][3] == 1 > options["ylim"][0]


def test_as_many_marks_as_values_are_needed():
    with pytest.raises(InputError, match="3, 2 and 3"):
        criterion(np.ones(3), "solidity", accepted=np.ones(2, bool), rejected=np.ones(3, bool))


def square(top, left, side):
    return np.array([[top, left], [top, left + side], [top + side, left + side], [top + side, left]], float)


def a_crop(**changes):
    pixels = np.full((40, 30), 200, np.uint8)
    pixels[12:24, 5:17] = 50
    facts = {
        "pixels": pixels, "place_px": (0, 10), "outline": square(11.5, 14.5, 12.0), "side_px": 40,
        "pixel_size_nm": 0.1, "accepted": True, "label": 7, "micrograph": f"{EVIL}.tif", "value": 0.8765,
    }  # fmt: skip
    return Crop(**(facts | changes))


def test_a_tile_places_picture_outline_and_bar_to_one_scale():
    (tile,) = tiles([a_crop()], nm_per_tile=4.0, assumed=False, quantity="solidity")
    zoom = SMALL_TILE / 40
    assert tile.side == SMALL_TILE
    assert not tile.large
    assert (tile.left, tile.top) == (pytest.approx(10 * zoom, abs=0.01), 0)
    assert (tile.width, tile.height) == (pytest.approx(30 * zoom, abs=0.01), pytest.approx(40 * zoom, abs=0.01))
    corners = [tuple(map(float, point.split(","))) for point in tile.outline.split()]
    assert corners[0] == pytest.approx((15 * zoom, 12 * zoom), abs=0.1)
    assert corners[2] == pytest.approx((27 * zoom, 24 * zoom), abs=0.1)
    assert tile.bar_words == "1 nm"
    assert tile.bar == pytest.approx(SMALL_TILE / 4)
    assert tile.value == "0.8765"
    assert tile.description.startswith(f"particle #7, {EVIL}.tif; solidity 0.8765; accepted")


def test_scale_bars_of_small_and_large_tiles_are_the_same_length_of_the_sample():
    large = a_crop(side_px=83, outline=square(1, 1, 70.0), pixels=np.zeros((83, 83), np.uint8), place_px=(0, 0))
    finer = a_crop(side_px=80, pixel_size_nm=0.05, pixels=np.zeros((80, 80), np.uint8), place_px=(0, 0))
    one, two, three = tiles([a_crop(), large, finer], nm_per_tile=4.0, assumed=True)
    assert (one.bar, one.bar_words) == (two.bar, two.bar_words) == (three.bar, "1 nm (assumed)")
    assert (one.large, two.large, three.side) == (False, True, SMALL_TILE)


@pytest.mark.parametrize(
    ("nm_per_tile", "bar"), [(2.5, 1.0), (24.9, 5.0), (np.nextafter(25.0, 0.0), 10.0), (7.0, 2.0), (0.3, 0.1)]
)
def test_the_scale_bar_is_the_longest_round_length_that_fits(nm_per_tile, bar):
    (tile,) = tiles([a_crop()], nm_per_tile=float(nm_per_tile), assumed=False)
    assert tile.bar_words == f"{bar:g} nm"
    assert tile.bar == pytest.approx(bar * SMALL_TILE / nm_per_tile, abs=0.01)


def test_what_is_too_small_or_too_large_to_be_seen_is_told():
    speck = a_crop(outline=square(20.0, 20.0, 0.1), accepted=False, reasons="too few pixels")
    giant = a_crop(outline=square(-30.0, -30.0, 100.0))
    small, cut = tiles([speck, giant], nm_per_tile=4.0, assumed=False)
    assert small.ring == pytest.approx((20.55 * SMALL_TILE / 40, 20.55 * SMALL_TILE / 40), abs=0.1)
    assert small.description.endswith("rejected: too few pixels")
    assert cut.ring is None
    assert cut.description.endswith("larger than the tile")


def view(shown, **changes):
    values = np.asarray(shown, float)
    rejected = ~(values > 0.9) & ~np.isnan(values)
    facts = {
        "reason": "solidity", "words": "solidity above 0.9", "column": "solidity", "bound": 0.9, "lower": True,
        "values": values, "accepted": ~rejected, "rejected": rejected, "n_alone": int(rejected.sum()),
        "inside": [a_crop()], "outside": [a_crop(accepted=False, reasons="solidity", value=0.89)],
    }  # fmt: skip
    return CriterionView(**(facts | changes))


def content(**changes):
    values = [0.8, 0.95, 0.97, np.nan]
    off = view(
        values, reason="convexity", words="any convexity", column="convexity", bound=None, outside=(),
        rejected=np.zeros(4, bool), n_alone=0,
    )  # fmt: skip
    border = view(
        values, reason="border", words="not on the border", column="touches_border", bound=1.0, values=None,
        rejected=np.array([True, True, False, False]), n_alone=1,
    )  # fmt: skip
    one = SampleGallery(EVIL, 4, 3, 4.0, [border, view(values), off], [a_crop(value=None)])
    empty = [view([], inside=(), outside=(), **facts) for facts in ({}, {"reason": "convexity", "bound": None})]
    none = SampleGallery("nothing found", 0, 0, 1.0, [dataclasses.replace(empty[0], reason="border"), *empty])
    facts = {"title": f"A {EVIL}", "samples": [one, none], "criteria": ["solidity above 0.9"], "source": "Ours."}
    return GalleryContent(**(facts | changes))


@pytest.fixture(scope="module")
def page():
    return render_gallery(content())


def test_no_text_of_a_user_becomes_code_and_nothing_is_fetched(page):
    assert EVIL not in page
    assert page.count("<script>") == 2  # the viewer and what calls it, as the policy allows
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page).group(1)
    assert policy.startswith("default-src &#39;none&#39;")
    for fetched in re.findall(r'(?:src|href)="([^"]+)"', page.split("</main>")[0]):
        assert fetched.startswith(("data:image/jpeg;base64,", "#"))


def test_the_page_says_how_many_each_criterion_rejects(page):
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("<main>")[1]))
    assert "3 of 4 particles accepted, in 2 samples." in re.sub(r"<[^>]+>", "", page)
    assert "Rejected: 2 (50.0 %). By nothing else, so that they would be accepted without it: 1 (25.0 %)." in text
    assert "Rejected: 1 (25.0 %). By nothing else, so that they would be accepted without it: 1 (25.0 %)." in text
    assert "1 particle has none." in text  # a missing value
    assert "Criteria that are off, and what they would look at (1)" in text
    assert "No particle of this sample is accepted." in text
    assert "No particle is rejected by it." in text


def test_equal_contents_give_equal_bytes(page):
    assert render_gallery(content()) == page


def test_an_assumed_scale_is_told_in_the_head_and_on_every_tile():
    page = render_gallery(content(assumed=True))
    assert "The scale is assumed" in page
    assert page.count(" nm (assumed)</text>") == page.split("</main>")[0].count("<svg ") > 0


def test_a_browser_draws_figures_and_tiles_under_the_policy(page, browse):
    dom, complaints, picture = browse(page)
    assert 'data-figures-drawn="5 of 5"' in dom
    assert complaints == []
    for colour in (ACCEPTED_COLOUR, REJECTED_COLOUR, ACCEPTED_BAR, REJECTED_BAR):
        rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], np.int16)
        assert (np.abs(picture.astype(np.int16) - rgb).max(axis=-1) < 12).sum() > 40
    grey = np.abs(picture.astype(np.int16) - 255).max(axis=-1)
    assert (
        grey == 255
    ).sum() > 1000  # the dark particle of the embedded pictures: a refused picture would not be there
