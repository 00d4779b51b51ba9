"""Particles that another tool found: their table or label images, analysed like those of a run."""
