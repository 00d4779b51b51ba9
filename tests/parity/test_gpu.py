"""What a GPU gives, against what the CPU gives: run where there is one (benchmarks/gpu/run.sh)."""

import io
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from nanocensus.measure.regions._gpu import label_regions
from nanocensus.measure.regions._runs import extents, paint, runs_of_map
from nanocensus.pipeline.job.spec import parse_job
from nanocensus.pipeline.run.runner import census
from nanocensus.segment.prediction.weights import load_model
from nanocensus.simulate.rendering import simulate_micrograph, write_simulated
from nanocensus.simulate.spec import SimulationSpec
from nanocensus.store.manifest import OutputLock
from nanocensus.store.particles.tables import read_particles

pytestmark = pytest.mark.gpu

SPEC = SimulationSpec(shape=(1024, 1024), pixel_size_nm=0.086, mean_particles=40.0, mean_edge_length_nm=6.0)


@pytest.mark.parametrize("case", ["particles", "specks", "nothing", "everything", "one column"])
def test_cucim_gives_the_labels_and_integers_of_the_host(case):
    rng = np.random.default_rng(1)
    fraction = simulate_micrograph(SPEC, rng).area_fraction
    probability = {
        "particles": np.rint(255 * gaussian_filter(fraction, 1)).astype(np.uint8),
        "specks": (255 * (rng.random((700, 900)) > 0.6)).astype(np.uint8),
        "nothing": np.zeros((64, 64), np.uint8),
        "everything": np.full((300, 200), 255, np.uint8),
        "one column": (255 * (rng.random((500, 1)) > 0.5)).astype(np.uint8),
    }[case]
    labels, found = label_regions(probability, 127.5)
    runs = runs_of_map(probability, 127.5)
    expected = extents(runs, probability)
    np.testing.assert_array_equal(labels, paint(runs))
    for name in ("label", "box", "pixel_count", "mean_probability", "min_probability"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
        assert getattr(found, name).dtype == getattr(expected, name).dtype


def test_maps_agree_to_a_step_but_in_few_pixels_and_masks_in_nearly_all():
    pixels = simulate_micrograph(SPEC, np.random.default_rng(3)).pixels
    images = {"uint16": pixels, "float64": pixels.astype("float64")}
    on_cpu = cpu_probabilities(images)
    for name, image in images.items():
        on_gpu = load_model("default").probability(image)
        steps = abs(on_gpu.astype(int) - on_cpu[name])
        assert (steps > 1).mean() < 1e-3, f"{name}: up to {steps.max()} steps"
        assert ((on_gpu > 127) != (on_cpu[name] > 127)).mean() < 1e-4


def cpu_probabilities(images):
    """Predict in a process that sees no GPU."""
    program = (
        "import sys, io, numpy as np; from nanocensus.segment.prediction.weights import load_model; m = load_model('default');"
        "images = np.load(io.BytesIO(sys.stdin.buffer.read()));"
        "np.savez(sys.stdout.buffer, **{name: m.probability(images[name]) for name in images})"
    )
    sent = io.BytesIO()
    np.savez(sent, **images)
    cpu = os.environ | {"JAX_PLATFORMS": "cpu", "NPROC": "8"}
    done = subprocess.run(
        [sys.executable, "-c", program], input=sent.getvalue(), stdout=subprocess.PIPE, check=True, env=cpu
    )
    return np.load(io.BytesIO(done.stdout))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same micrographs done by the CPU and by the GPU: particles and summary of each."""
    root = tmp_path_factory.mktemp("parity")
    write_simulated(root / "raw", SPEC, n=10, seed=7, sample="s")
    done = {}
    for device in ("gpu", "cpu"):
        job = {
            "out": str(root / device),
            "device": device,
            "cluster": {"workers": 5},
            "input": {"folder": str(root / "raw"), "table": str(root / "raw" / "micrographs.csv")},
        }
        with OutputLock(root / device):
            summary = census(parse_job(job))
        done[device] = summary, read_particles(root / device).compute()
    return done


def test_the_device_is_recorded_by_its_name(runs):
    assert runs["gpu"][0].device.kind == "gpu"
    assert "NVIDIA" in runs["gpu"][0].device.name


def test_no_micrograph_fails_on_either(runs):
    assert [runs[device][0].n_failed for device in ("gpu", "cpu")] == [0, 0]
    assert runs["gpu"][0].n_micrographs == 10


def test_counts_agree_within_two_in_a_thousand(runs):
    on_gpu, on_cpu = (len(runs[device][1]) for device in ("gpu", "cpu"))
    assert on_cpu > 300
    assert abs(on_gpu - on_cpu) <= 0.002 * on_cpu


@pytest.mark.parametrize("column", ["edge_length_nm", "circularity", "solidity", "feret_max_nm", "perimeter_nm"])
def test_means_of_size_bins_agree_within_one_in_a_thousand(runs, column):
    means = {}
    for device in ("gpu", "cpu"):
        table = runs[device][1]
        inside = table[~table["touches_border"] & (table["pixel_count"] >= 200)]
        means[device] = inside.groupby(pd.cut(inside["edge_length_nm"], [2, 5, 6, 7, 10]), observed=True)[column].mean()
    assert len(means["cpu"]) >= 3
    np.testing.assert_allclose(means["gpu"], means["cpu"], rtol=1e-3)
