"""Every stage of the GPU's way alone, then file to particle table; prints tables and writes one JSON file."""

import argparse
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
def survived(found, title):
    """Go on after a failure, having told it."""
    print(f"== {title}", flush=True)
    try:
        yield
    except Exception as error:  # noqa: BLE001
        found.setdefault("failed", {})[title] = f"{type(error).__name__}: {error}"
        print(f"FAILED: {title}\n{traceback.format_exc()[-3000:]}", flush=True)


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

    from nanocensus.device import to_host
    from nanocensus.measure.descriptors import measure
    from nanocensus.measure.label import label_particles
    from nanocensus.segment import gpu
    from nanocensus.segment.parameters import logits
    from nanocensus.segment.weights import load_model
    from nanocensus.store.micrographs import (
        content_digest,
        create_store,
        read_pixels,
        read_probability,
        write_labels,
        write_micrograph,
        write_probability,
    )  # fmt: skip

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

    image = gpu.to_device(pixels)
    parameters = jax.device_put(dict(model.parameters))
    lowered = jax.jit(lambda p, x: logits(model.config, p, x)).lower(parameters, image[None].astype(jnp.float32))
    cost = lowered.cost_analysis() or {}
    flops = float((cost[0] if isinstance(cost, list) else cost).get("flops", 0.0))
    stacked = image[None]

    with tempfile.TemporaryDirectory() as folder:
        store, digest = Path(folder) / "m.zarr", content_digest(pixels)[:16]
        create_store(store)
        stage(
            "write micrograph to the store",
            lambda: _rewrite(store, digest, pixels, write_micrograph),
            "host: SHA-256, zstd",
        )
        stage("read micrograph from the store", lambda: read_pixels(store, digest), "host: zstd, SHA-256")
        stage(
            "host to device",
            lambda: gpu.to_device(pixels).block_until_ready(),
            "pageable copy; floor: page-locked",
            link,
        )
        stage(
            "network (float32 on tensor cores)",
            lambda: gpu._segment(model.config, parameters, stacked).block_until_ready(),
            "few channels: layout and memory; floor: TF32 matrix rate",
            flops / flops_per_ms,
        )
        bf16 = {name: value.astype(jnp.bfloat16) for name, value in parameters.items()}
        half = jax.jit(lambda p, x: jax.nn.sigmoid(logits(model.config, p, x).astype(jnp.float32)))
        image16 = jnp.asarray(stacked, jnp.bfloat16) / 100 - 1
        stage(
            "network in bfloat16 (not used)",
            lambda: half(bf16, image16).block_until_ready(),
            "",
            flops / flops_per_ms / 2,
        )
        device_map = gpu._segment(model.config, parameters, stacked)[0]
        doubled = jax.jit(lambda a: a + jnp.uint8(0))
        stage("device to host, page-locked", lambda: to_host(doubled(device_map)), "link", link / 2)
        stage("device to host, pageable (not used)", lambda: np.array(doubled(device_map)), "")
        probability = to_host(device_map)
        stage(
            "write map to the store",
            lambda: write_probability(store, digest, probability, segment_digest="x"),
            "host: zstd",
        )
        stage("read map from the store", lambda: read_probability(store, digest), "host: zstd")
        labels, count = label_particles(probability > 127)
        stage(
            "label and measure on the host: outline",
            lambda: measure(probability, pixel_size_nm=0.086),
            "host: one core",
        )
        stage(
            "label and measure on the host: paper",
            lambda: measure(probability, pixel_size_nm=0.086, estimator="paper"), "host: one core",
        )  # fmt: skip
        stage(
            "write labels to the store", lambda: write_labels(store, digest, labels, measure_digest="x"), "host: zstd"
        )
    show(rows, ["stage", "ms", "floor_ms", "bound"])
    limits = {
        "host to device, GB/s": round(pixels.nbytes / link / 1e6, 1),
        "device memory, GB/s": round(bytes_per_ms / 1e6, 0),
        "TF32 matrix product, TFLOP/s": round(flops_per_ms / 1e9, 0),
        "network, GFLOP a micrograph": round(flops / 1e9, 1),
    }
    print(limits, f"particles: {count}")
    return {"stages": rows, "limits": limits, "particles": count}, probability


def _rewrite(store, digest, pixels, write):
    shutil.rmtree(store / digest, ignore_errors=True)
    write(store, digest, pixels, name="m", pixel_size_nm=0.086)


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
    row("convex area", "cuCIM", lambda: (table(gpu_labels, properties=("area_convex",)), wait()), 2)
    full = ("label", "area", "bbox", "centroid", "eccentricity", "perimeter", "area_convex", "solidity")
    row("all of the paper's", "cuCIM", lambda: (table(gpu_labels, properties=full), wait()), 2)
    row("all of the paper's", "scikit-image", lambda: skimage.measure.regionprops_table(labels, properties=full), 1)
    from nanocensus.measure.descriptors import measure

    for estimator in ("paper", "outline"):
        row(f"all columns, {estimator}", "nanocensus (host, one core)",
            lambda estimator=estimator: measure(probability, labels, pixel_size_nm=0.086, estimator=estimator))  # fmt: skip
    show(rows, ["task", "by", "ms"])
    return rows


def predict_many(pixels, folder):
    """Micrographs a second from the store to the stored map, in one process that has compiled."""
    from micrographs import variants

    from nanocensus.pipeline.gpu_block import predict_block
    from nanocensus.pipeline.plan import Block, make_task
    from nanocensus.pipeline.spec import MeasureSection
    from nanocensus.segment.weights import load_model
    from nanocensus.store.ingest import STORE_FOLDER
    from nanocensus.store.micrographs import content_digest, create_store, discard_results, write_micrograph

    out, model, rows = folder / "many", load_model("default"), []
    create_store(out / STORE_FOLDER)
    tasks = []
    for _, view in zip(range(64), variants(pixels), strict=False):
        digest = content_digest(view)
        write_micrograph(out / STORE_FOLDER, digest[:16], view, name="m", pixel_size_nm=0.086)
        row = {"micrograph": digest[:16], "content_digest": digest, "sample": "s", "pixel_size_nm": 0.086}
        tasks.append(make_task(row, model="default", model_name="default", model_digest=model.digest, tile_px=2272,
                               measure=MeasureSection()))  # fmt: skip
    for number in (1, 8, 64):
        block = Block("part.parquet", tuple(tasks[:number]))
        start = time.perf_counter()
        failed = predict_block(block, out).failed
        seconds = time.perf_counter() - start
        rows.append({"micrographs": number, "seconds": round(seconds, 3), "per_second": round(number / seconds, 1),
                     "failed": len(failed)})  # fmt: skip
        for task in tasks:
            discard_results(out / STORE_FOLDER, task.row["micrograph"])
    shutil.rmtree(out)
    show(rows, ["micrographs", "seconds", "per_second", "failed"])
    return rows


def stream(files, out, number, regions="host", block=8):
    """File to particle table of many micrographs, as `nanocensus run` does it."""
    from nanocensus.pipeline.runner import census
    from nanocensus.pipeline.spec import parse_job

    shutil.rmtree(out, ignore_errors=True)
    job = parse_job({
        "out": str(out), "device": "gpu",
        "input": {"folder": str(files), "pixel_size_nm": 0.086},
        "blocks": {"micrographs": block},
    })  # fmt: skip
    start = time.perf_counter()
    summary = census(job)
    total = time.perf_counter() - start
    laps = {stage: round(spent, 2) for stage, spent in summary.seconds.items()}
    working = laps["ingest"] + laps["process"]
    return {
        "micrographs": summary.n_micrographs, "failed": summary.n_failed, "particles": summary.n_detected,
        "seconds": round(total, 2), "ingest_and_process": round(working, 2),
        "per_second": round(summary.n_micrographs / working, 1), "laps": laps,
    }  # fmt: skip


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
    with survived(found, "device"):
        found |= device_facts()
        print(found["nvidia-smi"], found["commit"])
    writing.wait()  # nothing is timed beside it
    from micrographs import simulated

    pixels = simulated(0)
    probability = None
    # The streams come first: a client that has a CUDA context would share the GPU with the workers.
    with survived(found, f"stream of {given.number}, cold"):
        caches = drop_page_cache()
        found["stream_cold"] = stream(files, out, given.number) | {"caches": f"{caches}, nothing compiled"}
        print(found["stream_cold"])
    with survived(found, f"stream of {given.number}, warm"):
        found["stream_warm"] = stream(files, out, given.number) | {
            "caches": "files in the page cache, network compiled"
        }
        print(found["stream_warm"])
    shutil.rmtree(out, ignore_errors=True)
    with survived(found, "stages"):
        stages, probability = time_stages(pixels)
        found |= stages
    if probability is not None:
        with survived(found, "labels and regions"):
            found["regions"] = compare_regions(probability)
    with survived(found, "prediction, many"):
        found["predicted"] = predict_many(pixels, given.folder)
    name = "-".join(str(found.get("device", "unknown")).lower().split())
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / f"gpu-{name}.json"
    path.write_text(json.dumps(found, indent=2) + "\n")
    print(f"written: {path.name}; failed: {list(found.get('failed', {})) or 'nothing'}")
    return 1 if found.get("failed") else 0


if __name__ == "__main__":
    sys.exit(main())
