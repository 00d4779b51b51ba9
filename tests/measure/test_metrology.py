"""A seeded slice of the metrology study: what the estimators are held to, and the page that tells of it."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]


def load_study():
    spec = importlib.util.spec_from_file_location("metrology_study", ROOT / "benchmarks/metrology/study.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


study = load_study()


def cells(shape, size_px, blur_px, noise=0.0, poses=6):
    found = pd.DataFrame(study.errors(shape, size_px, blur_px, noise, poses, seed=7))
    return found.set_index(["estimator", "descriptor"])


@pytest.mark.parametrize(("size", "bar"), [(25.0, 0.01), (50.0, 0.003), (93.0, 0.001), (128.0, 0.001)])
def test_the_outline_of_a_disc_meets_its_bars_on_a_soft_map(size, bar):
    found = cells("disc", size, 1.0).loc["outline"]
    # The contour of a blurred disc is smaller by (sigma^2 + 1/12) / R^2; chords of about a pixel cut off a little more.
    shrinkage = (1 + 1 / 12) * math.pi / size**2
    assert abs(found.loc["circularity", "bias"]) < 0.002
    assert -bar < found.loc["area_nm2", "bias"] < -shrinkage
    assert abs(found.loc[study.BLURRED_AREA, "bias"]) < 0.002
    assert abs(found.loc["solidity", "bias"]) < 0.001
    assert found["sd"].drop("eccentricity").max() < 0.001


@pytest.mark.parametrize("blur", study.BLURS_PX)
@pytest.mark.parametrize("noise", study.NOISES)
def test_the_area_of_a_disc_is_that_of_its_blurred_contour_whatever_the_map(blur, noise):
    found = cells("disc", 50.0, blur, noise).loc["outline"]
    assert abs(found.loc[study.BLURRED_AREA, "bias"]) < 0.002
    assert abs(found.loc["circularity", "bias"]) < 0.008


@pytest.mark.parametrize("shape", ["ellipse 1.4", "truncated square", "superellipse 4", "lobed 0.1"])
def test_outlines_of_other_shapes_are_nearer_the_truth_than_pixels(shape):
    found = cells(shape, 93.0, 1.0)
    for descriptor, bound in (("circularity", 0.008), ("solidity", 0.002), ("perimeter_nm", 0.005)):
        ours, pixels = found.loc[("outline", descriptor)], found.loc[("paper", descriptor)]
        assert abs(ours["bias"]) < bound
        assert abs(pixels["bias"]) > 4 * abs(ours["bias"])
        assert pixels["sd"] > 4 * ours["sd"]
    assert abs(found.loc[("outline", "feret_max_nm"), "bias"]) < 0.01
    assert abs(found.loc[("outline", "aspect_ratio"), "bias"]) < 0.01


def test_an_ellipse_has_its_eccentricity_by_every_estimator():
    found = cells("ellipse 1.4", 50.0, 1.0).xs("eccentricity", level="descriptor")
    assert found["truth"].iloc[0] == pytest.approx(math.sqrt(1 - 1 / 1.4**2), abs=1e-4)
    assert found["bias"].abs().max() < 0.005


def test_a_disc_seems_to_lose_roundness_with_size_by_pixels_alone():
    small, large = cells("disc", 50.0, 1.0), cells("disc", 99.0, 1.0)
    change = (large["bias"] - small["bias"]).xs("circularity", level="descriptor")
    assert change["paper"] < -0.008
    assert abs(change["outline"]) < 0.0005


def test_the_page_shows_the_tables_of_the_study():
    text = (ROOT / "docs/explanation/metrology.md").read_text(encoding="utf-8")
    shown = text.split(study.BEGIN)[1].split(study.END)[0]
    report = (study.RESULTS / "metrology.md").read_text(encoding="utf-8")
    assert shown.strip() in report, "run benchmarks/metrology/study.py, it writes both"
    assert study.sections(*study.committed()).strip() == shown.strip()


def test_the_committed_study_is_what_the_slice_finds_again():
    rows, _ = study.committed()
    rows = rows[(rows["shape"] == "square") & (rows["edge_length_px"] == 50)]
    committed = rows[(rows["blur_px"] == 1) & (rows["noise"] == 0)].set_index(["estimator", "descriptor"])
    again = cells("square", 50.0, 1.0, poses=8)
    error = np.sqrt(again["sd"] ** 2 / 8 + committed["sd"] ** 2 / committed["poses"]) + 1e-5
    assert ((again["bias"] - committed["bias"]).abs() / error).max() < 5
