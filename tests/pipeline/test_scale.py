"""Stated pixel sizes against the lattice of the micrographs in a store."""

import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from typer.testing import CliRunner

from nanocensus.cli import app
from nanocensus.errors import CalibrationError, InputError
from nanocensus.measure.lattice import find_spots, scale_from_lattice
from nanocensus.pipeline.job.lattices import lattice_spacings
from nanocensus.pipeline.report.scale_words import scale_in_words
from nanocensus.pipeline.run import scale as module
from nanocensus.pipeline.run.scale import TABLE, SessionScale, check_scale, known_scales
from nanocensus.store.images.ingest import STORE_FOLDER, ingest
from nanocensus.store.images.recalibration import RECALIBRATION_FILE
from nanocensus.store.manifest import read_manifest
from nanocensus.store.studies.sources import find_sources


@pytest.fixture(scope="module")
def ingested(tmp_path_factory, lattice_micrograph):
    """Three sessions: one whose header is right, one whose is 1 % too small, one without a lattice."""
    rng, folder = np.random.default_rng(8), tmp_path_factory.mktemp("scale")
    raw = folder / "raw"
    raw.mkdir()
    lines = ["file,session"]
    for session, true, fringes in (("monday", 0.086, 0.35), ("tuesday", 0.08686, 0.35), ("wednesday", 0.086, 0.0)):
        for number in range(2):
            name = f"{session}{number}.tif"
            pixels = lattice_micrograph(rng, true, fringes=fringes)
            tifffile.imwrite(
                raw / name, pixels, imagej=True, metadata={"unit": "nm"}, resolution=(1 / 0.086, 1 / 0.086)
            )
            lines.append(f"{name},{session}")
    (raw / "micrographs.csv").write_text("\n".join(lines) + "\n")
    take_in(folder / "out")
    check_scale(folder / "out", "Co3O4")  # so that the tests below find it in the table
    return folder


@pytest.fixture
def out(ingested, tmp_path):
    """A copy of it that a test may change."""
    shutil.copytree(ingested, tmp_path / "copy")
    return tmp_path / "copy" / "out"


def take_in(out):
    raw = out.parent / "raw"
    return ingest(find_sources(raw, table=raw / "micrographs.csv"), out, complete=True)


def test_each_session_is_held_against_its_lattice(out):
    monday, tuesday, wednesday = check_scale(out, "Co3O4")
    assert [each.session for each in (monday, tuesday, wednesday)] == ["monday", "tuesday", "wednesday"]
    assert not monday.disagrees
    assert abs(monday.difference) < 2e-3
    assert tuesday.disagrees
    assert tuesday.difference == pytest.approx(0.01, abs=2e-3)
    assert wednesday.found is None
    assert not wednesday.disagrees
    table = pd.read_csv(out / TABLE).set_index("session")
    assert table.loc["tuesday", "pixel_size_nm"] == tuesday.found.pixel_size_nm
    assert table["lattice_seen"].to_dict() == {"monday": True, "tuesday": True, "wednesday": False}


def test_the_command_says_which_session_disagrees(out):
    said = CliRunner().invoke(app, ["scale", str(out), "--lattice", "0.46673,0.28581,0.24374,0.23337,0.2021"])
    assert said.exit_code == 0
    text = " ".join(said.output.split())
    assert "disagrees tuesday: say --recalibrate" in text
    assert "no lattice seen" in text
    assert "disagrees monday" not in text


def test_a_crystal_file_and_a_cubic_constant_are_lattices_too(out, tmp_path):
    cif = tmp_path / "spinel.cif"
    cell = "\n".join(f"_cell_length_{edge} 8.0840(3)" for edge in "abc")
    cif.write_text(f"data_spinel\n_symmetry_space_group_name_H-M 'F d -3 m'\n{cell}\n")
    for lattice in (str(cif), "8.084 F"):
        monday, tuesday, wednesday = check_scale(out, lattice)
        assert abs(monday.difference) < 2e-3
        assert tuesday.difference == pytest.approx(0.01, abs=2e-3)
        assert wednesday.found is None
    CliRunner().invoke(app, ["scale", str(out), "--lattice", str(cif), "--recalibrate"])
    take_in(out)
    assert sizes(out).loc["tuesday", "pixel_size_source"] == "lattice spinel.cif"  # no path in a table


def test_a_crystal_file_may_begin_with_the_mark_of_a_windows_editor(tmp_path):
    cell = "\r\n".join(f"_cell_length_{edge} 4.08" for edge in "abc")
    text = f"data_gold\r\n_symmetry_space_group_name_H-M 'F m -3 m'\r\n{cell}\r\n"
    (tmp_path / "gold.cif").write_bytes(text.encode("utf-8-sig"))
    np.testing.assert_allclose(lattice_spacings(str(tmp_path / "gold.cif")), lattice_spacings("4.08 F"))


@pytest.mark.parametrize("content", [None, b"no crystal", b"\xff\xfe\0", b"data_x\n" * 2_000_000])
def test_a_file_that_is_no_crystal_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "x.cif").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.cif"):
        lattice_spacings(str(tmp_path / "x.cif"))


@pytest.mark.parametrize("lattice", ["Unobtainium", "0.408 F", "4.08 Q", "408 F", "0.2,x", "0.2,-1", ""])
def test_an_unknown_lattice_is_refused_with_those_that_are_known(tmp_path, lattice):
    with pytest.raises(InputError, match="one of Co3O4"):
        check_scale(tmp_path, lattice)


def sizes(out):
    index = read_manifest(out).micrographs
    return index.groupby("session")[["pixel_size_nm", "pixel_size_source", "pixel_size_uncertainty"]].first()


def test_a_recalibration_counts_from_the_next_run_on_and_can_be_undone(out):
    command = ["scale", str(out), "--lattice", "Co3O4"]
    before = sizes(out)
    said = CliRunner().invoke(app, [*command, "--recalibrate"])
    assert "recalibrated tuesday: 0.086 nm becomes 0.0868" in said.output
    pd.testing.assert_frame_equal(sizes(out), before)  # nothing but the record was written
    take_in(out)
    after = sizes(out)
    assert after.loc["tuesday", "pixel_size_nm"] == pytest.approx(0.08686, rel=1e-3)
    assert after.loc["tuesday", "pixel_size_source"] == "lattice Co3O4"
    assert 5e-4 < after.loc["tuesday", "pixel_size_uncertainty"] < 2e-3
    assert after.loc["wednesday"].to_list()[:2] == before.loc["wednesday"].to_list()[:2]  # no lattice was seen there
    index = read_manifest(out).micrographs.set_index("session")
    assert index.loc["tuesday", "stated_pixel_size_nm"].eq(before.loc["tuesday", "pixel_size_nm"]).all()
    assert index.loc["tuesday", "stated_pixel_size_source"].eq("ImageJ").all()
    assert index["stated_pixel_size_nm"].isna().sum() == 2
    shown = zarr.open_group(out / STORE_FOLDER / index.loc["tuesday", "micrograph"].iloc[0], mode="r").attrs["ome"]
    scale = shown["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"]
    assert scale == [after.loc["tuesday", "pixel_size_nm"]] * 2

    monday, tuesday, _ = check_scale(out, "Co3O4")
    assert not tuesday.disagrees
    assert abs(tuesday.difference) < 1e-9
    assert tuesday.stated_nm == monday.stated_nm != tuesday.used_nm
    assert "stated sizes again" in CliRunner().invoke(app, ["scale", "--help"]).output
    assert CliRunner().invoke(app, ["scale", str(out), "--undo"]).output.startswith("Run the job again")
    take_in(out)
    pd.testing.assert_frame_equal(sizes(out), before)
    assert "Nothing to undo" in CliRunner().invoke(app, ["scale", str(out), "--undo"]).output


def test_a_recalibration_that_concerns_nothing_any_more_is_told(out, caplog):
    CliRunner().invoke(app, ["scale", str(out), "--lattice", "Co3O4", "--recalibrate"])
    table = out.parent / "raw" / "micrographs.csv"
    lines = table.read_text().splitlines()
    given = [line + (",0.0868" if "tuesday" in line else ",") for line in lines[1:]]
    table.write_text("\n".join([lines[0] + ",pixel_size_nm", *given]) + "\n")
    take_in(out)
    told = [record.getMessage() for record in caplog.records if "concerns no micrograph" in record.getMessage()]
    assert len(told) == 1
    assert "session tuesday" in told[0]
    assert sizes(out).loc["tuesday", "pixel_size_nm"] == 0.0868


def test_a_recalibration_by_another_lattice_keeps_sessions_that_it_does_not_see(out):
    CliRunner().invoke(app, ["scale", str(out), "--lattice", "Co3O4", "--recalibrate"])
    recorded = (out / RECALIBRATION_FILE).read_bytes()
    said = CliRunner().invoke(app, ["scale", str(out), "--lattice", "0.9,0.8", "--recalibrate"])
    assert "Nothing was recorded" in said.output
    assert (out / RECALIBRATION_FILE).read_bytes() == recorded


def test_a_listing_states_uncertainties_and_a_recalibration_goes_before_them(out):
    raw = out.parent / "raw"
    table = raw / "micrographs.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([lines[0] + ",pixel_size_uncertainty", *(line + ",0.01" for line in lines[1:])]) + "\n")
    take_in(out)
    assert sizes(out)["pixel_size_uncertainty"].eq(0.01).all()
    assert not check_scale(out, "Co3O4")[1].disagrees  # 1 % off, and one percent is what was stated
    CliRunner().invoke(app, ["scale", str(out), "--lattice", "Co3O4", "--recalibrate"])
    take_in(out)
    assert sizes(out)["pixel_size_uncertainty"].lt(0.01).to_list() == [True, True, False]


@pytest.mark.parametrize("stated", ["0", "-0.01", "1.5"])
def test_impossible_uncertainties_are_refused(out, stated):
    with pytest.raises(CalibrationError, match="pixel_size_uncertainty"):
        find_sources(out.parent / "raw", pixel_size_uncertainty=float(stated))


def test_without_a_lattice_the_command_asks_for_one(out):
    assert isinstance(CliRunner().invoke(app, ["scale", str(out)]).exception, InputError)


def test_what_was_looked_at_is_known_until_its_size_in_use_changes(out, monkeypatch):
    first = check_scale(out, "Co3O4")
    looked = []
    monkeypatch.setattr(module, "find_spots", lambda pixels: looked.append(pixels) or find_spots(pixels[:8, :8]))
    assert check_scale(out, "Co3O4") == first == known_scales(out)
    assert not looked
    assert not any(each.found for each in check_scale(out, "Au"))  # other spacings are looked for anew, here in nothing
    assert len(looked) == 6
    monkeypatch.undo()
    assert check_scale(out, "Co3O4") == first  # anew, since the table held those of Au, and to the same bit
    CliRunner().invoke(app, ["scale", str(out), "--lattice", "Co3O4", "--recalibrate"])
    assert known_scales(out) == first
    take_in(out)
    assert [each.session for each in known_scales(out)] == ["wednesday"]  # the others have other sizes now


@pytest.mark.parametrize("content", [b"", b"session\n1\n", b"\xff\xfe"])
def test_a_table_that_something_else_wrote_is_nothing_known(out, content):
    (out / TABLE).write_bytes(content)
    assert known_scales(out) == []


def test_what_the_check_says(out):
    found = check_scale(out, "Co3O4")
    monday, tuesday, wednesday = map(scale_in_words, found)
    assert monday.startswith("Scale of session monday: Co3O4 fringes give 0.08")
    assert monday.endswith(": the two agree.")
    assert "disagrees with the lattice" in tuesday
    assert f"{100 * found[1].difference:+.2f} % from the 0.086 nm in use" in tuesday
    assert "no lattice of Co3O4 is seen" in wednesday
    CliRunner().invoke(app, ["scale", str(out), "--lattice", "Co3O4", "--recalibrate"])
    take_in(out)
    again = scale_in_words(check_scale(out, "Co3O4")[1])
    size = f"{found[1].found.pixel_size_nm:.5g}"
    assert again.endswith(f", 0.00 % from the {size} nm in use instead of the stated 0.086 nm: the two agree.")


def test_a_difference_of_three_standard_uncertainties_is_the_bound(out):
    tuesday = check_scale(out, "Co3O4")[1]
    bound = 3 * tuesday.uncertainty
    for factor, disagrees in ((0.99, False), (1.01, True)):
        used = tuesday.found.pixel_size_nm / (1 + factor * bound)
        assert SessionScale("x", None, 2, used, used, None, tuesday.found).disagrees is disagrees
        assert not SessionScale("x", None, 2, used, used, bound, tuesday.found).disagrees  # of which one is unsure


@pytest.mark.slow
def test_uncertainties_hold_strained_lattices_and_raise_no_false_alarm(lattice_micrograph):
    within, false_alarms, told = [], [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        strain, true = rng.uniform(-1e-3, 1e-3), 0.086 * (1 + rng.uniform(-0.03, 0.03))
        # A lattice that is wider than it should be looks like smaller pixels.
        spots = [find_spots(lattice_micrograph(rng, true * (1 - strain))) for _ in range(2)]
        scale = scale_from_lattice(spots, 0.086, lattice_spacings("Co3O4"))
        each = SessionScale("Co3O4", None, 2, true, true, None, scale)
        within.append(abs(each.difference) < 1.96 * each.uncertainty)
        false_alarms.append(each.disagrees)
        told.append(SessionScale("Co3O4", None, 2, true * 1.005, true * 1.005, None, scale).disagrees)
    assert np.mean(within) >= 0.85  # of 40 at 95 %, three standard deviations are 10 points
    assert not any(false_alarms)
    assert np.mean(told) >= 0.9
