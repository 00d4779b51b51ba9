"""The figures of a study, as HoloViews elements made from numpy, pandas and xarray alone.

Show them in a notebook after ``holoviews.extension("bokeh")``, or save them with ``holoviews.save``.
"""

from nanocensus.show.across_figures import cv_across_samples
from nanocensus.show.criterion_figures import criterion
from nanocensus.show.distribution_figures import histogram, violins
from nanocensus.show.envelope_figures import null_envelope
from nanocensus.show.micrograph_figures import micrograph
from nanocensus.show.onset_figures import onset
from nanocensus.show.plane_figures import plane
from nanocensus.show.sampling_figures import data_size, group_scatter
from nanocensus.show.shape_figures import mean_shapes
from nanocensus.show.size_figures import size_resolved
from nanocensus.show.spread_figures import spread_against_mean
from nanocensus.show.synthesis_figures import exponents, predictions
from nanocensus.show.tally_figures import agreement, rejections
from nanocensus.show.theme import sample_styles

__all__ = [
    "agreement",
    "criterion",
    "cv_across_samples",
    "data_size",
    "exponents",
    "group_scatter",
    "histogram",
    "mean_shapes",
    "micrograph",
    "null_envelope",
    "onset",
    "plane",
    "predictions",
    "rejections",
    "sample_styles",
    "size_resolved",
    "spread_against_mean",
    "violins",
]
