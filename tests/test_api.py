import subprocess
import sys

import pytest

import nanocensus as nc

PUBLIC = {
    "Analysis", "Cells", "Criteria", "Evaluation", "Job", "Manifest", "Measuring", "Model", "NullEnvelope",
    "Onsets", "PairContamination", "Progress", "RunSummary", "SampleCriteria", "Spreads", "SynthesisModel",
    "analyse", "analyse_particles", "apply_criteria", "bootstrap", "cells", "compare", "criteria_gallery", "cv",
    "cv_across_samples", "data_size_study", "decode_failed", "difference", "energy_distances", "estimate",
    "evaluate", "excess_trends", "figures", "ingest", "load_model", "mean", "mean_shapes", "measure_labels",
    "measure_particles", "median", "modality", "model_names", "nested_variance", "null_envelope", "onsets",
    "pair_contamination", "quantile", "ratio", "read_job", "read_manifest", "read_micrographs", "read_outlines",
    "read_particle_table", "read_particles", "report", "representatives", "run", "sample_statistics",
    "sampling_plan", "sampling_study", "sd", "size_bins", "size_distribution", "size_statistics",
    "spread_against_mean", "synthesis_model", "variance_components",
}  # fmt: skip

HEAVY = ("jax", "flax", "distributed", "dask", "holoviews", "bokeh", "cupy", "zarr", "pandas", "numba")


def test_the_public_names_are_these():
    assert set(nc.api.__all__ if hasattr(nc, "api") else dir(nc)) - {"__version__"} == PUBLIC
    for name in PUBLIC:
        assert getattr(nc, name) is not None


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(AttributeError, match="public names: Analysis, Cells, Criteria"):
        _ = nc.onset


def test_every_public_callable_is_documented():
    for name in PUBLIC - {"figures"}:
        assert (getattr(nc, name).__doc__ or "").strip(), name


def test_importing_nanocensus_is_light():
    code = f"import sys, nanocensus; print([name for name in {HEAVY!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"


def test_the_version_is_the_installed_one():
    import importlib.metadata

    assert nc.__version__ == importlib.metadata.version("nanocensus")
