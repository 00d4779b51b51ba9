import numpy as np
import pytest

from nanocensus import provenance
from nanocensus.provenance import digest, file_digest, machine, versions


def test_digests_depend_on_values_not_on_the_order_of_keys():
    assert digest("a", {"x": 1, "y": 2.0}) == digest("a", {"y": 2.0, "x": 1})
    assert digest("a", {"x": 1}) != digest("a", {"x": 2})
    assert digest("ab", "c") != digest("a", "bc")


def test_what_has_no_json_form_has_no_digest():
    with pytest.raises(ValueError, match="JSON"):
        digest(float("nan"))
    with pytest.raises(TypeError):
        digest(np.zeros(3))


def test_a_file_digest_is_that_of_its_bytes(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    assert file_digest(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_versions_and_machine_name_no_host():
    import socket

    assert versions()["numpy"] == np.__version__
    assert socket.gethostname() not in str(machine())


def test_extras_are_named_where_they_are_installed_and_nowhere_else(monkeypatch):
    roifile = pytest.importorskip("roifile")
    monkeypatch.setattr(provenance, "OPTIONAL", ("roifile", "never-installed"))
    monkeypatch.setattr(provenance, "VERSIONED", ("numpy", "neither-is-this"))
    found = versions()
    assert found["roifile"] == roifile.__version__
    assert "never-installed" not in found
    assert found["neither-is-this"] == "not installed"


def test_what_reads_images_or_runs_networks_by_an_extra_is_recorded():
    assert {"openvino", "rosettasciio", "roifile"} <= set(provenance.OPTIONAL)
