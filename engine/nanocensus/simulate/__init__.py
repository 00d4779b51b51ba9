"""Micrographs and populations whose truth is known."""
