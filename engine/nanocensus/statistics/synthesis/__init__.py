"""Means of samples against the conditions of their synthesis."""
