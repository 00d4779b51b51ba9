# Every target does its own set-up: a fresh machine needs python3 (3.11 to 3.13, with venv) and make.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.complete

.PHONY: env demo test test-slow lint bench bench-measure bench-segment docs schema lock clean

env: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "nanocensus needs Python 3.11, 3.12 or 3.13; '$(PYTHON)' is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "'$(PYTHON)' lacks the venv module. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: env
	$(BIN)/nanocensus run jobs/demo.toml

# Files of tests side by side, one a core; no more than four, for each may hold some GB. A process that crashes ends the run:
# with a new one for it, the run would wait for ever if it was at its last file.
test: env
	$(BIN)/python -m pytest -q -p no:cacheprovider -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder \
	  --max-worker-restart 0

test-slow: env
	$(BIN)/python -m pytest -q -m slow

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/nanocensus schema --check

bench: env
	@mkdir -p results
	$(BIN)/python -m pytest -q -o addopts=--import-mode=importlib benchmarks \
	  --benchmark-enable --benchmark-json=results/benchmark.json

bench-measure:
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet -r benchmarks/measure/requirements.txt
	PYTHONPATH=engine .venv-peers/bin/python benchmarks/measure/compare.py

bench-segment:
	$(PYTHON) -m venv .venv-segment
	.venv-segment/bin/pip install --quiet -r benchmarks/segment/requirements.txt
	PYTHONPATH=engine .venv-segment/bin/python benchmarks/segment/compare.py

docs: env
	$(BIN)/python -m pytest -q tests/test_docs.py

schema: env
	$(BIN)/nanocensus schema

lock: env
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --custom-compile-command 'make lock' --python-version 3.11 \
	  --extra dev --extra io --extra cluster --extra bench pyproject.toml -o requirements.lock

clean:
	rm -rf .venv results build dist
