#!/usr/bin/env bash
# On a machine with a CUDA GPU: the GPU tests, every stage timed, and the paper's number of micrographs from file to
# particle table. Prints tables and writes gpu-<device>.json; what fails is told, and stops nobody. 8 minutes at most.
#   benchmarks/gpu/run.sh [FOLDER [RESULTS]]   FOLDER: 50 GiB on a fast disk or in memory (default: a new one in /tmp)
#                                              RESULTS: where the JSON goes (default: benchmarks/results)
# Needs python3 with jax[cuda13], flax, cupy, cuCIM, dask-cuda, zarr and pytest; nanocensus may be installed or not.
# NUMBER=16 SIDE=512 in the environment try it in a minute, without figures that are worth anything.
set -uo pipefail
cd "$(dirname "$0")/../.."
export PYTHONPATH="$PWD/engine${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 XLA_PYTHON_CLIENT_PREALLOCATE=false
python=${PYTHON:-python3}
folder=${1:-$(mktemp -d)}
results=${2:-benchmarks/results}
mkdir -p "$folder"

echo "== GPU tests"
timeout -k 5 200 "$python" -m pytest -q -rs --durations=5 -p no:cacheprovider -o addopts=--import-mode=importlib \
  -o minversion=0 -m gpu tests/parity | tee "$folder/tests.log"
tests=$?
[ $tests -ne 0 ] || grep -q " passed" "$folder/tests.log" || tests=5
[ $tests -eq 0 ] || echo "FAILED: GPU tests (status $tests; 124: stopped after 200 s, 5: none was run to its end)"
echo "== benchmark"
timeout -k 5 $((475 - SECONDS)) "$python" benchmarks/gpu/bench.py --folder "$folder" --out "$results" \
  --number "${NUMBER:-727}" --side "${SIDE:-4096}" --seconds $((460 - SECONDS))
bench=$?
[ $bench -ne 124 ] && [ $bench -ne 137 ] || echo "FAILED: the step that was under way did not stop; $results holds what was known before it"
[ $# -ge 1 ] || rm -rf "$folder"
echo "tests: $tests, benchmark: $bench (0: all went well), after $SECONDS s"
[ $tests -eq 0 ] && [ $bench -eq 0 ]
