"""The scale's share in the uncertainty of lengths: by formula, and against populations whose scale was drawn."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from nanocensus.statistics.cells.cells import cells, size_bins
from nanocensus.statistics.estimation import binning
from nanocensus.statistics.estimation.combined import MEASURES, relative_uncertainties, with_scale
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.reductions import MomentReduction, cv, mean, median, quantile, sd

ALL = (mean, median, quantile(0.9), sd, cv)
COLUMNS = ("edge_length_nm", "area_nm2", "circularity", "orientation_rad")


def drawn(rng, samples, micrographs=8, particles=25, between=0.02):
    """Draw particles of samples: edge lengths about 5 nm, micrographs apart by 2 %."""
    n = samples * micrographs * particles
    sample, micrograph = (
        np.repeat(np.arange(samples), micrographs * particles),
        np.repeat(np.arange(n // particles), particles),
    )
    shift = between * rng.standard_normal(samples * micrographs)
    edge = 5.0 * (1 + shift[micrograph] + 0.1 * rng.standard_normal(n))
    return pd.DataFrame({
        "sample": [f"{i:05d}" for i in sample], "micrograph": [f"{i:06d}" for i in micrograph], "edge_length_nm": edge,
        "area_nm2": edge**2, "circularity": rng.uniform(0.8, 0.9, n), "orientation_rad": rng.uniform(0.1, 1, n),
    })  # fmt: skip


def found(rows, statistics=ALL):
    made = cells(rows, by=["sample"], of=COLUMNS, weight=None)
    return estimate(made, dict.fromkeys(COLUMNS, statistics))


def test_each_statistic_gets_the_share_of_its_formula():
    plain = found(drawn(np.random.default_rng(0), 2))
    made = with_scale(plain, {"00000": 0.01, "00001": 0.03})
    for sample, u in (("00000", 0.01), ("00001", 0.03)):
        for column, power in (("edge_length_nm", 1), ("area_nm2", 2), ("circularity", 0), ("orientation_rad", 0)):
            for statistic in plain["statistic"].values:
                here = made.sel(sample=sample, descriptor=column, statistic=statistic)
                share = power * u * abs(float(here["estimate"])) * (statistic != "cv")
                error, freedom = float(here["standard_error"]), float(here["degrees_of_freedom"])
                assert float(here["scale_uncertainty"]) == pytest.approx(share, rel=1e-14, nan_ok=True)
                both = float(here["combined_standard_uncertainty"])
                assert both == pytest.approx(np.sqrt(error**2 + share**2), rel=1e-14, nan_ok=True)
                effective = both**4 / (error**4 / freedom)
                assert float(here["expanded_uncertainty"]) == pytest.approx(
                    stats.t.ppf(0.975, effective) * both, rel=1e-12, nan_ok=True
                )
    assert plain.drop_attrs().identical(made.drop_vars(MEASURES).drop_attrs())


def test_a_known_scale_leaves_the_half_of_the_interval():
    made = with_scale(found(drawn(np.random.default_rng(1), 1)), {"00000": 0.0}).sel(statistic="mean")
    np.testing.assert_allclose(made["expanded_uncertainty"], (made["upper"] - made["lower"]) / 2, rtol=1e-9)
    assert (made["scale_uncertainty"] == 0).all()


def test_an_unknown_scale_is_unknown_and_not_zero_but_for_ratios():
    made = with_scale(found(drawn(np.random.default_rng(2), 2)), {"00000": np.nan})
    lengths, ratios = made.sel(descriptor=list(COLUMNS[:2])), made.sel(descriptor=list(COLUMNS[2:]))
    for name in MEASURES:
        assert lengths[name].sel(statistic=["mean", "median", "quantile_0.9", "sd"]).isnull().all()
    assert (lengths["scale_uncertainty"].sel(statistic="cv") == 0).all()
    assert (ratios["scale_uncertainty"].where(ratios["estimate"].notnull(), 0) == 0).all()
    np.testing.assert_array_equal(ratios["combined_standard_uncertainty"], ratios["standard_error"])


def test_a_statistic_of_a_user_is_not_guessed_at():
    own = MomentReduction("log_mean", lambda m: np.log(m.mean), lambda m: (1 / m.mean, np.zeros_like(m.mean)))
    made = with_scale(found(drawn(np.random.default_rng(3), 1), statistics=(own,)), {"00000": 0.01})
    assert made["scale_uncertainty"].isnull().sel(statistic="log_mean").values.tolist() == [[True, True, False, False]]


def test_refused_intervals_have_no_combined_uncertainty():
    made = with_scale(found(drawn(np.random.default_rng(4), 1, micrographs=2)), {"00000": 0.01}).sel(statistic="mean")
    assert made["scale_uncertainty"].notnull().all()
    assert made["combined_standard_uncertainty"].isnull().all()
    assert made["expanded_uncertainty"].isnull().all()


def test_size_bins_and_tables_carry_the_share(tmp_path):
    rows = drawn(np.random.default_rng(5), 2)
    made = with_scale(binning.size_statistics(rows, bins=size_bins(edges=[4.0, 5.0, 6.0]), of=COLUMNS[:3], weight=None),
                      {"00000": 0.01, "00001": np.nan})  # fmt: skip
    table = binning.to_table(made)
    assert set(MEASURES) < set(table.columns)
    lengths = table[(table["descriptor"] == "edge_length_nm") & (table["statistic"] == "mean")].set_index("sample")
    np.testing.assert_allclose(lengths.loc["00000", "scale_uncertainty"], 0.01 * lengths.loc["00000", "estimate"])
    assert lengths.loc["00001", "scale_uncertainty"].isna().all()
    binning.save(made, tmp_path / "statistics.zarr")
    xr.testing.assert_equal(binning.open(tmp_path / "statistics.zarr"), made)


def test_sessions_of_a_sample_count_by_their_particles_and_one_unknown_is_unknown():
    index = pd.DataFrame(
        {"sample": list("AAABBC"), "n_detected": pd.array([30, 10, 0, 5, 5, None], dtype="Int32"),
         "pixel_size_uncertainty": [0.01, 0.02, np.nan, 0.01, np.nan, 0.01]}
    )  # fmt: skip
    relative = relative_uncertainties(index)
    assert relative["A"] == pytest.approx(0.0125)
    assert np.isnan(relative["B"])
    assert "C" not in relative  # nothing was detected


def test_expanded_uncertainties_cover_true_lengths_and_intervals_alone_do_not():
    """600 populations of 8 micrographs; the scale of each is off by a normal error of 2 %."""
    rng, populations, u = np.random.default_rng(6), 600, 0.02
    rows = drawn(rng, populations)
    wrong = np.repeat(1 + u * rng.standard_normal(populations), len(rows) // populations)
    rows = rows.assign(edge_length_nm=rows["edge_length_nm"] * wrong, area_nm2=rows["area_nm2"] * wrong**2)
    relative = {str(sample): u for sample in rows["sample"].unique()}
    made = with_scale(found(rows, statistics=(mean, median)), relative).sel(descriptor=["edge_length_nm", "area_nm2"])
    # By how it is drawn: the mean of the area is 25 (1 + 0.02^2 + 0.1^2), medians are those of symmetric lengths.
    truth = xr.DataArray(
        [[5.0, 5.0], [25.26, 25.0]], coords={"descriptor": made["descriptor"], "statistic": made["statistic"]}
    )
    held = (abs(made["estimate"] - truth) <= made["expanded_uncertainty"]).mean("sample")
    alone = ((made["lower"] <= truth) & (truth <= made["upper"])).mean("sample")
    # Of 600 at 95 %, three standard deviations of the share are 2.7 points.
    assert (abs(held - 0.95) < 0.027).all(), held
    assert (alone < 0.75).all(), alone
