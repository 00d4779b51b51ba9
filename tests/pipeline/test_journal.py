import json

import pytest

from nanocensus.pipeline.run.journal import JOURNAL, MICROGRAPH, START, Journal, rate_of_last_run, read_events


def test_a_line_that_was_cut_off_costs_no_other(tmp_path):
    with Journal(tmp_path) as journal:
        journal.note(START, micrographs=1)
    path = tmp_path / JOURNAL
    path.write_bytes(path.read_bytes() + b'{"time": "2026-01-01T00:00:00+00:00", "ev')
    with Journal(tmp_path) as journal:
        journal.note(MICROGRAPH, name="a.tif")
    assert [event["event"] for event in read_events(tmp_path)] == ["start", "end", "micrograph", "end"]


def test_how_a_run_ended_is_noted(tmp_path):
    with pytest.raises(KeyboardInterrupt), Journal(tmp_path):
        raise KeyboardInterrupt
    (event,) = read_events(tmp_path)
    assert (event["event"], event["reason"]) == ("stopped", "KeyboardInterrupt")


def test_the_rate_is_that_of_the_last_run(tmp_path):
    assert rate_of_last_run(tmp_path) is None
    times = ("10:00:00", "10:00:01", "11:00:00", "11:00:30", "11:01:00", "11:01:30")
    kinds = (MICROGRAPH, MICROGRAPH, START, MICROGRAPH, MICROGRAPH, MICROGRAPH)
    lines = [
        json.dumps({"time": f"2026-01-01T{at}+00:00", "event": kind}) for at, kind in zip(times, kinds, strict=True)
    ]
    (tmp_path / JOURNAL).write_text("\n".join(lines) + "\n")
    assert rate_of_last_run(tmp_path) == pytest.approx(2.0)
