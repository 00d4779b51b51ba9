"""Judging maps of which it is known what they are worth."""

import html
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import label
from typer.testing import CliRunner

import nanocensus as nc
from nanocensus.cli import app
from nanocensus.errors import ImageError, InputError, StoreError
from nanocensus.pipeline.columns_page import evaluation_markdown
from nanocensus.pipeline.evaluation.columns import EVALUATION_TABLES
from nanocensus.pipeline.evaluation.scores import THRESHOLDS, judge, surest_pixels
from nanocensus.pipeline.evaluation.tables import ALL, judged, size_edges, tables
from nanocensus.pipeline.evaluation.truth_cases import Case
from nanocensus.pipeline.job.sections import InputSection, MeasureSection
from nanocensus.simulate.coverage import render_area_fraction
from nanocensus.simulate.rendering import write_simulated
from nanocensus.simulate.shapes import disc
from nanocensus.simulate.spec import SimulationSpec
from nanocensus.store.manifest import write_manifest
from nanocensus.store.masks.masks import in_raster_order

SIDE_NM = 0.1
RADII = (9.0, 12.0, 15.0, 19.0, 24.0, 30.0)
SPACING = 70


def discs(grown=0.0, radii=RADII):
    """Area fractions of discs that do not touch, at places of no whole pixels."""
    shape = (2 * SPACING, len(radii) // 2 * SPACING)
    covered = np.zeros(shape)
    for i, radius in enumerate(radii):
        centre = (i % 2 + 0.5) * SPACING + 0.31 * i, (i // 2 + 0.5) * SPACING - 0.17 * i
        outline = disc().scaled(np.sqrt(np.pi) * (radius + grown))
        fraction, (top, left) = render_area_fraction(outline, shape, centre, 0.0)
        covered[top : top + fraction.shape[0], left : left + fraction.shape[1]] += fraction
    return covered


def case(probability, *, planted=True, truth=None, group="field", **changes):
    truth = in_raster_order(label(discs() > 0.5)[0]) if truth is None else truth
    rows = None
    if planted:
        radius = np.sqrt(np.bincount(truth.ravel())[1:] / np.pi)
        exact = np.array(RADII)[np.abs(np.array(RADII)[None] - radius[:, None]).argmin(1)] * SIDE_NM
        columns = {
            "area_nm2": np.pi * exact**2, "perimeter_nm": 2 * np.pi * exact, "edge_length_nm": np.sqrt(np.pi) * exact,
            "circularity": 1.0, "solidity": 1.0,
        }  # fmt: skip
        rows = pd.DataFrame(columns, index=pd.Index(range(1, len(exact) + 1), name="label"))
    facts = {"name": "a.tif", "sample": "Co0.2", "cluster": group, "model": "mine", "pixel_size_nm": SIDE_NM,
             "assumed": False, "pixels": (1000 - 500 * discs()).astype(np.uint16), "probability": probability,
             "truth": truth, "planted": rows}  # fmt: skip
    return Case(**facts | changes)


def as_map(covered):
    return np.rint(255 * covered).astype(np.uint8)


def network(found):
    return judge(found, MeasureSection())[0]


@pytest.mark.parametrize("planted", [True, False])
def test_exact_area_fractions_are_all_right(planted):
    scores = network(case(as_map(discs()), planted=planted))
    rows = scores.particles
    assert rows["compared"].all()
    assert scores.counts.dice() == 1
    assert not len(scores.false_px)
    # Straight lines between pixels cut 0.03 px off a disc of 9 px; a mask's whole pixels are rougher.
    assert rows["boundary_error"].abs().max() < (0.04 if planted else 0.08)
    assert abs(rows["boundary_error"].mean()) < 0.02
    assert abs(rows["edge_length_error"].mean()) < 0.001
    assert rows["circularity_error"].abs().max() < (0.008 if planted else 0.03)
    assert rows["solidity_error"].abs().max() < 0.005
    assert rows["edge_width"].between(0.6, 1.0).all()


@pytest.mark.parametrize("grown", [1.0, -1.0, 0.4])
def test_a_map_that_is_grown_is_off_by_that(grown):
    rows = network(case(as_map(discs(grown)))).particles
    assert rows["boundary_error"].to_numpy() == pytest.approx(grown, abs=0.04)
    radius = rows["true_perimeter"] / (2 * np.pi)
    assert rows["edge_length_error"].to_numpy() == pytest.approx(grown / radius, abs=0.004)
    assert rows["boundary_distance"].to_numpy() == pytest.approx(abs(grown), abs=0.15)  # of whole pixels


def test_the_edge_length_falls_with_the_threshold_and_is_right_at_one_half():
    lengths = network(case(as_map(discs()))).lengths
    error = lengths["edge_length_error"] / lengths["n"]
    assert lengths["threshold"].tolist() == list(THRESHOLDS)
    assert (lengths["n"] == len(RADII)).all()
    assert (np.diff(error) < 0).all()
    assert abs(error[lengths["threshold"] == 0.5].iloc[0]) < 0.001


def test_nothing_found_everything_found_and_nothing_there():
    blank = np.zeros(discs().shape, np.uint8)
    missed = network(case(blank))
    assert (missed.counts.dice(), missed.particles["matched"].sum(), len(missed.false_px)) == (0, 0, 0)
    flooded = network(case(blank + np.uint8(255)))
    assert (flooded.particles["matched"].sum(), flooded.false_px.tolist()) == (0, [blank.size])
    empty = case(blank, planted=False, truth=blank.astype(np.int32))
    both = judge(empty, MeasureSection())
    assert (both[0].counts.dice(), len(both[0].particles)) == (1, 0)
    found = tables([judged(empty, one, 400) for one in both], level=0.95, large_px=400, bin_width_nm=0.2)
    assert found["by_size"].empty
    assert found["micrographs"]["dice"].iloc[0] == 1
    assert found["summary"]["refusal"].str.len().all()


def test_particles_that_ran_together_are_counted_and_not_compared():
    truth = np.zeros((80, 120), np.int32)
    truth[10:60, 10:60], truth[10:60, 60:80] = 1, 2
    probability = (255 * (truth > 0)).astype(np.uint8)
    rows = network(case(probability, truth=truth, planted=False, pixels=probability)).particles
    assert rows["matched"].tolist() == [True, False]  # 2500 of 3500 pixels, and 1000
    assert rows["merged"].tolist()[0]
    assert rows["boundary_error"].isna().all()


def test_what_the_mask_does_not_show_is_not_compared():
    whole = case(as_map(discs()))
    half = whole.truth.copy()
    half[: half.shape[0] // 4] = 0
    hidden = network(case(as_map(discs()), truth=half, planted=False)).particles["hidden"]
    assert not hidden.any()  # a mask alone is the truth
    cut = Case(**{**vars(whole), "truth": half})
    rows = network(cut).particles
    assert rows["hidden"].any()
    assert rows.loc[rows["hidden"], "boundary_error"].isna().all()


def test_a_map_of_another_size_is_refused():
    with pytest.raises(ImageError, match=r"of one size, got 140 x 210, 139 x 210, 140 x 210"):
        judge(case(as_map(discs())[1:]), MeasureSection())


@settings(max_examples=60)
@given(
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=6).flatmap(
        lambda shape: st.tuples(
            hnp.arrays(np.uint8, shape, elements=st.integers(0, 5)),
            hnp.arrays(np.int32, shape, elements=st.integers(0, 3)),
        )
    )
)
def test_the_surest_pixel_of_a_label_is_its_first_of_the_highest_value(images):
    probability, labels = images
    names = np.unique(labels[labels > 0]).astype(np.int64)
    for name, place in zip(names, surest_pixels(probability, labels, names), strict=True):
        own = np.flatnonzero(labels.ravel() == name)
        assert place == max(own, key=lambda at: (probability.ravel()[at], -at))


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.floats(0.5, 9.0), st.integers(0, 6)), min_size=1, max_size=150), st.sampled_from([0.2, None])
)
def test_size_bins_hold_all_particles_and_enough_of_them(rows, width):
    size, group = np.array([r[0] for r in rows]), [f"f{r[1]}" for r in rows]
    frame = pd.DataFrame({"method": "network", "size": size, "group": group})
    edges = size_edges(frame, width)
    assert (np.diff(edges) > 0).all()
    assert edges[0] <= size.min() * (1 + 1e-6)
    assert size.max() < edges[-1] * (1 + 1e-6)
    place = np.digitize(size * (1 + 1e-9), edges)
    if len(edges) > 2:
        for one in range(1, len(edges)):
            own = frame[place == one]
            assert len(own) >= 20
            assert own["group"].nunique() >= 4


def test_samples_are_pooled_and_intervals_are_over_fields():
    plain = [case(as_map(discs(0.05 * size))) for size in range(2)]
    scores = [judge(one, MeasureSection()) for one in plain]
    each = []
    for number in range(8):
        facts = {"cluster": f"field {number // 2}", "name": f"{number}.tif", "sample": ("Co0.2", "Co0.4")[number % 2]}
        found = Case(**{**vars(plain[number % 2]), **facts})
        each += [judged(found, one, 400) for one in scores[number // 3 % 2]]
    made = tables(each, level=0.95, large_px=400, bin_width_nm=0.2)
    assert {name: list(frame.columns) for name, frame in made.items()} == {
        name: list(table.names) for name, table in EVALUATION_TABLES.items()
    }
    summary = made["summary"].query("method == 'network'").set_index(["sample", "figure"])
    row = summary.loc[ALL, "boundary_error_px"]
    assert (row["n"], row["n_clusters"]) == (48, 8), "a field of one sample is not that of its name in another"
    expected = np.mean([0.05 * (number // 3 % 2) for number in range(8)])
    assert row["lower"] < expected < row["upper"]
    assert row["estimate"] == pytest.approx(expected, abs=0.02)
    assert summary.loc[("Co0.2", "boundary_error_px"), "n"] == 24
    assert made["thresholds"].query("threshold == 0.5")["dice"].min() > 0.99
    assert made["confusion"]["soft_dice"].between(0, 1).all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("planted")
    write_simulated(root, SimulationSpec(shape=(128, 128), mean_particles=4.0, mean_edge_length_nm=2.0), n=4, seed=1)
    table = pd.read_csv(root / "micrographs.csv")
    table.assign(model=["default-fold0", "default-fold1"] * 2).to_csv(root / "micrographs.csv", index=False)
    return root


@pytest.fixture(scope="module")
def evaluation(folder):
    return nc.evaluate(folder)


def test_each_micrograph_is_predicted_by_its_own_network(folder, evaluation):
    rows = evaluation.micrographs.query("method == 'network'").set_index("name")
    assert rows["model"].tolist() == ["default-fold0", "default-fold1"] * 2
    for name, model in rows["model"].items():
        found = nc.load_model(model).probability(tifffile.imread(folder / name)) > 127
        truth = tifffile.imread(folder / "truth" / name.replace("/", "_")) > 0
        assert rows.loc[name, "common_pixels"] == (found & truth).sum()
        assert rows.loc[name, "found_pixels"] == found.sum()
    record = json.loads((evaluation.page.parent / "evaluation.json").read_text())
    assert set(record["models"]) == {"default-fold0", "default-fold1"}


def test_the_tables_are_written_beside_a_page_that_needs_no_other_file(folder, evaluation):
    assert evaluation.page == folder / "evaluation" / "evaluation.html"
    page = evaluation.page.read_text(encoding="utf-8")
    assert "default-src 'none'" in html.unescape(page)
    markup = page.split("<script>")[0]  # what follows is BokehJS
    assert 'src="http' not in markup
    assert 'href="http' not in markup
    for name in set(EVALUATION_TABLES) - {"particles"}:
        written = pd.read_csv(evaluation.page.parent / f"{name}.csv", keep_default_na=True)
        assert list(written.columns) == list(getattr(evaluation, name).columns)
        assert len(written) == len(getattr(evaluation, name))
    particles = pq.read_table(evaluation.page.parent / "particles.parquet")
    assert particles.num_rows == len(evaluation.particles) > 0
    assert particles.schema.field("true_edge_length_px").metadata[b"unit"] == b"px"
    assert evaluation.particles["planted"].all()
    assert evaluation.figure("dice")["estimate"] > evaluation.figure("dice", method="otsu")["estimate"] > 0


def test_a_scale_that_was_made_up_is_said_to_be_wherever_a_length_stands(folder, evaluation, tmp_path):
    given = ["--pixel-size-nm", "0.1", "--assumed", "--out", str(tmp_path)]
    said = CliRunner().invoke(app, ["evaluate", str(folder), *given])
    assert said.exit_code == 0
    assert said.output.count("nm, assumed scale") == 5  # the boundary error, and four slopes
    page = (tmp_path / "evaluation.html").read_text(encoding="utf-8").split('<h2 id="tables">')[1]
    tables_of_page = page.split('<h2 id="provenance">')[0]
    assert tables_of_page.count("nm, assumed scale") == len(re.findall(r"\bnm\b", tables_of_page)) == 6
    assert not evaluation.assumed


def test_a_run_on_planted_particles_is_judged_by_their_outlines(folder, evaluation, client, tmp_path):
    table = str(folder / "micrographs.csv")
    nc.run({"out": str(tmp_path), "input": {"folder": str(folder), "table": table}}, client)
    found = nc.evaluate(tmp_path)
    assert found.particles["planted"].all()
    pd.testing.assert_frame_equal(found.summary, evaluation.summary)


@pytest.mark.slow
def test_the_same_micrographs_give_the_same_bytes(folder, evaluation, tmp_path):
    again = nc.evaluate(folder, out=tmp_path)
    assert again.page.read_bytes() == evaluation.page.read_bytes()


def test_a_mask_that_does_not_fit_is_refused_by_name(tmp_path):
    for name in ("one.tif", "mask.tif"):
        tifffile.imwrite(tmp_path / name, np.eye(40 if name == "one.tif" else 39, dtype=np.uint8) * 255)
    (tmp_path / "micrographs.csv").write_text("file,sample,mask\none.tif,a,mask.tif\n")
    with pytest.raises(ImageError, match=r"mask\.tif: expected a mask of 40 x 40"):
        nc.evaluate(tmp_path)


def test_what_cannot_be_judged_is_refused(evaluation, tmp_path):
    with pytest.raises(StoreError, match=r"micrographs\.csv"):
        nc.evaluate(tmp_path)
    tifffile.imwrite(tmp_path / "one.tif", np.eye(40, dtype=np.uint8))
    (tmp_path / "micrographs.csv").write_text("file,sample\none.tif,a\n")
    with pytest.raises(InputError, match="micrographs with masks"):
        nc.evaluate(tmp_path)
    for asked, words in (
        ({"name": "sharpness"}, "figure 'sharpness': expected one of dice, "),
        ({"name": "dice", "sample": "Co9"}, "sample 'Co9': expected one of simulated, got no such row"),
        ({"name": "dice", "method": "guess"}, "method 'guess': expected one of network, otsu, got no such row"),
        ({"name": "calibration_error", "method": "otsu"}, "figure 'calibration_error': "),
    ):
        with pytest.raises(InputError, match=words):
            evaluation.figure(**asked)


def test_a_level_in_percent_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="level: expected a number between 0 and 1, got 95"):
        nc.evaluate(folder, out=tmp_path, level=95.0)


@pytest.mark.parametrize(
    ("told", "named"),
    [({"model": "paper"}, "model"), ({"table": "t.csv", "pixel_size_assumed": True}, "table, pixel_size_assumed")],
)
def test_a_job_or_run_is_not_told_what_it_says_itself(tmp_path, told, named):
    job = nc.Job(out=tmp_path / "out", input=InputSection(tmp_path / "raw"))
    (tmp_path / "job.toml").write_text('out = "out"')
    (tmp_path / "run").mkdir()
    write_manifest(tmp_path / "run", nc.Manifest.from_rows([], []))
    for what in (job, tmp_path / "job.toml", tmp_path / "run"):
        with pytest.raises(InputError, match=f"expected a folder of micrographs, if {named} is given"):
            nc.evaluate(what, **told)


def test_the_page_of_columns_is_what_the_code_declares():
    page = Path(__file__).parents[2] / "docs/reference/evaluation.md"
    assert page.read_text(encoding="utf-8") == evaluation_markdown(), "run `nanocensus schema` to write it again"


def test_every_figure_of_merit_is_documented(evaluation):
    documented = re.findall(r"^\| `(\w+)` \|", evaluation_markdown().split("## Figures of merit")[1], re.MULTILINE)
    assert set(evaluation.summary["figure"]) == set(documented)
