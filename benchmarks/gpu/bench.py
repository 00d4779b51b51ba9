"""Every stage of the GPU's way alone, then file to particle table; prints tables and writes one JSON file."""

import argparse
import importlib.metadata
import io
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from micrographs import PIXEL_SIZE_NM, simulated
from report import Report, milliseconds

PAPER = 727
"""Number of micrographs of Cho et al."""
LIBRARIES = ("cupy-cuda13x", "cucim-cu13", "dask-cuda", "jax-cuda13-plugin")


def device_facts(report):
    """Say what computes, without a CUDA context: the streams' workers are to have the GPU to themselves."""
    from nanocensus.device import resolve_device
    from nanocensus.provenance import machine, versions

    device = resolve_device("auto")
    installed = {found.metadata["Name"].lower(): found.version for found in importlib.metadata.distributions()}
    report.found |= {
        "device": device.name,
        "reason": device.reason,
        "nvidia-smi": output("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"),
        "machine": machine() | {"cores": os.cpu_count()},
        "versions": versions() | {name: installed.get(name, "not installed") for name in LIBRARIES},
        "commit": os.environ.get("NANOCENSUS_COMMIT") or output("git", "rev-parse", "--short", "HEAD"),
    }
    print(*(report.found[name] for name in ("device", "reason", "nvidia-smi", "commit")), sep=", ")


def output(*command):
    """Give what a command prints, or why it prints nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=HERE, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"unknown ({error})"
    return done.stdout.strip()


def predict(pixels):
    """Give the map of a micrograph, on the GPU if there is one."""
    from nanocensus.segment.prediction.weights import load_model

    return load_model("default").probability(pixels)


def time_stages(report, pixels, probability):
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

    model, rows = load_model("default"), report.rows("stages")

    def stage(name, function, bound="", floor=None):
        rows.time({"stage": name}, function, floor_ms="" if floor is None else round(floor, 2), bound=bound)

    # What the machine can do, measured in the same run.
    pinned = cp.cuda.alloc_pinned_memory(pixels.nbytes)
    locked = np.frombuffer(pinned, pixels.dtype, pixels.size).reshape(pixels.shape)
    np.copyto(locked, pixels)
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
    labels, count = label_particles(probability > 127)
    report.found["particles"] = count
    report.found["limits"] = {
        "host to device, GB/s": round(pixels.nbytes / link / 1e6, 1),
        "device memory, GB/s": round(bytes_per_ms / 1e6, 0),
        "TF32 matrix product, TFLOP/s": round(flops_per_ms / 1e9, 0),
        "network, GFLOP a micrograph": round(flops / 1e9, 1),
        "network, GB of convolutions' inputs and outputs": round(traffic / 1e9, 2),
    }
    print(report.found["limits"], f"particles: {count}")

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
        stage(name, lambda e=estimator: measure(probability, pixel_size_nm=PIXEL_SIZE_NM, estimator=e), host)


def time_paper_network(report, pixels):
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
    image, rows = jax.device_put(as_transported(pixels)), report.rows("paper_network")
    for precision in ("float32", "bfloat16"):
        run = partial(gpu.probability_map, model, image, Preparation(flat_field=False), precision)
        rows.time({"precision": precision}, run)


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
    write_micrograph(store, digest, pixels, name="m", pixel_size_nm=PIXEL_SIZE_NM)


def compare_regions(report, probability):
    """Labels and region properties of one map: cuCIM, our kernels, scikit-image, in one table."""
    import cupy as cp
    import scipy.ndimage
    import skimage.measure
    from cucim.skimage import measure as cucim_measure

    from nanocensus.measure.descriptors import measure
    from nanocensus.measure.label import label_particles

    rows = report.rows("regions")

    def row(task, peer, function, **more):
        rows.time({"task": task, "by": peer}, function, **more)

    mask = probability > 127
    on_gpu, gpu_mask = cp.asarray(probability), cp.asarray(mask)
    labels, _ = label_particles(mask)
    gpu_labels = cp.asarray(labels)
    wait = cp.cuda.get_current_stream().synchronize
    row("label", "cuCIM", lambda: (cucim_measure.label(gpu_mask, connectivity=2), wait()))
    row("label", "nanocensus (host, one core)", lambda: label_particles(mask))
    row("label", "scipy", lambda: scipy.ndimage.label(mask, np.ones((3, 3))), repeats=3)
    row("label", "scikit-image", lambda: skimage.measure.label(mask, connectivity=2), repeats=3)
    cheap = ("label", "num_pixels", "bbox", "centroid", "inertia_tensor_eigvals", "orientation", "eccentricity")
    table = cucim_measure.regionprops_table
    row("extents, moments", "cuCIM", lambda: (table(gpu_labels, on_gpu, properties=cheap), wait()))
    row("perimeter", "cuCIM", lambda: (table(gpu_labels, properties=("perimeter",)), wait()))
    row("convex area", "cuCIM", lambda: (table(gpu_labels, properties=("area_convex",)), wait()), repeats=1)
    full = ("label", "area", "bbox", "centroid", "eccentricity", "perimeter", "area_convex", "solidity")
    theirs = skimage.measure.regionprops_table
    row("all of the paper's", "cuCIM", lambda: (table(gpu_labels, properties=full), wait()), repeats=1)
    row("all of the paper's", "scikit-image", lambda: theirs(labels, properties=full), repeats=1)
    for estimator in ("paper", "outline"):
        ours = partial(measure, probability, labels, pixel_size_nm=PIXEL_SIZE_NM, estimator=estimator)
        row(f"all columns, {estimator}", "nanocensus (host, one core)", ours)


def predict_many(report, pixels):
    """Micrographs a second through the worker that owns a GPU: page-locked pixels in, page-locked maps out, two at once."""
    from nanocensus.pipeline.workers.gpu_service import AT_ONCE, _Memory, predict_shared
    from nanocensus.segment.preparation.preparation import AS_USUAL

    memory, rows = [], report.rows("predicted")
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
            rows.add({"micrographs": number, "ms_each": each, "per_second": round(number / seconds, 1)})


def stream(rows, files, out, labelling="host", caches=""):
    """File to particle table of a folder of micrographs, as `nanocensus run` does it."""
    from nanocensus.pipeline.job.spec import parse_job
    from nanocensus.pipeline.run.runner import census
    from nanocensus.store.manifest import OutputLock

    shutil.rmtree(out, ignore_errors=True)
    job = parse_job(
        {
            "out": str(out),
            "device": "gpu",
            "input": {"folder": str(files), "pixel_size_nm": PIXEL_SIZE_NM},
            "measure": {"labelling": labelling},
            "blocks": {"micrographs": 4},
            "store": {"pyramid": False},
        }
    )
    start = time.perf_counter()
    with OutputLock(out):
        summary = census(job)
    total = time.perf_counter() - start
    shutil.rmtree(out, ignore_errors=True)
    laps = {stage: round(spent, 2) for stage, spent in summary.seconds.items()}
    working = laps["ingest"] + laps["process"]
    rows.add(
        {
            "micrographs": summary.n_micrographs,
            "failed": summary.n_failed,
            "particles": summary.n_detected,
            "device": summary.device.name,
            "labelling": labelling,
            "caches": caches,
            "seconds": round(total, 2),
            "ingest_and_process_s": round(working, 2),
            "per_second": round(summary.n_micrographs / working, 1),
            "laps_s": laps,
        }
    )


def agreement(report, pixels, probability):
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
    found = report.found["agreement"] = {
        "largest difference, steps of 1/255": int(steps.max()),
        "share of pixels that differ by more than one step": float((steps > 1).mean()),
        "share of pixels on the other side of 0.5": float((one != other).mean()),
        "Dice": float(2 * (one & other).sum() / (one.sum() + other.sum())),
    }
    print(found, flush=True)


def drop_page_cache():
    subprocess.run(["sync"], check=True)
    try:
        Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        return "page cache could not be dropped"
    return "page cache dropped"


def write_micrographs(files, number, side):
    """Write the streams' files in a process that leaves the GPU alone."""
    command = [sys.executable, str(HERE / "micrographs.py"), str(files), str(number), str(side)]
    subprocess.run(command, env=os.environ | {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}, check=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--folder", type=Path, required=True)
    arguments.add_argument("--number", type=int, default=PAPER)
    arguments.add_argument("--side", type=int, default=4096, help="of a micrograph, pixels")
    arguments.add_argument("--seconds", type=float, default=480, help="after which nothing more is begun")
    arguments.add_argument("--out", type=Path, default=HERE.parent / "results")
    given = arguments.parse_args()
    logging.basicConfig(level=logging.ERROR)
    files, out = given.folder / "raw", given.folder / "out"
    report = Report(given.out, given.seconds)
    report.step("device", partial(device_facts, report))
    report.step("write micrographs", partial(write_micrographs, files, given.number, given.side))
    # What workers compile is kept in a folder of this run: for the first stream it is empty, later it serves this
    # process too.
    os.environ["XDG_CACHE_HOME"] = str(given.folder / "cache")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(given.folder / "cache" / "nanocensus" / "xla")
    streams, warm = report.rows("streams"), "files in the page cache, network compiled"

    def streamed(title, folder, labelling="host"):
        caches = warm if "warm" in title else f"{drop_page_cache()}, nothing compiled"
        report.step(f"stream: {title}", lambda: stream(streams, folder, out, labelling, caches))

    # These two come first: a client that has a CUDA context would share the GPU with their workers.
    streamed("one sample, cold", files / "s0")
    streamed(f"all {given.number}, warm", files)
    pixels = simulated(0, given.side)
    probability = report.step("map", partial(predict, pixels))
    if probability is not None:
        report.step("stages", partial(time_stages, report, pixels, probability))
        report.step("agreement with the CPU", partial(agreement, report, pixels, probability))
        report.step("labels and regions", partial(compare_regions, report, probability))
    report.step("prediction, many", partial(predict_many, report, pixels))
    streamed("one sample, warm", files / "s0")
    streamed("one sample, warm, labelled by cuCIM", files / "s0", "cucim")
    report.step("the paper's network", partial(time_paper_network, report, pixels))  # last: it takes long to compile
    print(f"failed: {', '.join(report.found['failed']) or 'nothing'}")
    return 1 if report.found["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
