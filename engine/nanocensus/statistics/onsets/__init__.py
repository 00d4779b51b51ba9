"""Onset sizes: from which size on a descriptor changes its course."""
