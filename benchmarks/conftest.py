"""What a result says of its machine: the processor, the memory and the versions, but neither host nor paths."""

import os

import psutil

from nanocensus.provenance import machine, versions


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info.clear()
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    machine_info.update(machine() | {"cores": os.cpu_count(), "memory": memory, "versions": versions()})


def pytest_benchmark_update_json(config, benchmarks, output_json):
    for entry in output_json["benchmarks"]:
        kept = ("min", "median", "iqr", "max", "rounds")
        entry["stats"] = {name: entry["stats"][name] for name in kept}
        for name in ("options", "extra_info", "fullname", "param"):
            entry.pop(name, None)
