#!/usr/bin/env bash
# On a machine with a CUDA GPU: the GPU tests, every stage timed, and the paper's number of micrographs from file to
# particle table. Prints tables and writes benchmarks/results/gpu-<device>.json; what fails is told, and stops nobody.
#   benchmarks/gpu/run.sh [FOLDER]      FOLDER: 50 GiB on a fast disk or in memory (default: a new one in /tmp)
# Needs python3 with jax[cuda13], flax, cupy, cuCIM, dask-cuda, zarr and pytest; nanocensus may be installed or not.
set -uo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH="$PWD/engine${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 XLA_PYTHON_CLIENT_PREALLOCATE=false
python=${PYTHON:-python3}
folder=${1:-$(mktemp -d)}

echo "== GPU tests"
timeout 300 "$python" -m pytest -q -rs -p no:cacheprovider -o addopts=--import-mode=importlib -o minversion=0 -m gpu tests/parity
echo "== benchmark"
timeout 480 "$python" benchmarks/gpu/bench.py --folder "$folder"
status=$?
[ $# -ge 1 ] || rm -rf "$folder"
exit $status
