"""Onset sizes of a job: where a descriptor changes its course, what else could move it, and how sure one may be."""
