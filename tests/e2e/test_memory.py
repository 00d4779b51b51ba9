"""What a worker needs for a micrograph of the size that cameras record."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tifffile

WORKER = """
    import sys
    from pathlib import Path
    import nanocensus as nc
    from nanocensus.pipeline.run.block import process_block
    from nanocensus.pipeline.job.plan import Block, Network, make_task
    from nanocensus.pipeline.job.sections import MeasureSection, SegmentSection
    from nanocensus.segment.prediction.weights import load_model

    out, settings = Path(sys.argv[1]), MeasureSection()
    row = nc.read_manifest(out).rows()[0]
    inference = SegmentSection().inference
    digest = load_model("default").digest
    task = make_task(row, Network("default", "default", digest), inference=inference, measure=settings)
    done = process_block(Block("part-0.parquet", (task,)), out, inference, settings).rows[0]
    assert done["status"] == "done", done["reason"]
    # Not getrusage: a process inherits the largest size of the one that started it.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(status["VmHWM"].split()[0]) * 1024, done["n_detected"])
"""


@pytest.mark.parametrize(
    ("side", "limit"), [(2048, 1.1 * 2**30), pytest.param(4096, 1.5 * 2**30, marks=pytest.mark.slow)]
)
def test_a_worker_stays_below_its_memory(tmp_path, side, limit):
    import nanocensus as nc

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    wells = (np.hypot(y % 160 - 80, x % 160 - 80) < 30).astype(np.float32)  # dark discs, one each 160 px
    pixels = (2000 - 800 * wells + rng.normal(0, 150, wells.shape).astype(np.float32)).astype(np.uint16)
    (tmp_path / "raw").mkdir()
    tifffile.imwrite(tmp_path / "raw" / "large.tif", pixels)
    nc.ingest(tmp_path / "raw", tmp_path / "out", pixel_size_nm=0.086)
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WORKER), str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"},  # XLA's compiler needs memory too
    )
    peak, detected = map(int, ran.stdout.split())
    assert detected == pytest.approx((side / 160) ** 2, rel=0.15)
    assert peak < limit, f"{peak / 2**30:.2f} GiB"
