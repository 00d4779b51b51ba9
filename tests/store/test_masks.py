import dataclasses
import importlib.util
import logging
import math
import shutil
import struct
import zipfile
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import nanocensus as nc
from nanocensus.errors import ImageError
from nanocensus.sections import parse_section
from nanocensus.segment.training.data import read_training_images
from nanocensus.segment.training.spec import TrainingSpec
from nanocensus.simulate.coverage import render_area_fraction
from nanocensus.simulate.shapes import disc, superellipse
from nanocensus.store.images.ingest import STORE_FOLDER, ingest
from nanocensus.store.images.micrographs import read_labels
from nanocensus.store.images.stamps import stamp
from nanocensus.store.masks.coverage import polygon_coverage
from nanocensus.store.masks.masks import in_raster_order, read_truth, truth_beside
from nanocensus.store.studies.source import Source
from nanocensus.store.studies.sources import find_sources

SHAPE = (60, 70)
PLANTED = [((12.3, 15.8), 9.0, 0.3), ((30.1, 50.2), 14.0, 1.1), ((57.5, 8.2), 7.5, 0.0)]
"""Centre (pixel centres at whole numbers), edge length and angle of three particles; the border cuts the last."""

roifile = importlib.import_module("roifile") if importlib.util.find_spec("roifile") else None
needs_roifile = pytest.mark.skipif(roifile is None, reason="the package roifile is not installed")


def outline(edge):
    return superellipse(exponent=3.0).scaled(edge)


def planted_labels():
    """The reference: the renderer's own area fractions."""
    labels = np.zeros(SHAPE, np.int32)
    for number, (centre, edge, angle) in enumerate(PLANTED, start=1):
        fraction, (top, left) = render_area_fraction(outline(edge), SHAPE, centre, angle)
        labels[top : top + fraction.shape[0], left : left + fraction.shape[1]][fraction > 0.5] = number
    return labels


def corners_xy(centre, edge, angle):
    """Vertices as ImageJ counts: (x, y), pixel corners at whole numbers."""
    return (outline(edge).placed(centre, angle) + 0.5)[:, ::-1]


def save_zip(path, rois):
    with zipfile.ZipFile(path, "w") as archive:
        for i, roi in enumerate(rois):
            archive.writestr(f"{i:04d}.roi", roi.tobytes() if hasattr(roi, "tobytes") else roi)
    return path


def roi_of(kind, *, top=0, left=0, bottom=0, right=0, **more):
    roi = roifile.ImagejRoi()
    roi.roitype = kind
    roi.top, roi.left, roi.bottom, roi.right = top, left, bottom, right
    for name, value in more.items():
        setattr(roi, name, value)
    return roi


def covered(path, vertices_yx):
    """Whether the mask is what covers more than half, by counting 8 x 8 points a pixel."""
    fine = 8
    y, x = ((np.arange(side * fine) + 0.5) / fine for side in SHAPE)
    from skimage.measure import points_in_poly

    grid = np.stack(np.meshgrid(y, x, indexing="ij"), -1).reshape(-1, 2)
    inside = points_in_poly(grid, vertices_yx).reshape(SHAPE[0], fine, SHAPE[1], fine).mean(axis=(1, 3))
    found = read_truth(path, SHAPE) > 0
    clear = abs(inside - 0.5) > 0.13
    return bool((found == (inside > 0.5))[clear].all()) and found.any()


@settings(max_examples=15)
@given(st.integers(3, 9), st.integers(0, 2**32 - 1))
def test_coverage_is_the_share_of_points_inside(corners, seed):
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * math.pi, corners))
    if np.diff(angles, append=angles[0] + 2 * math.pi).max() > math.pi:
        return  # does not go round its centre
    radii = rng.uniform(1, 5, corners)
    vertices = np.array([4.0, 5.0]) + radii[:, None] * np.stack([np.sin(angles), np.cos(angles)], 1)
    fraction, (top, left) = polygon_coverage(vertices, (8, 11))
    from skimage.measure import points_in_poly

    points = (np.indices((160, 220)).reshape(2, -1).T + 0.5) / 20
    sampled = points_in_poly(points, vertices).reshape(8, 20, 11, 20).mean(axis=(1, 3))
    whole = np.zeros((8, 11))
    whole[top : top + fraction.shape[0], left : left + fraction.shape[1]] = fraction
    assert abs(whole - sampled).max() < 0.1  # a 20 x 20 grid misses each of two borders by up to 1/20


@needs_roifile
def test_sub_pixel_freehand_selections_give_the_planted_labels(tmp_path):
    rois = [roifile.ImagejRoi.frompoints(corners_xy(*particle).astype(np.float32)) for particle in PLANTED]
    path = save_zip(tmp_path / "RoiSet.zip", reversed(rois))
    np.testing.assert_array_equal(read_truth(path, SHAPE), in_raster_order(planted_labels()))
    (tmp_path / "one.roi").write_bytes(rois[1].tobytes())
    np.testing.assert_array_equal(read_truth(tmp_path / "one.roi", SHAPE) > 0, planted_labels() == 2)


@needs_roifile
@pytest.mark.parametrize("kind", [0, 7, 8], ids=["polygon", "freehand", "traced"])
def test_whole_coordinates_are_corners_of_pixels(tmp_path, kind):
    roi = roifile.ImagejRoi.frompoints(np.array([[10, 5], [20, 5], [20, 9], [10, 9]]))
    roi.roitype = roifile.ROI_TYPE(kind)
    (tmp_path / "a.roi").write_bytes(roi.tobytes())
    expected = np.zeros(SHAPE, np.int32)
    expected[5:9, 10:20] = 1
    np.testing.assert_array_equal(read_truth(tmp_path / "a.roi", SHAPE), expected)


@needs_roifile
def test_rectangles_and_ovals_are_what_their_boxes_say(tmp_path):
    box = {"top": 5, "left": 10, "bottom": 25, "right": 40}
    angles = np.linspace(0, 2 * math.pi, 400, endpoint=False)
    oval = np.array([15.0, 25.0]) + np.stack([10 * np.sin(angles), 15 * np.cos(angles)], 1)
    square = np.array([[5.0, 10.0], [5.0, 40.0], [25.0, 40.0], [25.0, 10.0]])
    cases = [
        (roi_of(roifile.ROI_TYPE.RECT, **box), square),
        (roi_of(roifile.ROI_TYPE.OVAL, **box), oval),
        (roi_of(roifile.ROI_TYPE.RECT, **box, rounded_rect_arc_size=100), oval),
        (
            roi_of(
                roifile.ROI_TYPE.RECT, **box, version=229, options=roifile.ROI_OPTIONS.SUB_PIXEL_RESOLUTION,
                xd=10.7, yd=5.2, widthd=20.0, heightd=11.0,
            ),
            np.array([[5.2, 10.7], [5.2, 30.7], [16.2, 30.7], [16.2, 10.7]]),
        ),
    ]  # fmt: skip
    for i, (roi, vertices) in enumerate(cases):
        path = tmp_path / f"{i}.roi"
        path.write_bytes(roi.tobytes())
        assert covered(path, vertices), i


@needs_roifile
def test_ellipses_and_turned_rectangles_follow_their_axis(tmp_path):
    """Both are freehand selections whose header says more: the axis, and the aspect ratio or the width."""
    first, second = np.array([20.0, 15.0]), np.array([40.0, 45.0])  # (y, x)
    along = (second - first) / 2
    across = along[::-1] * np.array([1.0, -1.0])
    angles = np.linspace(0, 2 * math.pi, 400, endpoint=False)[:, None]
    width = 0.5 * across / math.hypot(*across) * 14
    expected = {
        3: (0.4, (first + second) / 2 + np.cos(angles) * along + np.sin(angles) * 0.4 * across),
        5: (14.0, np.stack([first + width, second + width, second - width, first - width])),
    }
    for subtype, (number, vertices) in expected.items():
        content = bytearray(roifile.ImagejRoi.frompoints(np.array([[15, 20], [45, 40], [30, 30]])).tobytes())
        content[18:34] = struct.pack(">ffff", first[1], first[0], second[1], second[0])
        content[48:50] = struct.pack(">h", subtype)
        content[52:56] = struct.pack(">f", number)
        path = tmp_path / f"{subtype}.roi"
        path.write_bytes(bytes(content))
        assert covered(path, vertices), subtype


@needs_roifile
def test_a_composite_selection_has_holes_and_several_pieces(tmp_path):
    words = []
    for top, left, bottom, right in ((5, 5, 25, 25), (10, 10, 20, 20), (13, 13, 17, 17), (40, 50, 50, 60)):
        words += [0, left, top, 1, right, top, 1, right, bottom, 1, left, bottom, 4]
    words += [0, 30, 40, 3, 30, 34.477, 34.477, 30, 40, 30, 2, 40, 40, 30, 40, 4]  # a curve of each kind
    roi = roi_of(roifile.ROI_TYPE.RECT, top=5, left=5, bottom=50, right=60, shape_roi_size=len(words))
    roi.multi_coordinates = np.array(words, np.float32)
    (tmp_path / "a.roi").write_bytes(roi.tobytes())
    found = read_truth(tmp_path / "a.roi", SHAPE)
    expected = np.zeros(SHAPE, np.int32)
    expected[5:25, 5:25], expected[10:20, 10:20], expected[13:17, 13:17], expected[40:50, 50:60] = 1, 0, 1, 1
    curved = np.zeros(SHAPE, bool)
    curved[30:40, 30:40] = True
    np.testing.assert_array_equal(found[~curved], expected[~curved])
    # A quarter of a circle about (40, 40), less what a parabola with its control point there leaves to that corner.
    assert abs(found[curved].sum() - 100 * (math.pi / 4 - 1 / 2 + 1 / 3)) < 3


@needs_roifile
def test_of_overlapping_selections_the_later_has_the_pixels(tmp_path):
    rois = [roi_of(roifile.ROI_TYPE.RECT, top=10, left=x, bottom=20, right=x + 10) for x in (10, 15)]
    found = read_truth(save_zip(tmp_path / "a.zip", rois), SHAPE)
    assert (found == 1).sum() == 50
    assert (found == 2).sum() == 100


@needs_roifile
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: roi_of(roifile.ROI_TYPE.LINE, x1=1.0, y1=1.0, x2=9.0, y2=9.0).tobytes(), "a straight line"),
        (lambda: roi_of(roifile.ROI_TYPE.RECT, top=70, left=0, bottom=80, right=9).tobytes(), "lies outside"),
        (lambda: roi_of(roifile.ROI_TYPE.RECT, top=0, left=0, bottom=400, right=9).tobytes(), "larger than it"),
        (lambda: roifile.ImagejRoi.frompoints(np.array([[1, 2], [2, 3], [4, 1]])).tobytes()[:60], "too short"),
        (lambda: b"not a selection" * 10, "not an ImageJ ROI"),
        (lambda: roifile.ImagejRoi.frompoints(np.array([[1, 2], [3, 4]])).tobytes(), "fewer than three points"),
    ],
)  # fmt: skip
def test_what_is_no_area_on_the_micrograph_is_refused_by_name(tmp_path, content, words):
    path = save_zip(tmp_path / "set.zip", [content()])
    with pytest.raises(ImageError, match=words) as refusal:
        read_truth(path, SHAPE)
    assert "set.zip, 0000.roi" in str(refusal.value)


@needs_roifile
def test_selections_of_a_stack_or_of_nothing_are_refused(tmp_path):
    rois = [roi_of(roifile.ROI_TYPE.RECT, top=1, left=1, bottom=5, right=5, position=i) for i in (1, 2)]
    with pytest.raises(ImageError, match="2 slices"):
        read_truth(save_zip(tmp_path / "a.zip", rois), SHAPE)
    with pytest.raises(ImageError, match=r"expected the \.roi files"):
        read_truth(save_zip(tmp_path / "b.zip", []), SHAPE)
    (tmp_path / "c.zip").write_bytes(b"PK nothing")
    with pytest.raises(ImageError, match=r"readable \.zip"):
        read_truth(tmp_path / "c.zip", SHAPE)


def shapes_csv(path, shapes, leading=()):
    """Write shapes as napari does: a row a vertex, pixel centres at whole numbers."""
    axes = len(leading) + 2
    lines = ["index,shape-type,vertex-index," + ",".join(f"axis-{i}" for i in range(axes))]
    for index, (kind, vertices) in enumerate(shapes):
        for i, vertex in enumerate(vertices):
            lines.append(f"{float(index)},{kind},{float(i)}," + ",".join(map(str, [*leading, *map(float, vertex)])))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_shapes_of_napari_give_the_planted_labels(tmp_path):
    shapes = [("polygon", outline(edge).placed(centre, angle)) for centre, edge, angle in PLANTED]
    expected = in_raster_order(planted_labels())
    np.testing.assert_array_equal(read_truth(shapes_csv(tmp_path / "a.csv", shapes), SHAPE), expected)
    np.testing.assert_array_equal(read_truth(shapes_csv(tmp_path / "b.csv", shapes, (0, 3)), SHAPE), expected)


def test_an_ellipse_of_napari_fills_its_box(tmp_path):
    box = np.array([[10.0, 20.0], [10.0, 44.0], [34.0, 44.0], [34.0, 20.0]])
    found = read_truth(shapes_csv(tmp_path / "a.csv", [("ellipse", box)]), SHAPE)
    fraction, (top, left) = render_area_fraction(disc().scaled(12 * math.sqrt(math.pi)), SHAPE, (22.0, 32.0), 0.0)
    expected = np.zeros(SHAPE, bool)
    expected[top : top + fraction.shape[0], left : left + fraction.shape[1]] = fraction > 0.5
    np.testing.assert_array_equal(found > 0, expected)


def test_a_line_or_another_table_is_no_shapes_of_napari(tmp_path):
    with pytest.raises(ImageError, match="a path"):
        read_truth(shapes_csv(tmp_path / "a.csv", [("path", np.ones((4, 2)))]), SHAPE)
    (tmp_path / "b.csv").write_text("image,field\na.png,1\n")
    with pytest.raises(ImageError, match="image, field"):
        read_truth(tmp_path / "b.csv", SHAPE)


def ngff_labels(path, labels, *, version, names=("particles",), leading=()):
    """Write an image with labels as OME-NGFF of a version says, a coarser level beside the full one."""
    new = version == "0.5"
    image = zarr.create_group(path, zarr_format=3 if new else 2)

    def state(group, facts):
        group.attrs.update({"ome": {"version": version, **facts}} if new else facts)

    data = labels.reshape(*leading, *labels.shape)
    root = image.create_group("labels")
    state(root, {"labels": list(names)})
    for name in names:
        group = root.create_group(name)
        levels = [{"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": [2.0**i] * data.ndim}]}
                  for i in range(2)]  # fmt: skip
        axes = [{"name": axis} for axis in "tczyx"[-data.ndim :]]
        state(
            group, {"multiscales": [{"axes": axes, "datasets": levels}], "image-label": {"source": {"image": "../../"}}}
        )
        group.create_array("0", data=data)
        group.create_array("1", data=data[..., ::2, ::2])
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("inside", ["", "labels", "labels/particles", "labels/particles/0"])
def test_labels_of_ngff_are_read_from_the_image_or_from_themselves(tmp_path, version, inside):
    labels = planted_labels() * 100
    path = ngff_labels(tmp_path / "a.zarr", labels, version=version, leading=(1, 1) if version == "0.4" else ())
    np.testing.assert_array_equal(read_truth(path / inside, SHAPE), in_raster_order(planted_labels()))


def test_an_array_in_zarr_and_a_tiff_or_npy_layer_of_napari_are_labels(tmp_path):
    labels = planted_labels().astype(np.uint16)
    zarr.create_array(tmp_path / "a.zarr", data=labels)
    tifffile.imwrite(tmp_path / "a.tif", labels)
    np.save(tmp_path / "a.npy", labels.astype(np.int64))
    for name in ("a.zarr", "a.tif", "a.npy"):
        np.testing.assert_array_equal(read_truth(tmp_path / name, SHAPE), in_raster_order(labels.astype(np.int64)))


def test_labels_in_zarr_that_are_none_or_several_are_refused_with_the_way_out(tmp_path):
    two = ngff_labels(tmp_path / "two.zarr", planted_labels(), version="0.5", names=("first", "second"))
    with pytest.raises(ImageError, match=r"two\.zarr/labels/first"):
        read_truth(two, SHAPE)
    read_truth(two / "labels/second", SHAPE)
    zarr.create_group(tmp_path / "empty.zarr")
    with pytest.raises(ImageError, match="image-label"):
        read_truth(tmp_path / "empty.zarr", SHAPE)
    (tmp_path / "folder.zarr").mkdir()
    with pytest.raises(ImageError, match="Zarr array or group"):
        read_truth(tmp_path / "folder.zarr", SHAPE)
    stack = ngff_labels(tmp_path / "stack.zarr", np.stack([planted_labels()] * 2), version="0.5")
    with pytest.raises(ImageError, match="2, 60, 70"):
        read_truth(stack, SHAPE)
    (two / "labels/first/0/c/0/0").write_bytes(b"damaged")
    with pytest.raises(ImageError, match="chunks"):
        read_truth(two / "labels/first", SHAPE)


def test_a_mask_that_is_not_there_or_of_no_known_kind_is_refused(tmp_path):
    for name in ("a.roi", "a.zarr", "a.png"):
        with pytest.raises(ImageError, match="nothing there"):
            read_truth(tmp_path / name, SHAPE)
    (tmp_path / "a.xcf").write_bytes(b"gimp")
    with pytest.raises(ImageError, match=r"suffix '\.xcf'"):
        read_truth(tmp_path / "a.xcf", SHAPE)


@pytest.mark.parametrize("compression", [None, "packbits", "zlib"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16])
def test_particles_of_a_mask_in_tiff_are_what_is_shown_white(tmp_path, dtype, photometric, compression):
    particle = planted_labels() > 0
    highest = 1 if dtype is bool else np.iinfo(dtype).max
    stored = (particle != (photometric == "miniswhite")) * highest
    options = {"photometric": photometric, "compression": compression, "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", stored.astype(dtype), **options)
    np.testing.assert_array_equal(read_truth(tmp_path / "a.tif", SHAPE) > 0, particle)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("values", [planted_labels() > 0, planted_labels()])
def test_particles_of_a_mask_that_imagej_saved_are_its_values_whichever_are_shown_white(tmp_path, values, photometric):
    stored = values.astype(np.uint8) * (255 // max(values.max(), 1))
    options = {"photometric": photometric, "description": "ImageJ=1.54f\n", "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", stored, **options)
    np.testing.assert_array_equal(read_truth(tmp_path / "a.tif", SHAPE) > 0, values > 0)


def test_a_mask_that_marks_most_of_its_micrograph_is_doubted(tmp_path, caplog):
    particle = planted_labels() > 0
    (tmp_path / "raw").mkdir()
    for name, mask in (("right", particle), ("inverted", ~particle)):
        tifffile.imwrite(
            tmp_path / "raw" / f"{name}.tif", np.random.default_rng(len(name)).integers(0, 999, SHAPE, np.uint16)
        )
        imageio.imwrite(tmp_path / f"{name}.png", mask.astype(np.uint8) * 255)
    assert (~particle).mean() > 0.6
    sources = [
        dataclasses.replace(source, mask=tmp_path / f"{Path(source.name).stem}.png")
        for source in find_sources(tmp_path / "raw", pixel_size_nm=0.1)
    ]
    with caplog.at_level(logging.WARNING):
        ingest(sources, tmp_path / "out")
    (record,) = [record for record in caplog.records if "invert" in record.getMessage()]
    assert "inverted.png: particles cover" in record.getMessage()
    caplog.clear()
    ingest(sources, tmp_path / "out")  # nothing is read again, and nothing said again
    assert not caplog.records
    (tmp_path / "fields.csv").write_text("image,field\nright.tif,1\ninverted.tif,2\n")
    for name in ("right", "inverted"):
        (tmp_path / "masks").mkdir(exist_ok=True)
        shutil.copy(tmp_path / f"{name}.png", tmp_path / "masks")
    job = {"images": "raw", "masks": "masks", "groups": "fields.csv", "models": "models", "patch": 32}
    with caplog.at_level(logging.WARNING):
        read_training_images(parse_section(TrainingSpec, job, section="training", base=tmp_path))
    assert ["invert it" in record.getMessage() for record in caplog.records] == [True]


def test_the_mask_beside_a_micrograph_has_its_name_or_its_stem(tmp_path):
    for name in ("a.png", "a.zip", "b.zip", "d.roi", "d.csv"):
        (tmp_path / name).touch()
    (tmp_path / "c.ome.zarr").mkdir()
    assert truth_beside(tmp_path, "a.png").name == "a.png"
    assert truth_beside(tmp_path, "b.tif").name == "b.zip"
    assert truth_beside(tmp_path, "c.tif").name == "c.ome.zarr"
    with pytest.raises(ImageError, match=r"d\.csv, d\.roi"):
        truth_beside(tmp_path, "d.tif")
    with pytest.raises(ImageError, match="got none"):
        truth_beside(tmp_path, "e.tif")


def test_every_kind_of_mask_goes_through_ingest(tmp_path):
    raw = tmp_path / "raw"
    (raw / "A").mkdir(parents=True)
    masks = {"1": "m/1.zarr/labels/particles", "2": "m/2.csv", "3": "m/3.ome.zarr"}
    for name in masks:
        tifffile.imwrite(raw / f"A/{name}.tif", np.random.default_rng(int(name)).integers(0, 99, SHAPE, np.uint16))
    ngff_labels(raw / "m/1.zarr", planted_labels(), version="0.5")
    shapes_csv(raw / "m/2.csv", [("polygon", outline(edge).placed(centre, angle)) for centre, edge, angle in PLANTED])
    ngff_labels(raw / "m/3.ome.zarr", planted_labels(), version="0.4")
    (tmp_path / "files.csv").write_text(
        "file,mask,pixel_size_nm\n" + "".join(f"A/{name}.tif,{mask},0.1\n" for name, mask in masks.items())
    )
    (tmp_path / "samples.csv").write_text("sample,mask,pixel_size_nm\nA,m,0.1\n")
    for table in ("files.csv", "samples.csv"):
        out = tmp_path / table.removesuffix(".csv")
        manifest = ingest(find_sources(raw, table=tmp_path / table), out)
        assert manifest.refusals.empty
        for micrograph in manifest.micrographs["micrograph"]:
            found = read_labels(out / STORE_FOLDER, micrograph, name="truth")
            np.testing.assert_array_equal(found, in_raster_order(planted_labels()))


def test_a_mask_in_zarr_that_changed_is_read_again(tmp_path):
    path = ngff_labels(tmp_path / "a.zarr", planted_labels(), version="0.5")
    source = Source(tmp_path / "a.zarr/zarr.json", "a", "A", mask=path)
    before = stamp(source)
    assert stamp(source) == before != []
    zarr.open_group(path, mode="r+")["labels/particles/0"][0, 0] = 9
    assert stamp(source) != before


@pytest.mark.parametrize("name", ["mask.png", "labels.png", "labels.tif"])
def test_masks_that_are_hardly_more_than_background_are_no_traps(tmp_path, name):
    labels = np.zeros((2048, 2048), np.uint16)
    labels[40:60, 50:80], labels[400:460, 50:80] = 1, 2
    path = tmp_path / name
    if path.suffix == ".tif":
        tifffile.imwrite(path, labels, compression="zlib")
    else:
        imageio.imwrite(path, labels if path.stem == "labels" else (labels > 0).astype(np.uint8) * 255)
    assert 500 * path.stat().st_size + 2**20 < labels.size * (1 if path.stem == "mask" else 2)
    np.testing.assert_array_equal(read_truth(path, labels.shape), labels)
    _, micrographs = nc.measure_labels(tmp_path, pixel_size_nm=0.1, sample="A")
    assert micrographs["n_detected"].tolist() == [2]
