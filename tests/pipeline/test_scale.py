"""Stated pixel sizes against the lattice of the micrographs in a store."""

import numpy as np
import pandas as pd
import pytest
import tifffile
from typer.testing import CliRunner

from nanocensus.cli import app
from nanocensus.errors import InputError
from nanocensus.pipeline.scale import TABLE, check_scale
from nanocensus.store.ingest import ingest
from nanocensus.store.sources import find_sources


@pytest.fixture
def out(tmp_path, lattice_micrograph):
    """Three sessions: one whose header is right, one whose is 1 % too small, one without a lattice."""
    rng, raw = np.random.default_rng(8), tmp_path / "raw"
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
    ingest(find_sources(raw, table=raw / "micrographs.csv"), tmp_path / "out")
    return tmp_path / "out"


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
    assert table.loc["tuesday", "found_nm"] == tuesday.found.pixel_size_nm
    assert table["spots"].gt(0).to_dict() == {"monday": True, "tuesday": True, "wednesday": False}


def test_the_command_says_which_session_disagrees(out):
    said = CliRunner().invoke(app, ["scale", str(out), "--lattice", "0.46673,0.28581,0.24374,0.23337,0.2021"])
    assert said.exit_code == 0
    text = " ".join(said.output.split())
    assert "disagrees tuesday: fill 0.086" in text
    assert "no lattice seen" in text
    assert "disagrees monday" not in text


@pytest.mark.parametrize("lattice", ["Unobtainium", "0.2,x", "0.2,-1", ""])
def test_an_unknown_lattice_is_refused_with_those_that_are_known(tmp_path, lattice):
    with pytest.raises(InputError, match="one of Co3O4"):
        check_scale(tmp_path, lattice)
