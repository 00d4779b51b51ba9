import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nanocensus import cli
from nanocensus.errors import LockedError
from nanocensus.terminal import stopping_politely

ROOT = Path(__file__).parents[1]


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the command line; give its exit code, what it printed, and what it complained of."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["nanocensus", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        printed = capsys.readouterr()
        return left.value.code or 0, printed.out, printed.err

    return run


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "expected a job file"),
        ("out = [", "expected TOML"),
        ('out = "r"\n[input]\nfolder = "nowhere"\n', "nowhere"),
        ('out = "r"\n[input]\nfodler = "raw"\n', "Did you mean 'folder'"),
        ('out = "r"\n[input]\nfolder = "empty"\n', "expected micrographs"),
        ('out = "r"\ndevice = "gpu"\n[simulate]\nmicrographs = 1\n', "cuda13"),
        ('out = "r"\n[simulate]\nmicrographs = 1\n[cluster]\nscheduler = "tcp://127.0.0.1:1"\n', "dask scheduler"),
        ('out = "r"\n[simulate]\nmicrographs = 1\n[cluster]\nscheduler = "nonsense"\n', "dask scheduler"),
        ('out = "empty/r"\n[input]\nfolder = "empty"\n', "[job] out"),
        ('out = "r"\n[simulate]\n[simulate.micrograph]\ncontrast = 7.0\n', "[simulate.micrograph] contrast"),
        ('out = "r"\n[simulate]\n[segment]\ntile_px = 16\n', "[segment] tile_px"),
        ('out = "r"\n[simulate]\n[segment]\nmodel = "defualt"\n', "default-fold0"),
    ],
)
def test_a_users_mistake_is_answered_in_words_and_an_exit_code(call, tmp_path, text, words, monkeypatch):
    monkeypatch.setattr("nanocensus.pipeline.workers.clusters.CONNECT_TIMEOUT", 1.0)
    (tmp_path / "empty").mkdir()
    job = tmp_path / "job.toml"
    if text is not None:
        job.write_text(text)
    code, _, complaint = call("run", job)
    assert code == (4 if "cuda13" in words else 2)
    assert words in complaint
    assert "expected" in complaint
    assert "Traceback" not in complaint


def test_what_is_asked_of_tables_is_refused_for_a_run(call, tmp_path):
    code, _, complaint = call("analyse", tmp_path, "--onset", "circularity=2.6:7.6", "--of", "solidity")
    assert code == 2
    assert "got --of, --onset" in " ".join(complaint.split())
    code, _, complaint = call("analyse", tmp_path, "--bin-width-nm", "1.0", "--pixel-size-nm", "0")
    assert code == 2
    assert "got --pixel-size-nm, --bin-width-nm" in " ".join(complaint.split())


def test_tables_by_a_pattern_need_a_folder_to_write_to(call, tmp_path):
    code, _, complaint = call("analyse", tmp_path / "*.csv")
    assert code == 2
    assert "Say --out" in complaint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('models = "m"\nlerning_rate = 0.1\n', "job.toml, line 2: [job] lerning_rate"),
        ('models = "m"\nfolds = "three"\n', "job.toml, line 2: [job] folds: expected a whole number"),
        ('models = "m"\nout = "results"\n', "these are all there are"),
    ],
)
def test_a_mistake_in_a_training_job_is_answered_with_its_line(call, tmp_path, text, words):
    (tmp_path / "job.toml").write_text(text)
    code, _, complaint = call("train", tmp_path / "job.toml")
    assert code == 2
    assert words in " ".join(complaint.split())


def test_particles_of_less_than_a_pixel_are_not_called_large(call, tmp_path):
    code, _, complaint = call("evaluate", tmp_path, "--large-px", 0)
    assert code == 2
    assert "large_px: expected at least 1, got 0" in complaint


@pytest.mark.parametrize("command", ["status", "doctor", "report", "analyse", "evaluate"])
def test_a_folder_without_results_is_named(call, tmp_path, command):
    code, _, complaint = call(command, tmp_path)
    assert code == 3
    assert str(tmp_path) in complaint.replace("\n", "")
    assert "Traceback" not in complaint


def test_an_unknown_command_is_a_usage_error(call):
    code, _, complaint = call("rnu")
    assert code == 2
    assert "rnu" in complaint


def test_an_interrupt_says_that_nothing_is_lost(call, monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("nanocensus.api.run", interrupted)
    code, _, complaint = call("run", tmp_path / "job.toml")
    assert code == cli.INTERRUPTED
    assert "goes on from there" in complaint


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_for_a_stop_and_the_second_stops_at_once(number, capsys):
    before = signal.getsignal(number)
    with stopping_politely() as stopping:
        assert not stopping()
        os.kill(os.getpid(), number)
        assert stopping()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
    assert "once more stops at once" in capsys.readouterr().err


def test_the_lock_of_a_killed_run_does_not_stay(tmp_path):
    from nanocensus.store.manifest import OutputLock

    held = (
        f"from nanocensus.store.manifest import OutputLock; from pathlib import Path; import os, signal\n"
        f"with OutputLock(Path({str(tmp_path)!r})): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", held], check=False).returncode == -signal.SIGKILL
    with OutputLock(tmp_path):
        pass


def test_two_runs_on_one_output_are_refused(tmp_path):
    from nanocensus import api
    from nanocensus.store.manifest import OutputLock

    with OutputLock(tmp_path), pytest.raises(LockedError, match="no other run"):
        api.run({"out": str(tmp_path), "simulate": {"micrographs": 1}})


def test_the_published_contracts_are_those_of_the_code(call, monkeypatch):
    monkeypatch.chdir(ROOT)
    code, printed, _ = call("schema", "--check")
    assert (code, printed) == (0, "")


def test_a_drifted_contract_is_noticed(call, tmp_path):
    call("schema", "--folder", tmp_path, "--page", tmp_path / "columns.md")
    contract = json.loads((tmp_path / "particles.json").read_text())
    del contract["properties"]["solidity"]
    (tmp_path / "particles.json").write_text(json.dumps(contract))
    code, printed, _ = call("schema", "--check", "--folder", tmp_path, "--page", tmp_path / "columns.md")
    assert code == 1
    assert "particles.json" in printed


def test_contracts_that_cannot_be_written_are_no_traceback(call, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, complaint = call("schema", "--folder", tmp_path / "file", "--page", tmp_path / "columns.md")
    assert code == 3
    assert "expected a place that can be written" in complaint


def test_doctor_names_what_is_installed_and_under_which_licence(call):
    code, printed, _ = call("doctor")
    assert code == 0
    assert "numpy" in printed
    assert "GPL-3.0" in printed


def test_simulated_micrographs_can_be_ingested(call, tmp_path):
    assert call("simulate", tmp_path / "raw", "--n", 1)[0] == 0
    code, printed, _ = call("ingest", tmp_path / "raw", tmp_path / "out", "--table", tmp_path / "raw/micrographs.csv")
    assert (code, "1 micrographs, 0 files refused" in printed) == (0, True)
