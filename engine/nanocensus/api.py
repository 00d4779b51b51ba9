"""The public names: what `import nanocensus as nc` offers."""

from nanocensus.measure.acceptance import apply_criteria, decode_failed
from nanocensus.measure.criteria import Criteria, SampleCriteria
from nanocensus.measure.descriptors import measure_particles
from nanocensus.other_tools import analyse_particles, measure_labels, read_particle_table
from nanocensus.pipeline.analyse import Analysis
from nanocensus.pipeline.dispatch import Progress
from nanocensus.pipeline.evaluate import Evaluation
from nanocensus.pipeline.excess import excess_trends
from nanocensus.pipeline.mean_shapes import mean_shapes
from nanocensus.pipeline.measuring import Measuring
from nanocensus.pipeline.null_envelope import NullEnvelope, envelope_of_particles, null_envelope
from nanocensus.pipeline.pairs import PairContamination, pair_contamination
from nanocensus.pipeline.record import RunSummary
from nanocensus.pipeline.spec import Job, read_job
from nanocensus.runs import analyse, criteria_gallery, evaluate, ingest, report, run
from nanocensus.segment.model import Model
from nanocensus.segment.weights import load_model, model_names
from nanocensus.show import figures
from nanocensus.statistics.across import cv_across_samples
from nanocensus.statistics.binning import sample_statistics, size_statistics
from nanocensus.statistics.bootstrap import bootstrap
from nanocensus.statistics.cells import Cells, cells, size_bins
from nanocensus.statistics.contrasts import compare, difference, ratio
from nanocensus.statistics.data_size_study import data_size_study
from nanocensus.statistics.energy import energy_distances
from nanocensus.statistics.estimation import estimate
from nanocensus.statistics.modality import modality
from nanocensus.statistics.nested_variance import nested_variance
from nanocensus.statistics.onset import Onsets, onsets
from nanocensus.statistics.reductions import cv, mean, median, quantile, sd
from nanocensus.statistics.representatives import representatives
from nanocensus.statistics.sampling_plan import sampling_plan
from nanocensus.statistics.sampling_study import sampling_study
from nanocensus.statistics.size_distribution import size_distribution
from nanocensus.statistics.spread import Spreads, spread_against_mean
from nanocensus.statistics.synthesis import SynthesisModel, synthesis_model
from nanocensus.statistics.variance_components import variance_components
from nanocensus.store.manifest import Manifest, read_manifest
from nanocensus.store.outlines import read_outlines
from nanocensus.store.row_groups import open_particles
from nanocensus.store.tables import read_micrographs, read_particles

__all__ = [
    "Analysis",
    "Cells",
    "Criteria",
    "Evaluation",
    "Job",
    "Manifest",
    "Measuring",
    "Model",
    "NullEnvelope",
    "Onsets",
    "PairContamination",
    "Progress",
    "RunSummary",
    "SampleCriteria",
    "Spreads",
    "SynthesisModel",
    "analyse",
    "analyse_particles",
    "apply_criteria",
    "bootstrap",
    "cells",
    "compare",
    "criteria_gallery",
    "cv",
    "cv_across_samples",
    "data_size_study",
    "decode_failed",
    "difference",
    "energy_distances",
    "envelope_of_particles",
    "estimate",
    "evaluate",
    "excess_trends",
    "figures",
    "ingest",
    "load_model",
    "mean",
    "mean_shapes",
    "measure_labels",
    "measure_particles",
    "median",
    "modality",
    "model_names",
    "nested_variance",
    "null_envelope",
    "onsets",
    "open_particles",
    "pair_contamination",
    "quantile",
    "ratio",
    "read_job",
    "read_manifest",
    "read_micrographs",
    "read_outlines",
    "read_particle_table",
    "read_particles",
    "report",
    "representatives",
    "run",
    "sample_statistics",
    "sampling_plan",
    "sampling_study",
    "sd",
    "size_bins",
    "size_distribution",
    "size_statistics",
    "spread_against_mean",
    "synthesis_model",
    "variance_components",
]
