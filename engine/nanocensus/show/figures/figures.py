"""The figures of a study, as HoloViews elements made from numpy, pandas and xarray alone.

Show them in a notebook after ``holoviews.extension("bokeh")``, or save them with ``holoviews.save``.
"""

from nanocensus.show.figures.across import cv_across_samples
from nanocensus.show.figures.criteria import criterion
from nanocensus.show.figures.distributions import histogram, violins
from nanocensus.show.figures.envelopes import null_envelope
from nanocensus.show.figures.micrographs import micrograph
from nanocensus.show.figures.onsets import onset
from nanocensus.show.figures.planes import plane
from nanocensus.show.figures.sampling import data_size, group_scatter
from nanocensus.show.figures.shapes import mean_shapes
from nanocensus.show.figures.sizes import size_resolved
from nanocensus.show.figures.spread import spread_against_mean
from nanocensus.show.figures.synthesis import exponents, predictions
from nanocensus.show.figures.tallies import agreement, rejections
from nanocensus.show.figures.theme import sample_styles

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
