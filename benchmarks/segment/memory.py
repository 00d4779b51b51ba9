"""What a worker's process holds at most, against the side of the windows that it predicts.

    python benchmarks/segment/memory.py [SIDE] >> benchmarks/results/memory.jsonl

Each line is one process: the network alone, or all that is done with a micrograph of SIDE x SIDE pixels (4096), from the
store to its part. `model_mib` is what `nanocensus.segment.prediction.memory` says of it. Takes about five minutes of a core.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ |= {"NPROC": "1", "JAX_PLATFORMS": "cpu"} | dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")

MIB = 2**20
TILES = {"fast": (896, 1344, 2272, 4096), "paper": (1280, 1664, 2048)}


def peak_mib():
    """Give the most that this process held since the last look."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    Path("/proc/self/clear_refs").write_text("5")
    return round(int(found[1]) / 1024)


def network_alone(kind, side, tile):
    import numpy as np

    from nanocensus.segment.networks.architecture import ResNetUNetConfig
    from nanocensus.segment.networks.parameters import fold, initial_network, named_arrays
    from nanocensus.segment.prediction.memory import memory_needed
    from nanocensus.segment.prediction.model import Model
    from nanocensus.segment.prediction.weights import load_model

    model = load_model("default")
    if kind == "paper":
        weights = fold(named_arrays(initial_network(ResNetUNetConfig(), np.random.default_rng(0))))
        model = Model("random", "0" * 64, ResNetUNetConfig(), weights)
    image = np.random.default_rng(0).integers(0, 4000, (side, side), dtype=np.uint16)
    peak_mib()
    model.probability(image, tile=tile)
    return {"peak_mib": peak_mib(), "model_mib": round(memory_needed(model.config, side, side, tile) / MIB)}


def whole_work(side, tile):
    from nanocensus.pipeline.job.spec import parse_job
    from nanocensus.pipeline.run.runner import census
    from nanocensus.pipeline.workers.memory import Need
    from nanocensus.segment.prediction.weights import load_model
    from nanocensus.simulate.rendering import write_simulated
    from nanocensus.simulate.spec import SimulationSpec
    from nanocensus.store.manifest import OutputLock

    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        if not os.fork():
            spec = SimulationSpec(shape=(side, side), mean_particles=600.0, mean_edge_length_nm=4.2)
            write_simulated(raw, spec, n=2, seed=0, sample="s")
            os._exit(0)
        os.wait()
        job = parse_job({
            "out": f"{folder}/out", "input": {"folder": str(raw), "table": str(raw / "micrographs.csv")},
            "segment": {"tile_px": tile}, "measure": {"outlines": True}, "cluster": {"kind": "inline"},
        })  # fmt: skip
        peak_mib()
        with OutputLock(job.out):
            census(job)
        need = Need("", load_model("default").config, side, side)
        return {"peak_mib": peak_mib(), "model_mib": round(need.memory(tile) / MIB)}


if __name__ == "__main__":
    if len(sys.argv) == 5:
        what, kind, side, tile = *sys.argv[1:3], *map(int, sys.argv[3:])
        found = network_alone(kind, side, tile) if what == "network" else whole_work(side, tile)
        print(json.dumps({"what": what, "network": kind, "side_px": side, "tile_px": tile, **found}), flush=True)
    else:
        side = sys.argv[1] if len(sys.argv) > 1 else "4096"
        for kind, tiles in TILES.items():
            for tile in tiles:
                for what in ("network", "work") if kind == "fast" else ("network",):
                    subprocess.run(
                        [sys.executable, __file__, what, kind, side if kind == "fast" else "2048", str(tile)],
                        check=True,
                    )
