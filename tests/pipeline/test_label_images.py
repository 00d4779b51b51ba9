"""Label images of another tool are measured as if given one by one, and analysed as a run's particles are."""

import imageio.v3
import numpy as np
import pandas as pd
import pytest
import skimage.measure
import skimage.segmentation
import tifffile
from scipy import ndimage
from typer.testing import CliRunner

import nanocensus as nc
from nanocensus.cli import app
from nanocensus.errors import CalibrationError, ImageError, JobError

PIXEL_NM = 0.1


def labelled(seed, side=240):
    """Draw blobs and have scikit-image part them: many touch."""
    rng = np.random.default_rng(seed)
    mask = ndimage.gaussian_filter(rng.standard_normal((side, side)), 9) > 0.02
    peaks = skimage.measure.label(ndimage.gaussian_filter(mask.astype(float), 6) > 0.75)
    return skimage.segmentation.watershed(-ndimage.distance_transform_edt(mask), peaks, mask=mask)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("labels")
    for number in range(6):
        labels, place = labelled(number), root / ("Co0.2" if number % 2 else "Co0.4")
        place.mkdir(exist_ok=True)
        if number < 2:
            imageio.v3.imwrite(place / f"{number}.png", labels.astype(np.uint8))
        else:
            tifffile.imwrite(place / f"{number}.tif", (labels * 3).astype(np.uint16 if number < 4 else np.uint32))
    imageio.v3.imwrite(root / "Co0.4/bare.png", np.zeros((240, 240), np.uint8))
    return root


def test_particles_are_those_of_the_labels_measured_one_by_one(folder):
    particles, micrographs = nc.measure_labels(folder, pixel_size_nm=PIXEL_NM)
    assert len(micrographs) == 7
    assert micrographs.set_index("micrograph")["n_detected"]["Co0.4/bare.png"] == 0
    parts = 0
    for number in range(6):
        (name,) = [
            name for name in micrographs["micrograph"] if name.endswith(f"/{number}.{'png' if number < 2 else 'tif'}")
        ]
        labels = labelled(number)
        own = particles[particles["micrograph"] == name].reset_index(drop=True)
        expected = nc.measure_particles(labels=labels, pixel_size_nm=PIXEL_NM)
        assert len(own) == labels.max() > 3
        parts += skimage.measure.label(labels > 0).max()
        order = np.argsort([np.flatnonzero(labels.ravel() == label)[0] for label in expected["label"]])
        expected = expected.iloc[order].reset_index(drop=True).drop(columns="label")
        pd.testing.assert_frame_equal(own[expected.columns], expected)
        assert set(own["sample"]) == {name.split("/")[0]}
    assert parts < len(particles)  # some touch, and yet they are particles of their own


def test_the_command_measures_and_analyses_and_its_table_comes_back(folder, tmp_path):
    out = tmp_path / "out"
    (tmp_path / "criteria.toml").write_text("[criteria]\nmin_area_nm2 = 1.5\nmin_solidity = false\n")
    said = CliRunner().invoke(app, ["measure", str(folder), "--pixel-size-nm", "0.1", "--out", str(out), "--of", "solidity",
                                    "--criteria", str(tmp_path / "criteria.toml")])  # fmt: skip
    assert said.exit_code == 0, said.output
    particles, micrographs = nc.measure_labels(
        folder, pixel_size_nm=PIXEL_NM, criteria=nc.Criteria(min_area_nm2=1.5, min_solidity=False)
    )
    accepted = particles[particles["failed_criteria"] == 0]
    expected = nc.sample_statistics(accepted, micrographs, of=["solidity"])["estimate"].to_series()
    written = pd.read_csv(out / "tables/by_sample.csv").set_index(["sample", "statistic"])["estimate"]
    for sample in ("Co0.2", "Co0.4"):
        assert written[sample, "mean"] == pytest.approx(expected[sample, "solidity", "mean"])
    assert pd.read_csv(out / "tables/by_sample.csv")["n_micrographs"].tolist()[-1] == 4  # the bare one too
    counts = pd.read_csv(out / "tables/counts.csv").set_index("sample")
    failed = nc.decode_failed(particles["failed_criteria"])
    assert counts["border"].sum() == failed.str.contains("border").sum() > 0
    back = nc.analyse_particles(nc.read_particle_table(out / "particles.parquet"), out / "micrographs.csv",
                                out=tmp_path / "again", of=["solidity"])  # fmt: skip
    assert back.by_sample["estimate"].to_series().to_dict() == pytest.approx(expected.to_dict(), nan_ok=True)


def test_micrographs_beside_labels_say_the_scale_and_have_to_fit(folder, tmp_path):
    for path in sorted(folder.glob("*/*.*")):
        place = tmp_path / path.parent.name
        place.mkdir(exist_ok=True)
        pixels = np.random.default_rng(ord(path.stem[0])).integers(0, 999, (240, 240)).astype(np.uint16)
        tifffile.imwrite(place / f"{path.stem}.tif", pixels, imagej=True, resolution=(8, 8), metadata={"unit": "nm"})
    particles, micrographs = nc.measure_labels(folder, images=tmp_path)
    assert set(micrographs["pixel_size_nm"]) == {0.125}
    expected, _ = nc.measure_labels(folder, pixel_size_nm=0.125)
    np.testing.assert_array_equal(particles["area_nm2"], expected["area_nm2"])
    (tmp_path / "Co0.2/9.tif").write_bytes((tmp_path / "Co0.2/1.tif").read_bytes())
    with pytest.raises(ImageError, match=r"one file 9 in .*, got none"):
        nc.measure_labels(folder, images=tmp_path)
    tifffile.imwrite(tmp_path / "Co0.2/9.tif", np.zeros((240, 200), np.uint8))
    (tmp_path / "Co0.2/9.tif").rename(tmp_path / "Co0.2/1.tif")
    with pytest.raises(ImageError, match="240 x 200 pixels, as its micrograph"):
        nc.measure_labels(folder, images=tmp_path, pixel_size_nm=0.1)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20), "whole numbers for particles"),
        (np.ones((20, 20), np.uint8), "0 for background"),
        (np.random.default_rng(0).integers(0, 99, (20, 20, 3)).astype(np.uint8), "colour"),
    ],
)
def test_what_is_no_label_image_is_refused(tmp_path, wrong, complaint):
    tifffile.imwrite(tmp_path / "a.tif", wrong, photometric="rgb" if wrong.ndim == 3 else "minisblack")
    with pytest.raises(ImageError, match=complaint):
        nc.measure_labels(tmp_path, pixel_size_nm=0.1)


def test_a_scale_that_nobody_knows_and_criteria_that_are_none_are_refused(folder, tmp_path):
    with pytest.raises(CalibrationError, match="pixel_size_nm"):
        nc.measure_labels(folder)
    (tmp_path / "criteria.toml").write_text("min_area_nm2 = 1.5\n")
    said = CliRunner().invoke(app, ["measure", str(folder), "--out", str(tmp_path / "out"), "--criteria",
                                    str(tmp_path / "criteria.toml")])  # fmt: skip
    assert isinstance(said.exception, JobError)
    with pytest.raises(JobError, match=r"Co0.4"):
        nc.measure_labels(folder, pixel_size_nm=0.1, criteria=nc.Criteria(samples={"Co0.5": nc.SampleCriteria()}))


def test_the_paper_counts_each_particle_once(folder, tmp_path):
    said = CliRunner().invoke(app, ["measure", str(folder), "--pixel-size-nm", "0.1", "--out", str(tmp_path), "--estimator",
                                    "paper", "--sample", "S", "--of", "edge_length_nm"])  # fmt: skip
    assert said.exit_code == 0, said.output
    particles, _ = nc.measure_labels(folder, pixel_size_nm=0.1, estimator="paper", sample="S")
    accepted = particles[particles["failed_criteria"] == 0]
    rows = pd.read_csv(tmp_path / "tables/by_sample.csv")
    assert rows.loc[rows["statistic"] == "mean", "estimate"].item() == pytest.approx(
        accepted["edge_length_nm"].mean(), abs=1e-3
    )
