"""Particles that somebody marked, as label images: masks, outlines and labels of other programs."""
