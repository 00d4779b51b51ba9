"""Figures and reports from results; computes nothing."""
