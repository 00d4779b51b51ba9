"""From a mask, or the map it comes from, to the features of every particle."""

import numpy as np
from candidate import Candidate, Found

from nanocensus.measure.descriptors import measure
from nanocensus.measure.regions._cpu import outline_level, trace_outlines
from nanocensus.measure.regions._pixels import pixel_regions
from nanocensus.measure.regions._runs import extents, runs_of_map, runs_of_mask

LEVEL = outline_level(0.5)


def our_pixels(estimator):
    """From the mask to every pixel property, as runs: no label image is made and no table."""

    def start(scene):
        def call():
            runs = runs_of_mask(scene.mask)
            return extents(runs, None), pixel_regions(runs, estimator)

        return call, read

    def read(result):
        of, regions = result
        perimeter = "perimeter" if estimator == "paper" else "perimeter_crofton"
        return Found(
            columns={
                "area": of.pixel_count,
                **{f"bbox-{side}": of.box[:, side] for side in range(4)},
                "centroid-0": regions.centroid_y,
                "centroid-1": regions.centroid_x,
                "eccentricity": regions.eccentricity,
                "area_convex": regions.hull_area,
                "solidity": regions.area / regions.hull_area,
                perimeter: regions.perimeter,
            }
        )

    return start


def our_outlines(scene):
    """From the map to everything that is measured on outlines, r(theta) included: no label image is made and no table."""

    def call():
        runs = runs_of_map(scene.probability, LEVEL)
        of = extents(runs, scene.probability)
        return trace_outlines(None, scene.probability, LEVEL, of, components=runs)

    def read(result):
        regions, _ = result
        solidity = regions.area / regions.hull_area
        return Found(columns={"area": regions.area, "perimeter": regions.perimeter, "solidity": solidity})

    return call, read


def our_table(estimator, given="probability"):
    """From the map, or from labels alone, to the Arrow table with every column, and the label image."""

    def start(scene):
        image = {given: getattr(scene, given)}
        return lambda: measure(**image, pixel_size_nm=1.0, estimator=estimator), read

    def read(result):
        table, labels, _ = result
        columns = {"area": "area_nm2", "perimeter": "perimeter_nm", "solidity": "solidity"}
        return Found(labels, {name: table[of].to_numpy() for name, of in columns.items()})

    return start


def opencv_polygons(scene):
    import cv2

    image = scene.mask.view(np.uint8)

    def call():
        contours, _ = cv2.findContours(image, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        rows = []
        for contour in contours:
            hull = cv2.convexHull(contour)
            rows.append(
                (
                    cv2.contourArea(contour),
                    cv2.arcLength(contour, True),
                    cv2.contourArea(hull),
                    cv2.arcLength(hull, True),
                    cv2.boundingRect(contour),
                    cv2.moments(contour),
                )
            )
        return rows

    def read(rows):
        area, perimeter, hull_area = np.array([row[:3] for row in rows]).T
        with np.errstate(invalid="ignore"):
            return Found(columns={"polygon area": area, "perimeter": perimeter, "solidity": area / hull_area})

    return call, read


def simpleitk_features(scene):
    import SimpleITK

    image = SimpleITK.GetImageFromArray(scene.mask.view(np.uint8))

    def call():
        labels = SimpleITK.ConnectedComponent(image, True)
        statistics = SimpleITK.LabelShapeStatisticsImageFilter()
        statistics.ComputePerimeterOn()
        statistics.Execute(labels)
        return labels, statistics

    def read(result):
        labels, statistics = result
        area = [statistics.GetNumberOfPixels(value) for value in statistics.GetLabels()]
        perimeter = [statistics.GetPerimeter(value) for value in statistics.GetLabels()]
        columns = {"area": np.array(area), "perimeter": np.array(perimeter)}
        return Found(SimpleITK.GetArrayFromImage(labels), columns)

    return call, read


DIPLIB = (
    "Size", "Minimum", "Maximum", "Center", "Perimeter", "ConvexArea", "ConvexPerimeter", "Solidity", "Eccentricity",
)  # fmt: skip


def diplib_features(scene):
    import diplib

    image = diplib.Image(scene.mask)

    def call():
        labels = diplib.Label(image, connectivity=2)
        return labels, diplib.MeasurementTool.Measure(labels, None, list(DIPLIB))

    def read(result):
        labels, measured = result
        columns = {"area": "Size", "perimeter": "Perimeter", "solidity": "Solidity"}
        return Found(np.array(labels), {name: np.array(measured[of]).ravel() for name, of in columns.items()})

    return call, read


NYXUS = (
    "AREA_PIXELS_COUNT", "CENTROID_X", "CENTROID_Y", "BBOX_XMIN", "BBOX_YMIN", "BBOX_HEIGHT", "BBOX_WIDTH",
    "ECCENTRICITY", "SOLIDITY", "PERIMETER", "CONVEX_HULL_AREA", "CIRCULARITY",
)  # fmt: skip


def nyxus_features(scene):
    import nyxus

    extractor = nyxus.Nyxus(list(NYXUS), n_feature_calc_threads=1)
    labels, intensity = scene.labels.astype(np.uint32), scene.mask.astype(np.uint32)

    def read(frame):
        columns = {"area": "AREA_PIXELS_COUNT", "perimeter": "PERIMETER", "solidity": "SOLIDITY"}
        frame = frame.sort_values("ROI_label")
        return Found(columns={name: frame[of].to_numpy() for name, of in columns.items()})

    return lambda: extractor.featurize(intensity, labels), read


def cp_measure_features(scene):
    from cp_measure.core.measureobjectsizeshape import get_sizeshape

    def read(found):
        columns = {"area": "Area", "perimeter": "Perimeter", "solidity": "Solidity"}
        return Found(columns={name: np.asarray(found[of]) for name, of in columns.items()})

    return lambda: get_sizeshape(scene.labels, None, calculate_advanced=False), read


def cc3d_features(scene):
    import cc3d

    def call():
        labels, n = cc3d.connected_components(scene.mask, connectivity=8, return_N=True)
        return labels, cc3d.statistics(labels, no_slice_conversion=True), n

    def read(result):
        labels, statistics, n = result
        return Found(labels, {"area": statistics["voxel_counts"][1 : n + 1]})

    return call, read


SKIMAGE = (
    "label", "area", "bbox", "centroid", "eccentricity", "solidity", "perimeter", "perimeter_crofton", "area_convex",
)  # fmt: skip


def skimage_features(scene):
    from skimage.measure import label, regionprops_table

    def call():
        labels = label(scene.mask)
        return labels, regionprops_table(labels, properties=SKIMAGE)

    return call, lambda result: Found(result[0], result[1])


OURS = "nanocensus, paper set"
OUR_OUTLINES = "nanocensus, outline table"
OUR_OUTLINE_SET = "nanocensus, outline set"
REFERENCE = "scikit-image label + regionprops_table"
PIXEL_COLUMNS = (
    "area", "bbox-0", "bbox-1", "bbox-2", "bbox-3", "centroid-0", "centroid-1", "eccentricity", "area_convex", "solidity",
)  # fmt: skip
_PIXELS = "area, holes, box, centroid, axes, hull area and perimeter, Feret, perimeter"

FEATURES = (
    Candidate(
        OURS,
        "nanocensus",
        our_pixels("paper"),
        f"mask to {_PIXELS} (4 neighbours); no label image",
        (*PIXEL_COLUMNS, "perimeter"),
    ),
    Candidate(
        "nanocensus, crofton set",
        "nanocensus",
        our_pixels("crofton"),
        f"mask to {_PIXELS} (Crofton); no label image",
        (*PIXEL_COLUMNS, "perimeter_crofton"),
    ),
    Candidate(
        "nanocensus, paper table",
        "nanocensus",
        our_table("paper"),
        "map to Arrow table of all columns, and label image",
        ("area", "perimeter", "solidity"),
    ),
    Candidate(
        OUR_OUTLINES,
        "nanocensus",
        our_table("outline"),
        "map to Arrow table of all columns by the sub-pixel contour, and label image",
    ),
    Candidate(
        OUR_OUTLINE_SET,
        "nanocensus",
        our_outlines,
        "map to the same on outlines, hull, Feret, psi, concavity, edge width, gaps, r(theta); no label image, no table",
    ),
    Candidate(
        "OpenCV polygons",
        "opencv-python-headless",
        opencv_polygons,
        "mask to findContours (outer), area, arc length, hull's area and length, box, moments",
    ),
    Candidate(
        "cc3d + statistics",
        "connected-components-3d",
        cc3d_features,
        "mask to labels, area, box, centroid; no shape",
        ("area",),
    ),
    Candidate(
        "SimpleITK + LabelShapeStatistics",
        "SimpleITK",
        simpleitk_features,
        "mask to labels, area, box, centroid, moments, axes, perimeter; it has no hull, its Feret is left off",
        ("area",),
    ),
    Candidate(
        "DIPlib Label + Measure",
        "diplib",
        diplib_features,
        "mask to labels, area, box, centroid, eccentricity, perimeter, hull area and perimeter, solidity",
        ("area",),
    ),
    Candidate(
        "nyxus, in memory",
        "nyxus",
        nyxus_features,
        "labels, given, to area, box, centroid, eccentricity, perimeter, hull area, solidity, circularity",
        ("area",),
    ),
    Candidate(
        "cp_measure get_sizeshape",
        "cp_measure",
        cp_measure_features,
        "labels, given, to its standard set (scikit-image's and distances), without the advanced moments",
        ("area", "perimeter", "solidity"),
    ),
    Candidate(REFERENCE, "scikit-image", skimage_features, f"the reference: mask to {', '.join(SKIMAGE)}"),
)
