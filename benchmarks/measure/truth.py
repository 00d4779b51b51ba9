"""What each tool reads off discs and squares whose area, perimeter and hull are known."""

import math

import numpy as np
from candidate import installed
from features import (
    OUR_OUTLINES,
    cp_measure_features,
    diplib_features,
    nyxus_features,
    opencv_polygons,
    our_pixels,
    our_table,
    simpleitk_features,
    skimage_features,
)
from scenes import Scene, planted

from nanocensus.simulate.maps import render_map
from nanocensus.simulate.shapes import disc, square

SHAPES = {"disc": disc, "square": square}
SIZES_PX = (25.0, 50.0, 93.0)
POSES = 81
SHARP, SOFT = 0.0, 1.0
"""Blur, px. Tools that take a mask get the best there is: pixels of which the outline covers more than half. The
sub-pixel outline gets a map as a network gives it."""

READERS = (
    (f"{OUR_OUTLINES}, map", "nanocensus", our_table("outline"), SOFT, "perimeter"),
    (f"{OUR_OUTLINES}, mask alone", "nanocensus", our_table("outline", "labels"), SHARP, "perimeter"),
    ("nanocensus, crofton set", "nanocensus", our_pixels("crofton"), SHARP, "perimeter_crofton"),
    ("nanocensus, paper set", "nanocensus", our_pixels("paper"), SHARP, "perimeter"),
    ("scikit-image, perimeter_crofton", "scikit-image", skimage_features, SHARP, "perimeter_crofton"),
    ("scikit-image, perimeter", "scikit-image", skimage_features, SHARP, "perimeter"),
    ("cp_measure", "cp_measure", cp_measure_features, SHARP, "perimeter"),
    ("OpenCV polygons", "opencv-python-headless", opencv_polygons, SHARP, "perimeter"),
    ("SimpleITK", "SimpleITK", simpleitk_features, SHARP, "perimeter"),
    ("DIPlib", "diplib", diplib_features, SHARP, "perimeter"),
    ("nyxus", "nyxus", nyxus_features, SHARP, "perimeter"),
)
QUANTITIES = ("area", "perimeter", "circularity", "solidity")
RELATIVE = ("area", "perimeter")


def known(shape, size_px):
    """Give the truth; an outline's own, in px."""
    outline = SHAPES[shape]().scaled(size_px)
    return {name: getattr(outline, name) for name in QUANTITIES}


def scene(shape, size_px, blur_px):
    """Draw one shape of one size, at random sub-pixel poses."""
    side = math.isqrt(POSES) * math.ceil(2 * SHAPES[shape]().scaled(size_px).reach + 16)
    families = (lambda _: SHAPES[shape](),)
    particles = planted(side, POSES, size_px, seed=round(size_px), families=families, log_sd=0.0)
    return Scene(shape, render_map(particles, (side, side), blur_px=blur_px))


def read_off(start, drawn, perimeter):
    """Give what a tool reads: circularity by its own area and perimeter; a solidity only where it has one."""
    call, read = start(drawn)
    columns = read(call()).columns
    area = np.asarray(columns["area"] if "area" in columns else columns["polygon area"], float)
    if area.size != POSES:
        raise SystemExit(f"{area.size} particles for {POSES}: the truth cannot be compared.")
    values = {"area": area, "perimeter": columns[perimeter]}
    values["circularity"] = 4 * math.pi * area / values["perimeter"] ** 2
    return values | ({"solidity": columns["solidity"]} if "solidity" in columns else {})


def truth_rows():
    """Give bias and standard deviation: of area and perimeter relative to the truth, of the ratios as they are."""
    rows = []
    for shape in SHAPES:
        for size_px in SIZES_PX:
            drawn = {blur: scene(shape, size_px, blur) for blur in (SHARP, SOFT)}
            truth = known(shape, size_px)
            for name, package, start, blur_px, perimeter in READERS:
                if installed(package) is None:
                    continue
                for quantity, values in read_off(start, drawn[blur_px], perimeter).items():
                    error = (values - truth[quantity]) / (truth[quantity] if quantity in RELATIVE else 1.0)
                    rows.append(
                        {
                            "reader": name,
                            "shape": shape,
                            "edge_length_px": size_px,
                            "blur_px": blur_px,
                            "quantity": quantity,
                            "truth": truth[quantity],
                            "bias": float(error.mean()),
                            "sd": float(error.std(ddof=1)),
                            "poses": POSES,
                        }
                    )
    return rows
