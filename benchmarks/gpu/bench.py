"""Every stage of the GPU's way alone, then file to particle table; prints tables and writes one JSON file."""

import argparse
import io
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

REPEATS = 7
PAPER = 727
"""Number of micrographs of Cho et al."""


def milliseconds(function, repeats=REPEATS):
    """Give the median time of a call after one that warms up, ms."""
    function()
    spent = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        spent.append(time.perf_counter() - start)
    return round(1e3 * float(np.median(spent)), 3)


@contextmanager
def survived(found, title, folder):
    """Go on after a failure, having told it; what is known so far is on disk, whatever comes next."""
    print(f"== {title}", flush=True)
    try:
        yield
    except Exception as error:  # noqa: BLE001
        found.setdefault("failed", {})[title] = f"{type(error).__name__}: {error}"
        print(f"FAILED: {title}\n{traceback.format_exc()[-3000:]}", flush=True)
    name = "-".join(str(found.get("device", "unknown")).lower().split())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"gpu-{name}.json").write_text(json.dumps(found, indent=2) + "\n")


def show(rows, columns):
    """Print rows of equal keys as a table."""
    widths = [
        max(len(str(row.get(name, ""))) for row in [dict(zip(columns, columns, strict=True)), *rows])
        for name in columns
    ]
    for row in [dict(zip(columns, columns, strict=True)), *rows]:
        print(
            "  ".join(str(row.get(name, "")).ljust(width) for name, width in zip(columns, widths, strict=True)),
            flush=True,
        )


def device_facts():
    import jax

    from nanocensus.provenance import machine, versions

    query = "name,memory.total,driver_version"
    smi = subprocess.run(
        ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"], capture_output=True, text=True, check=False
    )
    names = ("cupy-cuda13x", "cucim-cu13", "dask-cuda", "jax-cuda13-plugin")
    extra = {}
    import importlib.metadata

    for name in names:
        try:
            extra[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            extra[name] = "not installed"
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE, check=False
    )
    return {
        "device": jax.devices()[0].device_kind,
        "nvidia-smi": smi.stdout.strip(),
        "machine": machine() | {"cores": os.cpu_count()},
        "versions": versions() | extra,
        "commit": os.environ.get("NANOCENSUS_COMMIT") or commit.stdout.strip() or "unknown",
    }


def time_stages(pixels):
    """Time each stage of one micrograph alone, and say what bounds it."""
    import cupy as cp
    import jax
    import jax.numpy as jnp

    from nanocensus.device import to_gpu, to_host
    from nanocensus.measure.descriptors import measure
    from nanocensus.measure.label import label_particles
    from nanocensus.segment.networks.parameters import logits
    from nanocensus.segment.prediction import gpu
    from nanocensus.segment.prediction.weights import load_model
    from nanocensus.segment.preparation.flatfield import as_transported
    from nanocensus.segment.preparation.preparation import AS_USUAL, Preparation, prepare
    from nanocensus.store.images.micrographs import (
        content_digest,
        create_store,
        read_pixels,
        read_probability,
        write_labels,
        write_probability,
    )

    model = load_model("default")
    rows = []

    def stage(name, function, limit="", floor=None):
        spent = milliseconds(function)
        rows.append({"stage": name, "ms": spent, "floor_ms": "" if floor is None else round(floor, 2), "bound": limit})
        return spent

    # What the machine can do, measured in the same run.
    pinned = cp.cuda.alloc_pinned_memory(pixels.nbytes)
    locked = np.frombuffer(pinned, pixels.dtype, pixels.size).reshape(pixels.shape)
    on_gpu = cp.empty(pixels.shape, pixels.dtype)

    def h2d():
        on_gpu.set(locked)
        cp.cuda.get_current_stream().synchronize()

    link = milliseconds(h2d)
    big = cp.zeros(256 << 20, cp.uint8)
    other = cp.empty_like(big)

    def copy():
        cp.copyto(other, big)
        cp.cuda.get_current_stream().synchronize()

    bytes_per_ms = 2 * big.nbytes / milliseconds(copy)
    square = jnp.ones((8192, 8192), jnp.float32)
    with jax.default_matmul_precision("tensorfloat32"):
        product = jax.jit(lambda a: a @ a)
        flops_per_ms = 2 * 8192**3 / milliseconds(lambda: product(square).block_until_ready())

    image = jax.device_put(as_transported(pixels, keep_level=True))
    shapes = {name: jax.ShapeDtypeStruct(value.shape, value.dtype) for name, value in model.parameters.items()}
    flops, traffic = convolution_work(lambda p, x: logits(model.config, p, x), shapes, (1, *pixels.shape))
    floor = max(flops / flops_per_ms, traffic / bytes_per_ms)
    flat = Preparation(flat_field=False)
    again = jax.jit(lambda a: a + jnp.uint8(0))
    space = np.frombuffer(cp.cuda.alloc_pinned_memory(pixels.size), np.uint8, pixels.size).reshape(pixels.shape)
    device_map = gpu.probability_map(model, image)
    probability = np.array(device_map)
    labels, count = label_particles(probability > 127)

    host = "host: one core"
    stage("host to device, page-locked", lambda: to_gpu(locked).block_until_ready(), "link", link)
    stage("host to device, pageable (not used)", lambda: jax.device_put(pixels).block_until_ready())
    stage("hot pixels and background", lambda: jax.block_until_ready(prepare(image, AS_USUAL)), "device memory")
    for name, precision, least in (
        ("network, float32 on tensor cores", "float32", floor),
        ("network, bfloat16 (not used)", "bfloat16", floor / 2),
    ):
        stage(name, partial(gpu.probability_map, model, image, flat, precision), "device memory", least)
    stage("device to host, page-locked", lambda: to_host(again(device_map), space), "link", link / 2)
    stage("device to host, pageable (not used)", lambda: np.array(again(device_map)))
    with tempfile.TemporaryDirectory() as folder:
        store, digest = Path(folder) / "m.zarr", content_digest(pixels)[:16]
        create_store(store)
        stage("write micrograph to the store", lambda: _rewrite(store, digest, pixels), host)
        stage("read micrograph from the store", lambda: read_pixels(store, digest), host)
        stage("write map", lambda: write_probability(store, digest, probability, segment_digest="x"), host)
        stage("read map", lambda: read_probability(store, digest), host)
        stage("write labels", lambda: write_labels(store, digest, labels, measure_digest="x"), host)
    for estimator in ("outline", "paper"):
        name = f"label and measure, {estimator}"
        stage(name, lambda e=estimator: measure(probability, pixel_size_nm=0.086, estimator=e), host)
    show(rows, ["stage", "ms", "floor_ms", "bound"])
    limits = {
        "host to device, GB/s": round(pixels.nbytes / link / 1e6, 1),
        "device memory, GB/s": round(bytes_per_ms / 1e6, 0),
        "TF32 matrix product, TFLOP/s": round(flops_per_ms / 1e9, 0),
        "network, GFLOP a micrograph": round(flops / 1e9, 1),
        "network, GB of convolutions' inputs and outputs": round(traffic / 1e9, 2),
    }
    print(limits, f"particles: {count}")
    return {"stages": rows, "limits": limits, "particles": count}, probability


def time_paper_network(pixels):
    """Time the paper's network on one micrograph; random weights take as long as trained ones."""
    import jax

    from nanocensus.segment.networks.architecture import ResNetUNetConfig
    from nanocensus.segment.networks.parameters import fold, initial_network, named_arrays
    from nanocensus.segment.prediction import gpu
    from nanocensus.segment.prediction.model import Model
    from nanocensus.segment.preparation.flatfield import as_transported
    from nanocensus.segment.preparation.preparation import Preparation

    config = ResNetUNetConfig()
    weights = fold(named_arrays(initial_network(config, np.random.default_rng(0))))
    model = Model("paper", "random weights", config, weights)
    image = jax.device_put(as_transported(pixels))
    rows = []
    for precision in ("float32", "bfloat16"):
        run = partial(gpu.probability_map, model, image, Preparation(flat_field=False), precision)
        rows.append({"precision": precision, "ms": milliseconds(run)})
    show(rows, ["precision", "ms"])
    return rows


def convolution_work(function, parameters, shape):
    """Count the operations of a network's convolutions, two a multiplication, and the bytes they read and write."""
    import jax
    import jax.numpy as jnp

    flops = traffic = 0
    for equation in jax.make_jaxpr(function)(parameters, jax.ShapeDtypeStruct(shape, jnp.float32)).eqns:
        for inner in _flatten(equation):
            if inner.primitive.name == "conv_general_dilated":
                out, kernel = inner.outvars[0].aval.shape, inner.invars[1].aval.shape
                flops += 2 * int(np.prod(out)) * int(np.prod(kernel[:-1]))
                traffic += 4 * int(np.prod(out)) + 4 * int(np.prod(inner.invars[0].aval.shape))
    return float(flops), float(traffic)


def _flatten(equation):
    yield equation
    for value in equation.params.values():
        for nested in getattr(getattr(value, "jaxpr", value), "eqns", ()):
            yield from _flatten(nested)


def _rewrite(store, digest, pixels):
    from nanocensus.store.images.micrographs import write_micrograph

    shutil.rmtree(store / digest, ignore_errors=True)
    write_micrograph(store, digest, pixels, name="m", pixel_size_nm=0.086)


def compare_regions(probability):
    """Labels and region properties of one map: cuCIM, our kernels, scikit-image, in one table."""
    import cupy as cp
    import scipy.ndimage
    import skimage.measure
    from cucim.skimage import measure as cucim_measure

    from nanocensus.measure.label import label_particles

    rows = []

    def row(task, peer, function, repeats=REPEATS):
        rows.append({"task": task, "by": peer, "ms": milliseconds(function, repeats)})

    mask = probability > 127
    on_gpu, gpu_mask = cp.asarray(probability), cp.asarray(mask)
    labels, _ = label_particles(mask)
    gpu_labels = cp.asarray(labels)
    wait = cp.cuda.get_current_stream().synchronize
    row("label", "cuCIM", lambda: (cucim_measure.label(gpu_mask, connectivity=2), wait()))
    row("label", "nanocensus (host, one core)", lambda: label_particles(mask))
    row("label", "scipy", lambda: scipy.ndimage.label(mask, np.ones((3, 3))), 3)
    row("label", "scikit-image", lambda: skimage.measure.label(mask, connectivity=2), 3)
    cheap = ("label", "num_pixels", "bbox", "centroid", "inertia_tensor_eigvals", "orientation", "eccentricity")
    table = cucim_measure.regionprops_table
    row("extents, moments", "cuCIM", lambda: (table(gpu_labels, on_gpu, properties=cheap), wait()))
    row("perimeter", "cuCIM", lambda: (table(gpu_labels, properties=("perimeter",)), wait()))
    row("convex area", "cuCIM", lambda: (table(gpu_labels, properties=("area_convex",)), wait()), 1)
    full = ("label", "area", "bbox", "centroid", "eccentricity", "perimeter", "area_convex", "solidity")
    row("all of the paper's", "cuCIM", lambda: (table(gpu_labels, properties=full), wait()), 1)
    row("all of the paper's", "scikit-image", lambda: skimage.measure.regionprops_table(labels, properties=full), 1)
    from nanocensus.measure.descriptors import measure

    for estimator in ("paper", "outline"):
        row(f"all columns, {estimator}", "nanocensus (host, one core)",
            lambda estimator=estimator: measure(probability, labels, pixel_size_nm=0.086, estimator=estimator))  # fmt: skip
    show(rows, ["task", "by", "ms"])
    return rows


def predict_many(pixels):
    """Micrographs a second through the worker that owns a GPU: page-locked pixels in, page-locked maps out, two at once."""
    from concurrent.futures import ThreadPoolExecutor

    from nanocensus.pipeline.workers.gpu_service import AT_ONCE, _Memory, predict_shared
    from nanocensus.segment.preparation.preparation import AS_USUAL

    memory, rows = [], []
    for _ in range(16):  # as many as workers beside it hand over
        given, expected = _Memory(pixels.nbytes), _Memory(pixels.size)
        array, sent = given.array(pixels.shape, pixels.dtype)
        np.copyto(array, pixels)
        memory.append((given, expected, sent, expected.array(pixels.shape, np.dtype(np.uint8))[1]))
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda m: predict_shared(m[2], m[3], "default", AS_USUAL), memory))  # compile, map and lock
        for number in (1, 8, 64, 256):
            start = time.perf_counter()
            list(threads.map(lambda n: predict_shared(*memory[n % 16][2:], "default", AS_USUAL), range(number)))
            seconds = time.perf_counter() - start
            each = round(1e3 * seconds / number, 2)
            rows.append({"micrographs": number, "ms_each": each, "per_second": round(number / seconds, 1)})
    show(rows, ["micrographs", "ms_each", "per_second"])
    return rows


def stream(files, out, labelling="host", caches=""):
    """File to particle table of a folder of micrographs, as `nanocensus run` does it."""
    from nanocensus.pipeline.job.spec import parse_job
    from nanocensus.pipeline.run.runner import census

    shutil.rmtree(out, ignore_errors=True)
    job = parse_job(
        {
            "out": str(out),
            "device": "gpu",
            "input": {"folder": str(files), "pixel_size_nm": 0.086},
            "measure": {"labelling": labelling},
            "blocks": {"micrographs": 4},
        }
    )
    start = time.perf_counter()
    summary = census(job)
    total = time.perf_counter() - start
    shutil.rmtree(out, ignore_errors=True)
    laps = {stage: round(spent, 2) for stage, spent in summary.seconds.items()}
    working = laps["ingest"] + laps["process"]
    found = {
        "micrographs": summary.n_micrographs,
        "failed": summary.n_failed,
        "particles": summary.n_detected,
        "labelling": labelling,
        "caches": caches,
        "seconds": round(total, 2),
        "ingest_and_process_s": round(working, 2),
        "per_second": round(summary.n_micrographs / working, 1),
        "laps_s": laps,
    }
    print(found, flush=True)
    return found


def agreement(pixels, probability):
    """Hold the GPU's map against that of the CPU in full float32: one micrograph of the stream's size."""
    program = (
        "import sys, io, numpy as np; from nanocensus.segment.prediction.weights import load_model;"
        "image = np.load(io.BytesIO(sys.stdin.buffer.read()));"
        "np.save(sys.stdout.buffer, load_model('default').probability(image))"
    )
    sent = io.BytesIO()
    np.save(sent, pixels)
    cpu = os.environ | {"JAX_PLATFORMS": "cpu", "NPROC": str(os.cpu_count())}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, input=sent.getvalue(), stdout=subprocess.PIPE, check=True, env=cpu)
    on_cpu = np.load(io.BytesIO(done.stdout))
    steps = np.abs(on_cpu.astype(int) - probability)
    one, other = on_cpu > 127, probability > 127
    found = {
        "largest difference, steps of 1/255": int(steps.max()),
        "share of pixels that differ by more than one step": float((steps > 1).mean()),
        "share of pixels on the other side of 0.5": float((one != other).mean()),
        "Dice": float(2 * (one & other).sum() / (one.sum() + other.sum())),
    }
    print(found, flush=True)
    return found


def drop_page_cache():
    subprocess.run(["sync"], check=True)
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return "page cache could not be dropped"
    return "page cache dropped"


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--folder", type=Path, required=True)
    arguments.add_argument("--number", type=int, default=PAPER)
    arguments.add_argument("--out", type=Path, default=HERE.parent / "results")
    given = arguments.parse_args()
    logging.basicConfig(level=logging.ERROR)
    files, out = given.folder / "raw", given.folder / "out"
    os.environ["XDG_CACHE_HOME"] = str(given.folder / "cache")  # an empty compile cache: the first stream is cold
    writing = subprocess.Popen([sys.executable, str(HERE / "micrographs.py"), str(files), str(given.number)],
                               env=os.environ | {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""})  # fmt: skip
    found = {"seconds": {}}
    with survived(found, "device", given.out):
        found |= device_facts()
        print(found["nvidia-smi"], found["commit"])
    writing.wait()  # nothing is timed beside it
    from micrographs import simulated

    pixels = simulated(0)
    probability = None
    # The streams come first: a client that has a CUDA context would share the GPU with the workers.
    found["streams"] = []
    warm = "files in the page cache, network compiled"
    for title, folder, labelling in (
        ("one sample, cold", files / "s0", "host"),
        (f"all {given.number}, warm", files, "host"),
        ("one sample, warm", files / "s0", "host"),
        ("one sample, warm, labelled by cuCIM", files / "s0", "cucim"),
    ):
        with survived(found, f"stream: {title}", given.out):
            caches = warm if "warm" in title else f"{drop_page_cache()}, nothing compiled"
            found["streams"].append(stream(folder, out, labelling, caches))
    with survived(found, "stages", given.out):
        stages, probability = time_stages(pixels)
        found |= stages
    if probability is not None:
        with survived(found, "agreement with the CPU", given.out):
            found["agreement"] = agreement(pixels, probability)
        with survived(found, "labels and regions", given.out):
            found["regions"] = compare_regions(probability)
    with survived(found, "prediction, many", given.out):
        found["predicted"] = predict_many(pixels)
    with survived(found, "the paper's network", given.out):  # last: it takes long to compile
        found["paper_network"] = time_paper_network(pixels)
    print(f"failed: {list(found.get('failed', {})) or 'nothing'}")
    return 1 if found.get("failed") else 0


if __name__ == "__main__":
    sys.exit(main())
