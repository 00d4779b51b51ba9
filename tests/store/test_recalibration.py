"""The record of pixel sizes that replace stated ones."""

import json

import pytest

from nanocensus.errors import DamageError, FormatVersionError
from nanocensus.store.images.recalibration import (
    RECALIBRATION_FILE,
    Recalibration,
    read_recalibrations,
    recalibrated,
    remove_recalibrations,
    stated_size,
    write_recalibrations,
)

TUESDAY = Recalibration("tuesday", 0.086, 0.08686, 6e-4, "lattice Co3O4")
NO_SESSION = Recalibration(None, 0.1, 0.0999, 1e-3, "lattice Au")
ROW = {"session": "tuesday", "pixel_size_nm": 0.086, "pixel_size_source": "ImageJ"}


def test_what_was_recorded_is_read_again_and_removed_whole(tmp_path):
    assert read_recalibrations(tmp_path) == []
    write_recalibrations(tmp_path, [TUESDAY, NO_SESSION])
    assert read_recalibrations(tmp_path) == [TUESDAY, NO_SESSION]
    assert remove_recalibrations(tmp_path)
    assert not remove_recalibrations(tmp_path)
    assert read_recalibrations(tmp_path) == []


@pytest.mark.parametrize(
    "content", ["", "[]", '{"format_version": "1.2"}', '{"format_version": "1.2", "pixel_sizes": [{"a": 1}]}']
)
def test_a_damaged_record_is_never_taken_for_none(tmp_path, content):
    (tmp_path / RECALIBRATION_FILE).write_text(content)
    with pytest.raises(DamageError, match="--undo"):
        read_recalibrations(tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"pixel_size_nm": -0.1}, {"pixel_size_nm": 1e6}, {"uncertainty": 0}, {"stated_nm": "x"}]
)
def test_a_record_of_what_cannot_be_is_damaged(tmp_path, wrong):
    write_recalibrations(tmp_path, [TUESDAY])
    path = tmp_path / RECALIBRATION_FILE
    stated = json.loads(path.read_text())
    stated["pixel_sizes"][0] |= wrong
    path.write_text(json.dumps(stated))
    with pytest.raises(DamageError, match="--undo"):
        read_recalibrations(tmp_path)


def test_a_newer_record_is_refused(tmp_path):
    (tmp_path / RECALIBRATION_FILE).write_text('{"format_version": "2.0", "pixel_sizes": []}')
    with pytest.raises(FormatVersionError):
        read_recalibrations(tmp_path)


def test_session_and_stated_size_decide_what_is_replaced():
    known = [NO_SESSION, TUESDAY]
    changed = ROW | recalibrated(ROW, known)
    assert (changed["pixel_size_nm"], changed["pixel_size_source"]) == (0.08686, "lattice Co3O4")
    assert changed["pixel_size_uncertainty"] == 6e-4
    assert stated_size(changed) == (0.086, "ImageJ")
    assert stated_size(ROW | {"stated_pixel_size_nm": None}) == (0.086, "ImageJ")
    for other in ({"session": "monday"}, {"session": None}, {"pixel_size_nm": 0.043}):
        assert recalibrated(ROW | other, known) == {}
    assert recalibrated({"session": None, "pixel_size_nm": 0.1, "pixel_size_source": "given"}, known)
