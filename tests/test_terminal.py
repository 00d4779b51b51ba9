"""What stands in the log of a batch job, which no terminal shows."""

import pytest

from nanocensus import terminal
from nanocensus.pipeline.workers.dispatch import Progress


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    return now


def test_a_stage_says_each_minute_how_far_it_is_and_when_it_is_finished(clock, capsys):
    with terminal.progress_shown() as show:
        for second, done in enumerate(range(0, 601, 3)):
            clock[0] = 1000.0 + second
            show(Progress("process", done, 600))
            show(Progress("process", done, 600))
    assert capsys.readouterr().err.splitlines() == [
        "process: 180 of 600, 3.0/s, 0:02:20 left",
        "process: 360 of 600, 3.0/s, 0:01:20 left",
        "process: 540 of 600, 3.0/s, 0:00:20 left",
        "process: 600 of 600, 3.0/s",
    ]


def test_what_was_done_before_does_not_count_for_the_rate(clock, capsys):
    with terminal.progress_shown() as show:
        show(Progress("network", 500, 1000))
        clock[0] += 90
        show(Progress("network", 530, 1000))
    assert capsys.readouterr().err == "network: 530 of 1000, 3.0 s each, 0:23:30 left\n"


def test_a_stage_that_was_finished_before_has_no_rate(clock, capsys):
    with terminal.progress_shown() as show:
        show(Progress("ingest", 3, 3))
    assert capsys.readouterr().err == "ingest: 3 of 3\n"
