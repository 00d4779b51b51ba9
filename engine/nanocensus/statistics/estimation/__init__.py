"""From cells to estimates with intervals: clusters, resamples, reductions, and samples against each other."""
