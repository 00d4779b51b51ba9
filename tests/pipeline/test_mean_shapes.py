"""Mean shapes of particles with planted outlines: what comes back, what never depends on order, and what is refused."""

import itertools

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from dask.delayed import delayed

import nanocensus as nc
from nanocensus.errors import StatisticsError, TableError
from nanocensus.measure.alignment import mean_outline_sequential
from nanocensus.statistics.outlines.meanshape import index_table, outline_table
from nanocensus.statistics.outlines.shape_indices import facet_index, squareness

THETA, HARMONICS = 2 * np.pi * np.arange(128) / 128, np.arange(2, 30)
ONE_BIN = nc.size_bins(edges=[4.0, 6.0])


def cut_square(cut, angle):
    cosine, sine = np.abs(np.cos(angle + np.pi / 4)), np.abs(np.sin(angle + np.pi / 4))
    return np.minimum(1 / np.maximum(cosine, sine), (2 - cut) / (cosine + sine))


def planted(rng, shape, *, samples=("A",), micrographs=12, particles=25, rough=0.005):
    """Give particles and outlines (nm) of a shape at any angle; micrographs differ in roughness."""
    n = len(samples) * micrographs * particles
    micrograph = np.repeat(np.arange(len(samples) * micrographs), particles)
    radii = shape(THETA - rng.uniform(0, 2 * np.pi, (n, 1)))
    radii = radii / radii.mean(axis=1, keepdims=True)
    spread = rough * np.exp(0.2 * rng.standard_normal(micrograph.max() + 1))[micrograph][:, None] * 4 / HARMONICS
    for wave in (np.cos, np.sin):
        radii = radii + (rng.standard_normal((n, HARMONICS.size)) * spread) @ wave(np.outer(HARMONICS, THETA))
    size = rng.uniform(4.2, 5.8, n)
    frame = pd.DataFrame({
        "sample": np.repeat(samples, micrographs * particles), "micrograph": [f"m{j}" for j in micrograph],
        "label": np.tile(np.arange(1, particles + 1, dtype=np.int32), len(samples) * micrographs), "star_shaped": True,
        "edge_length_nm": size, "border_weight": rng.uniform(1.0, 1.5, n), "failed_criteria": np.uint16(0),
    })  # fmt: skip
    return frame, (radii * size[:, None] / 1.7).astype(np.float32)


def assert_identical(one, other, leaving_out=("running_mean", "index_running_mean")):
    """Compare to the bit; the running mean is what does depend on the order."""
    xr.testing.assert_identical(one.drop_vars(list(leaving_out)), other.drop_vars(list(leaving_out)))


@pytest.fixture(scope="module")
def cut_squares():
    frame, radii = planted(np.random.default_rng(1), lambda angle: cut_square(0.3, angle), samples=("A", "B"))
    return frame, radii, nc.mean_shapes(frame, radii, bins=nc.size_bins(0.4))


@pytest.mark.parametrize("parts", [1, 7])
def test_order_and_partitions_change_no_bit(parts, cut_squares):
    frame, radii, whole = cut_squares
    order = np.random.default_rng(parts).permutation(len(frame))
    rows, outlines = frame.iloc[order].reset_index(drop=True), radii[order]
    cuts = np.linspace(0, len(frame), parts + 1).astype(int)
    pieces = [slice(*ends) for ends in itertools.pairwise(cuts.tolist())]
    lazy = dd.from_delayed([delayed(rows.iloc[piece]) for piece in pieces], meta=rows.iloc[:0])
    array = da.concatenate([da.from_array(outlines[piece], chunks=-1) for piece in pieces])
    assert_identical(nc.mean_shapes(lazy, array, bins=nc.size_bins(0.4)), whole)


def test_rows_in_their_order_give_the_running_mean_of_the_paper(cut_squares):
    """In blocks as in one piece, in the pose nearest to our mean."""
    frame, radii, _ = cut_squares
    pieces = [slice(0, 133), slice(133, 400), slice(400, 600)]
    lazy = dd.from_delayed([delayed(frame.iloc[piece]) for piece in pieces], meta=frame.iloc[:0])
    array = da.concatenate([da.from_array(radii[piece], chunks=-1) for piece in pieces])
    made = nc.mean_shapes(lazy, array, bins=ONE_BIN)
    for sample in ("A", "B"):
        expected, _ = mean_outline_sequential(radii[(frame["sample"] == sample).to_numpy()], normalise=True)
        found = made["running_mean"].sel(sample=sample).to_numpy().ravel()
        poses = [np.roll(side, turn) for side in (found, found[::-1]) for turn in range(128)]
        assert min(np.abs(pose - expected).max() for pose in poses) < 1e-12
    assert float(made["index_running_mean"].sel(index="squareness").mean()) == pytest.approx(0.1028, abs=3e-3)


def test_planted_squares_come_back_within_their_intervals(cut_squares):
    _, _, made = cut_squares
    half = cut_square(0.3, THETA[:17]) / cut_square(0.3, THETA).mean()
    told = made.where(made["refusal"] == "")
    for name, index, scatter in (("squareness", squareness, 0.003), ("facet_index", facet_index, 0.02)):
        one = told.sel(index=name)
        inside = (one["index_lower"] <= index(half)) & (index(half) <= one["index_upper"])
        # Eight cells: fewer than six hits of 95 % intervals happen once in 1,700 times.
        assert int(inside.sum()) >= 6
        np.testing.assert_allclose(one["estimate"].to_numpy(), index(half), atol=scatter)
    assert float(made["p"].max()) < 1e-6
    assert made["converged"].all()
    np.testing.assert_array_equal(made["density"].max(("x", "y")) > 0, made["n"] > 0)


def test_the_mean_of_round_particles_is_refused_with_what_roughness_makes():
    frame, radii = planted(np.random.default_rng(2), np.ones_like, rough=0.01)
    made = nc.mean_shapes(frame, radii, bins=ONE_BIN)
    assert "is not 3 times" in made["refusal"].item()
    assert float(made["amplitude"].item()) == pytest.approx(float(made["null_amplitude"].item()), rel=0.15)
    for name in ("radius", "lower", "band_upper", "estimate", "index_lower"):
        assert made[name].isnull().all()
    assert made["aligned"].notnull().all()


def test_noise_of_discs_rejects_roundness_as_often_as_it_says():
    """Forty samples of discs: with a level of 5 %, seven rejections or more happen once in 290 times."""
    names = tuple(f"s{number:02d}" for number in range(40))
    frame, radii = planted(np.random.default_rng(3), np.ones_like, samples=names, micrographs=6, particles=8)
    made = nc.mean_shapes(frame, radii, bins=ONE_BIN, weight=None)
    assert int((made["p"] < 0.05).sum()) <= 6
    assert 0.25 < float(made["p"].median()) < 0.75


def test_too_few_micrographs_and_particles_are_refused_by_number():
    frame, radii = planted(np.random.default_rng(4), lambda angle: cut_square(0.3, angle), micrographs=3)
    three = nc.mean_shapes(frame, radii, bins=ONE_BIN)
    assert three["refusal"].item() == "75 particles in 3 clusters: an interval needs 20 in 4"
    frame, radii = planted(np.random.default_rng(4), lambda angle: cut_square(0.3, angle), micrographs=4, particles=4)
    few = nc.mean_shapes(frame, radii, bins=ONE_BIN)
    assert few["refusal"].item() == "16 particles in 4 clusters: an interval needs 20 in 4"
    for made in (three, few):
        numbers = [name for name in made.data_vars if made[name].dtype.kind == "f"]
        assert all(made[name].isnull().all() for name in numbers)


def test_outlines_that_are_all_the_same_are_refused():
    frame, radii = planted(np.random.default_rng(5), np.ones_like)
    made = nc.mean_shapes(frame, np.full_like(radii, 2.5), bins=ONE_BIN)
    assert "without scatter there is no interval" in made["refusal"].item()
    assert made["radius"].isnull().all()


def test_rejected_and_many_valued_outlines_do_not_count():
    frame, radii = planted(np.random.default_rng(6), lambda angle: cut_square(0.3, angle))
    whole = nc.mean_shapes(frame, radii, bins=ONE_BIN)
    bad = pd.concat([frame.assign(label=frame["label"] + 100, failed_criteria=np.uint16(4)),
                     frame.iloc[:7].assign(label=200 + np.arange(7), star_shaped=False)])  # fmt: skip
    wild = np.zeros((len(bad), 128), np.float32)  # what r(theta) is of the many-valued has no meaning
    both = nc.mean_shapes(pd.concat([frame, bad], ignore_index=True), np.concatenate([radii, wild]), bins=ONE_BIN)
    assert both["n_not_star_shaped"].item() == 7
    assert_identical(both.drop_vars("n_not_star_shaped"), whole.drop_vars("n_not_star_shaped"))


def test_rows_that_nobody_judged_all_count_lazy_or_not(cut_squares):
    frame, radii, made = cut_squares
    unjudged = frame.drop(columns="failed_criteria")
    lazy = dd.from_delayed([delayed(unjudged.iloc[:250]), delayed(unjudged.iloc[250:])], meta=unjudged.iloc[:0])
    array = da.concatenate([da.from_array(radii[:250], chunks=-1), da.from_array(radii[250:], chunks=-1)])
    assert_identical(nc.mean_shapes(lazy, array, bins=nc.size_bins(0.4)), made)


def test_rows_and_outlines_that_do_not_belong_together_are_refused(cut_squares):
    frame, radii, _ = cut_squares
    with pytest.raises(TableError, match="row for row"):
        nc.mean_shapes(frame, radii[:-1], bins=ONE_BIN)
    with pytest.raises(TableError, match="star_shaped"):
        nc.mean_shapes(frame.drop(columns="star_shaped"), radii)
    with pytest.raises(StatisticsError, match="star-shaped"):
        nc.mean_shapes(frame.assign(star_shaped=False), radii)
    with pytest.raises(TableError, match="blocks"):
        nc.mean_shapes(dd.from_pandas(frame, npartitions=2), da.from_array(radii, chunks=-1))


def test_tables_have_a_row_an_index_and_a_row_an_angle(cut_squares):
    _, _, made = cut_squares
    cells = made.sizes["sample"] * made.sizes["size_bin"]
    indices, outlines = index_table(made), outline_table(made)
    assert (len(indices), len(outlines)) == (3 * cells, 17 * cells)
    assert {"index", "estimate", "lower", "upper", "aligned", "running_mean", "null_amplitude", "p", "refusal"} <= set(
        indices
    )
    assert outlines["angle_deg"].drop_duplicates().tolist() == np.linspace(0, 45, 17).tolist()


def test_the_result_says_which_column_its_bins_are_of():
    frame, radii = planted(np.random.default_rng(4), lambda angle: cut_square(0.3, angle), micrographs=4, particles=4)
    frame = frame.assign(feret_max_nm=1.2 * frame["edge_length_nm"])
    made = nc.mean_shapes(frame, radii, bins=nc.size_bins(edges=[3.0, 9.0], of="feret_max_nm"))
    assert nc.figures.mean_shapes(made).opts.get("plot").kwargs["xlabel"] == "feret max (nm)"
