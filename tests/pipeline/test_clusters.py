"""Where work is done, who may do it, and who may listen."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import distributed
import psutil
import pytest

import nanocensus as nc
from nanocensus.errors import InputError, JobError
from nanocensus.pipeline.job.plan import Network
from nanocensus.pipeline.job.spec import parse_job, read_job
from nanocensus.pipeline.job.work_sections import ClusterSection, SlurmSection
from nanocensus.pipeline.workers import proof as worker_proof
from nanocensus.pipeline.workers.batch import slurm_cluster, wait_for_worker, worker_script
from nanocensus.pipeline.workers.clusters import open_client, worker_environment
from nanocensus.pipeline.workers.proof import proven
from nanocensus.provenance import versions
from nanocensus.segment.prediction.weights import load_model

JOBS = Path(__file__).parents[2] / "jobs"


def test_schedulers_workers_and_dashboards_listen_on_this_machine_alone(client):
    here = psutil.Process()
    listening = {
        connection.laddr.ip
        for process in [here, *here.children(recursive=True)]
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_inline_works_in_this_very_process():
    with open_client(ClusterSection(kind="inline")) as inline:
        assert inline.submit(os.getpid, pure=False).result() == os.getpid()


def test_a_worker_of_other_versions_is_refused_and_the_cluster_left_as_it_was(client, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(worker_proof, "versions", lambda: {"numpy": "0.0"})
        with pytest.raises(InputError, match=r"numpy .* instead of 0\.0"), proven(client, []):
            pytest.fail("it worked")
    with proven(client, []):
        assert client.submit(abs, -1, pure=False).result() == 1


def test_a_worker_without_an_extra_of_the_client_works_and_one_with_another_version_of_it_does_not():
    worker = SimpleNamespace(address="tcp://there:1")
    worker_proof.SameAsClient({**versions(), "never-installed": "1.0"}, {}).setup(worker)
    pytest.importorskip("roifile")
    with pytest.raises(InputError, match=r"there:1.*roifile .* instead of 0\.0"):
        worker_proof.SameAsClient({**versions(), "roifile": "0.0"}, {}).setup(worker)


def test_a_worker_of_other_weights_is_refused(client):
    whole = Network("default", "default", load_model("default").digest)
    with proven(client, [whole]):
        pass
    with (
        pytest.raises(InputError, match="other weights under default"),
        proven(client, [Network("default", "default", "0" * 64)]),
    ):
        pytest.fail("it worked")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"kind": "slurm", "scheduler": "tcp://h:1"}, "one of the two"),
        ({"kind": "inline", "workers": 2}, "this process"),
        ({"scheduler": "tls://h:1"}, "tls_ca, tls_cert and tls_key"),
        ({"scheduler": "tcp://h:1", "tls_ca": "a.pem"}, "tls_ca, tls_cert and tls_key"),
        ({"kind": "slrum"}, "'slurm'"),
        ({"slurm": {"partitoin": "x"}}, "Did you mean 'partition'"),
    ],
)
def test_impossible_clusters_are_refused_before_anything_starts(said, words):
    with pytest.raises(JobError, match=words):
        parse_job({"out": "o", "simulate": {}, "cluster": said})


def test_the_job_file_for_slurm_asks_for_what_it_says():
    section = read_job(JOBS / "slurm.toml").cluster
    told = SlurmSection(
        partition="long", account="lab", directives=("--constraint=avx512",), prologue=("module load x",)
    )
    script = worker_script(
        ClusterSection(kind="slurm", cores_per_worker=section.cores_per_worker, slurm=told), worker_environment(4)
    )
    for line in ("#SBATCH -p long", "#SBATCH -A lab", "#SBATCH --constraint=avx512", "module load x", "export NPROC=4",
                 "#SBATCH --cpus-per-task=4", "#SBATCH -t 08:00:00", "--nthreads 1", "--death-timeout 600",
                 "#SBATCH --output=/dev/null"):  # fmt: skip
        assert line in script
    logged = worker_script(ClusterSection(kind="slurm", slurm=SlurmSection(logs=JOBS)), worker_environment(1))
    assert f"#SBATCH -o {JOBS}/" in logged
    assert "/dev/null" not in logged


def test_without_slurm_here_it_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="sbatch"), slurm_cluster(ClusterSection(kind="slurm"), {}):
        pytest.fail("it started")


def test_that_no_worker_has_come_is_said_and_the_run_waits_on(caplog):
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        later = threading.Timer(1.0, cluster.scale, [1])
        later.start()
        wait_for_worker(client, patience=0.2)
        later.join()
        assert len(client.scheduler_info()["workers"]) == 1
    assert {record.levelname for record in caplog.records if "No worker has come" in record.message} == {"WARNING"}


SBATCH = """#!/bin/sh
for last; do :; done
setsid sh "$last" > /dev/null 2>&1 &
echo $! >> "$FAKE_SLURM/jobs"
echo "Submitted batch job $!"
"""


def test_a_run_whose_batch_workers_are_gone_is_not_left_waiting(tmp_path, monkeypatch):
    for name in ("sbatch", "scancel"):
        (tmp_path / name).write_text("#!/bin/sh\necho Submitted batch job 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with slurm_cluster(ClusterSection(kind="slurm"), worker_environment(1)) as cluster:
        assert cluster.scheduler.no_workers_timeout == 3600
        assert cluster.scheduler.allowed_failures == 0


@pytest.mark.slow
def test_a_job_runs_on_workers_that_a_batch_system_starts(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", "#!/bin/sh\nfor job; do kill -- -$job; done\n")):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("FAKE_SLURM", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    job = {
        "out": str(tmp_path / "out"),
        "simulate": {
            "micrographs": 2,
            "micrograph": {"shape": [96, 96], "mean_particles": 3.0, "mean_edge_length_nm": 1.6},
        },
        "cluster": {"kind": "slurm", "workers": 2, "slurm": {"interface": "lo"}},
    }
    assert nc.run(job).n_failed == 0
    assert len((tmp_path / "jobs").read_text().split()) == 2
    assert nc.read_micrographs(tmp_path / "out")["status"].tolist() == ["done", "done"]


def certificates(folder):
    """Make an authority and one certificate that it signed, good for all."""
    commands = (
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority",
        "req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost",
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2",
    )
    for command in commands:
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


@pytest.mark.slow
def test_a_scheduler_with_certificates_is_used_with_them_and_refuses_others(tmp_path):
    certificates(tmp_path)
    files = ["--tls-ca-file", "ca.pem", "--tls-cert", "cert.pem", "--tls-key", "key.pem"]
    address, dask = "tls://127.0.0.1:38786", [sys.executable, "-m", "dask"]
    scheduler = ["scheduler", "--host", "127.0.0.1", "--port", "38786", "--protocol", "tls", "--no-dashboard"]
    worker = ["worker", address, "--nthreads", "1", "--no-dashboard"]
    with (tmp_path / "log").open("wb") as log:
        there = [
            subprocess.Popen([*dask, *command, *files], cwd=tmp_path, stdout=log, stderr=log)
            for command in (scheduler, worker)
        ]
    try:
        told = {"tls_ca": tmp_path / "ca.pem", "tls_cert": tmp_path / "cert.pem", "tls_key": tmp_path / "key.pem"}
        with open_client(ClusterSection(scheduler=address, **told)) as client:
            assert client.submit(abs, -1, pure=False).result() == 1
        with (
            pytest.raises(InputError, match="a running Dask scheduler"),
            open_client(ClusterSection(scheduler=address.replace("tls", "tcp"))),
        ):
            pytest.fail("it was let in")
    finally:
        for process in there:
            process.terminate()
            process.wait()


def test_workers_say_nothing_of_files_that_are_refused_in_our_own_words():
    code = "import logging; from nanocensus.pipeline.workers.setup import dask_setup; dask_setup(None); "
    code += "assert not logging.getLogger('tifffile').isEnabledFor(logging.ERROR)"
    subprocess.run([sys.executable, "-c", code], check=True)
