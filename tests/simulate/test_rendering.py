"""Micrographs with planted truth: what the truth says, what the pixels look like, that the same seed gives the same."""

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage
from scipy.spatial.distance import cdist

from nanocensus.errors import JobError
from nanocensus.sections import parse_section, plain
from nanocensus.simulate.placement import place_particles
from nanocensus.simulate.rendering import simulate_micrograph, write_simulated
from nanocensus.simulate.spec import FamilyWeights, SimulationSpec

SMALL = {"shape": [192, 224], "mean_particles": 8, "mean_edge_length_nm": 2.0}


def small(**changes):
    return parse_section(SimulationSpec, SMALL | changes, section="simulation")


def generator(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def micrograph():
    return simulate_micrograph(SimulationSpec(), generator(3))


@pytest.mark.parametrize("family", ["disc", "ellipse", "superellipse", "truncated_square", "lobed"])
def test_area_fractions_hold_the_planted_areas(family):
    spec = small(families={family: 1.0}, border_particles=False)
    drawn = simulate_micrograph(spec, generator(1))
    assert len(drawn.particles) >= 4
    assert set(drawn.particles["family"]) == {family}
    nearest = ndimage.distance_transform_edt(drawn.labels == 0, return_indices=True)[1]
    owner = drawn.labels[tuple(nearest)]  # pixels at a rim belong to the particle beside them; gaps are 2 px
    measured = ndimage.sum_labels(drawn.area_fraction, owner, drawn.particles["label"]) * spec.pixel_size_nm**2
    np.testing.assert_allclose(measured, drawn.particles["area_nm2"], rtol=1e-3)


def test_labelled_pixels_are_those_covered_by_more_than_half(micrograph):
    np.testing.assert_array_equal(micrograph.labels > 0, micrograph.area_fraction > 0.5)


def test_labels_count_in_raster_order_and_match_the_rows(micrograph):
    values = micrograph.labels[micrograph.labels > 0]
    _, first = np.unique(values, return_index=True)
    assert (np.diff(first) > 0).all()
    np.testing.assert_array_equal(np.unique(values), micrograph.particles["label"])


def test_rows_describe_the_particle_under_their_label(micrograph):
    """Centroid and area of the labelled pixels lie where the row says, for particles that the border spares."""
    whole = micrograph.particles[~micrograph.particles["touches_border"]]
    assert len(whole) > 5
    ones = np.ones(micrograph.labels.shape)
    centroids = np.array(ndimage.center_of_mass(ones, micrograph.labels, whole["label"]))
    assert np.abs(centroids - whole[["centre_y_px", "centre_x_px"]].to_numpy()).max() < 0.3
    counted = ndimage.sum_labels(ones, micrograph.labels, whole["label"]) * SimulationSpec().pixel_size_nm ** 2
    np.testing.assert_allclose(counted, whole["area_nm2"], rtol=0.03)


def test_a_particle_touches_the_border_if_one_of_its_pixels_does(micrograph):
    rows, columns = np.indices(micrograph.labels.shape)
    height, width = micrograph.labels.shape
    edge = (rows == 0) | (rows == height - 1) | (columns == 0) | (columns == width - 1)
    touching = set(micrograph.labels[edge]) - {0}
    assert touching  # this seed has some
    assert set(micrograph.particles.loc[micrograph.particles["touches_border"], "label"]) == touching


def test_no_particle_touches_the_border_where_none_may():
    for seed in range(3):
        drawn = simulate_micrograph(small(border_particles=False), generator(seed))
        assert len(drawn.particles)
        assert not drawn.particles["touches_border"].any()


@pytest.mark.parametrize("seed", range(3))
def test_particles_keep_their_distance(seed):
    planted = place_particles(small(mean_particles=14, gap_px=2.0), generator(seed))
    assert len(planted) > 8
    for index, particle in enumerate(planted):
        for other in planted[:index]:
            assert cdist(particle.vertices, other.vertices).min() > 1.95


def test_particles_in_contact_touch_without_overlap_and_keep_their_own_labels():
    spec = small(touching_fraction=1.0, border_particles=False)
    planted = place_particles(spec, generator(5))
    nearest = [
        min(cdist(particle.vertices, other.vertices).min() for other in planted if other is not particle)
        for particle in planted
    ]
    assert np.median(nearest) < 0.3
    drawn = simulate_micrograph(spec, generator(5))
    assert len(drawn.particles) == len(planted)
    assert ndimage.label(drawn.labels > 0, np.ones((3, 3)))[1] < len(planted)
    total = drawn.area_fraction.sum() * spec.pixel_size_nm**2
    assert total == pytest.approx(drawn.particles["area_nm2"].sum(), rel=2e-3)


def test_the_border_does_not_change_how_densely_particles_lie():
    """Centres inside are Poisson about the mean asked for: 40 draws of 8 scatter by 0.45."""
    spec = small(gap_px=0.0, mean_edge_length_nm=1.0)
    counts = [
        sum(
            0 <= p.centre[0] + 0.5 <= 192 and 0 <= p.centre[1] + 0.5 <= 224 for p in place_particles(spec, generator(s))
        )
        for s in range(40)
    ]
    assert np.mean(counts) == pytest.approx(8, abs=1.8)


def test_sizes_follow_the_distribution_asked_for():
    spec = small(edge_length_log_sd=0.2, mean_edge_length_nm=1.0, mean_particles=40, gap_px=0.0)
    sizes = np.concatenate(
        [[np.sqrt(p.outline.area) * spec.pixel_size_nm for p in place_particles(spec, generator(s))] for s in range(8)]
    )
    assert sizes.mean() == pytest.approx(1.0, abs=4 * 0.2 / np.sqrt(len(sizes)))
    assert np.log(sizes).std() == pytest.approx(0.2, rel=0.15)


def test_pixels_are_what_a_camera_records(micrograph):
    assert micrograph.pixels.dtype == np.uint16
    assert micrograph.pixels.max() < 65535
    assert np.mean(micrograph.pixels == 0) < 1e-4


def test_contrast_noise_and_grain_are_those_of_the_real_micrographs(micrograph):
    """Ranges are those of the demonstration's 30 micrographs: see docs/reference/simulation.md."""
    pixels = micrograph.pixels.astype(float)
    distance = ndimage.distance_transform_edt(micrograph.labels == 0)
    film = distance > 12
    body = ndimage.distance_transform_edt(micrograph.labels > 0) > 5
    mean, spread = pixels[film].mean(), pixels[film].std()
    assert 0.07 < spread / mean < 0.2
    assert 1.7 < (mean - pixels[body].mean()) / spread < 3.0
    departure = np.where(film, pixels - mean, 0)
    beside = film[:, 1:] & film[:, :-1]
    assert 0.7 < (departure[:, 1:] * departure[:, :-1])[beside].mean() / spread**2 < 0.85
    rim = (distance > 3) & (distance < 8)
    assert pixels[rim].mean() > mean * 1.005


def test_equal_generators_give_equal_micrographs():
    first, second = (simulate_micrograph(small(), generator(11)) for _ in range(2))
    np.testing.assert_array_equal(first.pixels, second.pixels)
    np.testing.assert_array_equal(first.labels, second.labels)
    pd.testing.assert_frame_equal(first.particles, second.particles)
    other = simulate_micrograph(small(), generator(12))
    assert (first.pixels != other.pixels).any()


@pytest.mark.parametrize("kind", ["lattice", "dark_field", "low_dose"])
def test_a_kind_of_imaging_changes_the_pixels_and_not_the_particles(kind):
    plain_one, imaged = (simulate_micrograph(small(imaging=name), generator(11)) for name in ("", kind))
    np.testing.assert_array_equal(plain_one.labels, imaged.labels)
    assert (plain_one.pixels != imaged.pixels).any()
    body, film = imaged.labels > 0, ndimage.binary_dilation(imaged.labels > 0, iterations=12)
    assert imaged.pixels[body].mean() < imaged.pixels[~film].mean()


def test_an_empty_film_is_a_micrograph_too():
    drawn = simulate_micrograph(small(mean_particles=0), generator())
    assert drawn.labels.max() == 0
    assert drawn.particles.empty
    assert list(drawn.particles.columns) == list(simulate_micrograph(small(), generator()).particles.columns)


def test_a_file_says_its_pixel_size_as_imagej_does(tmp_path):
    write_simulated(tmp_path, small(pixel_size_nm=0.086), n=1, seed=4)
    with tifffile.TiffFile(tmp_path / "simulated" / "0000.tif") as file:
        count, per_unit = file.pages[0].tags["XResolution"].value
        assert per_unit / count == pytest.approx(0.086, rel=1e-6)
        assert file.imagej_metadata["unit"] == "nm"


def test_the_same_seed_writes_the_same_bytes_and_more_micrographs_change_none(tmp_path):
    for name, count in (("first", 2), ("second", 3)):
        write_simulated(tmp_path / name, small(), n=count, seed=9)
    for path in sorted((tmp_path / "first").rglob("*.tif")):
        assert path.read_bytes() == (tmp_path / "second" / path.relative_to(tmp_path / "first")).read_bytes()
    assert len(list((tmp_path / "second").rglob("*.tif"))) == 6
    table = (tmp_path / "first" / "micrographs.csv").read_text().splitlines()
    assert (tmp_path / "second" / "micrographs.csv").read_text().splitlines()[: len(table)] == table


def test_tables_name_the_files_and_the_planted_particles(tmp_path):
    table = pd.read_csv(write_simulated(tmp_path, small(), n=2, seed=0, sample="a"))
    assert list(table.columns) == ["file", "sample", "group", "order", "mask"]
    truth = pd.read_csv(tmp_path / "truth.csv")
    for row in table.itertuples():
        assert tifffile.imread(tmp_path / row.file).dtype == np.uint16
        mask = tifffile.imread(tmp_path / row.mask)
        assert mask.max() == (truth["file"] == row.file).sum()


def test_a_second_sample_joins_the_tables_and_differs(tmp_path):
    for sample in ("a", "b", "a"):
        table = pd.read_csv(write_simulated(tmp_path, small(), n=1, seed=0, sample=sample))
    assert sorted(table["sample"]) == ["a", "b"]
    assert sorted(pd.read_csv(tmp_path / "truth.csv")["sample"].unique()) == ["a", "b"]
    first, second = (tifffile.imread(tmp_path / sample / "0000.tif") for sample in "ab")
    assert (first != second).any()


def test_no_micrographs_leave_no_rows_of_earlier_ones(tmp_path):
    for sample in "ab":
        write_simulated(tmp_path, small(), n=1, seed=0, sample=sample)
    of_both = pd.read_csv(tmp_path / "truth.csv")
    assert set(pd.read_csv(write_simulated(tmp_path, small(), n=0, seed=0, sample="a"))["sample"]) == {"b"}
    truth = pd.read_csv(tmp_path / "truth.csv")
    pd.testing.assert_frame_equal(truth, of_both[of_both["sample"] == "b"].reset_index(drop=True))
    assert not len(pd.read_csv(write_simulated(tmp_path / "new", small(), n=0, seed=0)))
    assert not (tmp_path / "new" / "truth.csv").exists()


def test_a_second_sample_leaves_the_rows_of_the_first_to_the_letter(tmp_path):
    spec = SimulationSpec(shape=(96, 96), mean_particles=4.0, mean_edge_length_nm=1.2)
    write_simulated(tmp_path, spec, n=2, seed=5, sample="null")  # which pandas takes for a missing value
    before = [(tmp_path / name).read_bytes() for name in ("micrographs.csv", "truth.csv")]
    write_simulated(tmp_path, spec, n=1, seed=5, sample="Co0.4")
    after = [(tmp_path / name).read_bytes() for name in ("micrographs.csv", "truth.csv")]
    assert [late[: len(early)] for early, late in zip(before, after, strict=True)] == before
    write_simulated(tmp_path, spec, n=2, seed=5, sample="null")
    assert [len((tmp_path / name).read_bytes()) for name in ("micrographs.csv", "truth.csv")] == list(map(len, after))


@pytest.mark.parametrize("sample", ["truth", "", "a/b", "..", "a\\b"])
def test_a_sample_that_cannot_be_a_folder_is_refused(tmp_path, sample):
    with pytest.raises(JobError, match="name for a folder"):
        write_simulated(tmp_path, small(), n=1, seed=0, sample=sample)


@pytest.mark.parametrize(("key", "value"), [("n", -1), ("seed", -5)])
def test_negative_counts_and_seeds_are_refused(tmp_path, key, value):
    with pytest.raises(JobError, match=key):
        write_simulated(tmp_path, small(), **({"n": 1, "seed": 0} | {key: value}))


def test_an_unknown_key_is_refused_with_the_nearest_name():
    with pytest.raises(JobError, match="mean_particles"):
        parse_section(SimulationSpec, {"mean_particle": 3}, section="simulation")


@pytest.mark.parametrize(
    "values",
    [
        {"shape": [512]},
        {"shape": [512, 8]},
        {"contrast": 1.5},
        {"pixel_size_nm": 0.0},
        {"families": {"disc": 0.0}},
        {"families": {"disc": -1.0}},
        {"families": {"dodecahedron": 1.0}},
        {"mean_particles": 500},
        {"mean_particles": 7e4, "mean_edge_length_nm": 0.4, "shape": [4096, 4096]},  # of which masks number 65,535
        {"mean_edge_length_nm": 30.0},
        {"mean_edge_length_nm": float("nan")},
        {"electrons_per_px": 5000.0},
        {"border_particles": "yes"},
        {"imaging": "xray"},
        {"imaging": "printed"},
        {"seed": 1},
    ],
)
def test_what_cannot_be_simulated_is_refused(values):
    with pytest.raises(JobError):
        parse_section(SimulationSpec, values, section="simulation")


def test_a_specification_survives_its_dictionary():
    spec = small(families={"disc": 1.0, "lobed": 2.0}, touching_fraction=0.1)
    assert parse_section(SimulationSpec, plain(spec), section="simulation") == spec
    assert spec.families == FamilyWeights(disc=1.0, lobed=2.0)


def test_particles_without_a_place_are_reported(caplog):
    """Forty per cent of the area can be asked for; with a gap this wide it does not fit."""
    place_particles(small(mean_particles=12, gap_px=60.0), generator(0))
    assert "found no place" in caplog.text
