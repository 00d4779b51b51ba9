"""Particle tables of other tools, under our names and in nanometres."""
