"""A finished run written for other programs, and read back."""

import numpy as np
import pandas as pd
import pytest
import skimage.measure
import tifffile
import xarray as xr
from typer.testing import CliRunner

import nanocensus as nc
from nanocensus.cli import app
from nanocensus.errors import InputError
from nanocensus.pipeline.run import export
from nanocensus.pipeline.run.export import KINDS, export_run, write_calibrated
from nanocensus.pipeline.run.record import job_of_run
from nanocensus.store.foreign.particles import read_micrograph_table
from nanocensus.store.formats.readers import read_image, read_plane
from nanocensus.store.images.micrographs import read_labels, read_pixels
from nanocensus.store.manifest import read_manifest
from nanocensus.store.particles.tables import read_particles


@pytest.fixture(scope="module")
def out(finished):
    return finished[0]


@pytest.fixture(scope="module")
def exported(out, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    written = export_run(out, folder, KINDS)
    assert sorted(written) == sorted(path for path in folder.rglob("*") if path.is_file())
    return folder


def test_tables_hold_every_particle_with_every_column(out, exported):
    particles = read_particles(out).compute()
    for table in (pd.read_csv(exported / "particles.csv"), pd.read_parquet(exported / "particles.parquet")):
        assert set(table.columns) == {*particles.columns, "name", "failed_criteria"}
        assert len(table) == len(particles) > 0
        np.testing.assert_array_equal(table["edge_length_nm"], particles["edge_length_nm"])
        assert set(table["micrograph"]) == set(particles["micrograph"])
    micrographs = pd.read_csv(exported / "micrographs.csv")
    assert len(micrographs) == len(read_manifest(out).micrographs)


def test_the_results_of_imagej_follow_its_definitions(out, exported):
    results, particles = pd.read_csv(exported / "Results.csv"), read_particles(out).compute()
    np.testing.assert_array_equal(results["Area"], particles["area_nm2"])
    np.testing.assert_allclose(results["Circ."], 4 * np.pi * results["Area"] / results["Perim."] ** 2, atol=1e-4)
    np.testing.assert_allclose(results["Round"], 4 * results["Area"] / (np.pi * results["Major"] ** 2))
    assert results["Angle"].between(0, 180).all()


def test_angles_count_from_x_against_the_rows(out, exported):
    results = pd.read_csv(exported / "Results.csv")
    row = read_manifest(out).micrographs.iloc[0]
    labels = read_plane(exported / "labels" / f"{row['name']}.tif")
    regions = skimage.measure.regionprops(labels.astype(int))
    own = results[results["Label"].str.startswith(f"{row['name']}:")].reset_index(drop=True)
    long = [place for place, region in enumerate(regions) if region.eccentricity > 0.6 and region.area > 200]
    for place in long:
        # scikit-image counts from the rows' axis towards x, against the clock of an image whose rows grow downwards
        expected = (np.degrees(regions[place].orientation) + 90) % 180
        apart = abs(own.loc[place, "Angle"] - expected) % 180
        assert min(apart, 180 - apart) < 6


def test_images_labels_and_maps_are_calibrated_and_the_same(out, exported):
    store = out / "micrographs.zarr"
    for row in read_manifest(out).micrographs.to_dict("records"):
        image = read_image(exported / "images" / f"{row['name']}.tif")
        np.testing.assert_array_equal(image.pixels, read_pixels(store, row["micrograph"]))
        assert image.pixel_size.square_nm() == pytest.approx(row["pixel_size_nm"], rel=1e-6)
        labels = read_plane(exported / "labels" / f"{row['name']}.tif")
        np.testing.assert_array_equal(labels, read_labels(store, row["micrograph"]))
        assert read_plane(exported / "maps" / f"{row['name']}.tif").dtype == np.uint8


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_each_type_of_image_comes_back_with_its_pixel_size(tmp_path, dtype):
    image = np.arange(48 * 64).reshape(48, 64).astype(dtype)
    write_calibrated(tmp_path / "x.tif", image, 0.0861)
    found = read_plane(tmp_path / "x.tif")
    np.testing.assert_array_equal(found, image)
    assert found.dtype == image.dtype
    assert read_image(tmp_path / "x.tif").pixel_size.square_nm() == pytest.approx(0.0861, rel=1e-6)


def test_the_command_exports_tables_unless_told_otherwise(out, tmp_path):
    said = CliRunner().invoke(app, ["export", str(out), str(tmp_path / "to")])
    assert said.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == ["micrographs.csv", "particles.csv"]


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(InputError, match="csv, parquet, imagej, images, labels, maps"):
        export_run(tmp_path, tmp_path, ["docx"])


@pytest.mark.slow
def test_what_was_exported_gives_the_same_statistics_when_it_comes_back(out, exported, tmp_path):
    accepted = nc.apply_criteria(nc.read_particles(out), job_of_run(out).criteria).compute()
    accepted = accepted[accepted["failed_criteria"] == 0]
    of = ["edge_length_nm", "circularity"]
    expected = nc.sample_statistics(accepted, nc.read_micrographs(out), of=of).to_dataframe()
    listed = read_micrograph_table(exported / "micrographs.csv")
    for name in ("particles.csv", "particles.parquet"):
        back = nc.read_particle_table(exported / name)
        made = nc.analyse_particles(back, listed, out=tmp_path / name, of=of).by_sample
        pd.testing.assert_frame_equal(made.to_dataframe()[expected.columns], expected)


def test_a_table_gives_every_statistic_that_the_run_gave(out, copied, tmp_path):
    job = job_of_run(out)
    judged = nc.apply_criteria(nc.read_particles(out), job.criteria)
    asked = {"of": job.statistics.descriptors, "bins": job.statistics.bins()}
    made = nc.analyse_particles(judged, nc.read_micrographs(out), out=tmp_path / "to", **asked)
    written = {path.name for path in (out / "tables").iterdir()}
    assert {path.name for path in (tmp_path / "to/tables").iterdir()} == written
    for name in written - {"counts.csv"}:  # a table counts criteria together
        assert (tmp_path / "to/tables" / name).read_bytes() == (out / "tables" / name).read_bytes(), name
    again = nc.analyse(copied)
    xr.testing.assert_equal(made.worth, again.worth)
    for name, density in again.densities.items():
        xr.testing.assert_equal(made.densities[name], density)
    report, theirs = ((folder / "report.html").read_text() for folder in (tmp_path / "to", out))
    for caption in ("Size distributions", "What the particles are worth"):
        assert (caption in report) == (caption in theirs)


def test_results_like_those_of_imagej_come_back_the_same_but_for_weights(out, exported, tmp_path):
    accepted = nc.apply_criteria(nc.read_particles(out), job_of_run(out).criteria).compute()
    accepted = accepted[accepted["failed_criteria"] == 0]
    of = ["edge_length_nm", "circularity"]
    expected = nc.sample_statistics(accepted, of=of, weight=None)["estimate"].to_series()
    back = nc.read_particle_table(exported / "Results.csv", tool="imagej", unit="nm", pattern="{sample}/**/*")
    made = nc.analyse_particles(back, out=tmp_path, of=of).by_sample["estimate"].to_series()
    pd.testing.assert_series_equal(made, expected, rtol=1e-9)


def test_the_record_of_a_run_is_not_overwritten_by_a_table(out):
    with pytest.raises(InputError, match="holds no run"):
        nc.analyse_particles(nc.read_particles(out), out=out)


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_that_breaks_off_leaves_what_was_there(out, tmp_path, monkeypatch, kind):
    before = {path: path.write_bytes(b"of an earlier export") for path in _places(out, tmp_path)}

    def break_off(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "_as_imagej", break_off)
    monkeypatch.setattr(export.pq.ParquetWriter, "write_table", break_off)
    monkeypatch.setattr(pd.DataFrame, "to_csv", break_off)
    monkeypatch.setattr(tifffile.TiffWriter, "write", break_off)
    with pytest.raises(KeyboardInterrupt):
        export_run(out, tmp_path, [kind])
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == set(before)
    assert {path.read_bytes() for path in before} == {b"of an earlier export"}


def _places(out, folder):
    names = [
        f"{kind}/{name}.tif" for kind in ("images", "labels", "maps") for name in read_manifest(out).micrographs["name"]
    ]
    places = [
        folder / name for name in (*names, "particles.csv", "micrographs.csv", "particles.parquet", "Results.csv")
    ]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
    return places


def test_a_micrograph_may_have_the_longest_name_that_a_file_can_have(tmp_path):
    path = tmp_path / ("x" * 251 + ".tif")
    write_calibrated(path, np.zeros((4, 4), np.uint8), 0.1)
    assert read_plane(path).shape == (4, 4)
    assert list(tmp_path.iterdir()) == [path]
