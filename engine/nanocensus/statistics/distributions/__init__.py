"""Distributions as a whole: densities, modes, log-normal fits, and distances between samples."""
