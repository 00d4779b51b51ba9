"""The public names: what `import nanocensus as nc` offers."""

from nanocensus.measure.acceptance import apply_criteria, decode_failed
from nanocensus.measure.criteria import Criteria, SampleCriteria
from nanocensus.measure.descriptors import measure_particles
from nanocensus.other_tools import analyse_particles, measure_labels, read_particle_table
from nanocensus.pipeline.analysis.analyse import Analysis
from nanocensus.pipeline.baselines.excess import excess_trends
from nanocensus.pipeline.baselines.measuring import Measuring
from nanocensus.pipeline.baselines.null_envelope import NullEnvelope, envelope_of_particles, null_envelope
from nanocensus.pipeline.baselines.pairs import PairContamination, pair_contamination
from nanocensus.pipeline.evaluation.evaluate import Evaluation
from nanocensus.pipeline.job.spec import Job, read_job
from nanocensus.pipeline.run.record import RunSummary
from nanocensus.pipeline.shapes.mean_shapes import mean_shapes
from nanocensus.pipeline.workers.dispatch import Progress
from nanocensus.runs import analyse, criteria_gallery, evaluate, ingest, report, run
from nanocensus.segment.prediction.model import Model
from nanocensus.segment.prediction.weights import load_model, model_names
from nanocensus.show.figures import figures
from nanocensus.statistics.cells.cells import Cells, cells, size_bins
from nanocensus.statistics.distributions.energy import energy_distances
from nanocensus.statistics.distributions.modality import modality
from nanocensus.statistics.distributions.representatives import representatives
from nanocensus.statistics.distributions.size_distribution import size_distribution
from nanocensus.statistics.estimation.across import cv_across_samples
from nanocensus.statistics.estimation.binning import sample_statistics, size_statistics
from nanocensus.statistics.estimation.bootstrap import bootstrap
from nanocensus.statistics.estimation.contrasts import compare, difference, ratio
from nanocensus.statistics.estimation.estimation import estimate
from nanocensus.statistics.estimation.reductions import cv, mean, median, quantile, sd
from nanocensus.statistics.onsets.onset import Onsets, onsets
from nanocensus.statistics.sampling.data_size_study import data_size_study
from nanocensus.statistics.sampling.sampling_plan import sampling_plan
from nanocensus.statistics.sampling.sampling_study import sampling_study
from nanocensus.statistics.synthesis.spread import Spreads, spread_against_mean
from nanocensus.statistics.synthesis.synthesis import SynthesisModel, synthesis_model
from nanocensus.statistics.variance.components import variance_components
from nanocensus.statistics.variance.nested import nested_variance
from nanocensus.store.manifest import Manifest, read_manifest
from nanocensus.store.particles.outlines import read_outlines
from nanocensus.store.particles.row_groups import open_particles
from nanocensus.store.particles.tables import read_micrographs, read_particles

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
