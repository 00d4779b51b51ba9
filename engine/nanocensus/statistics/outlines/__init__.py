"""Mean outlines with the symmetry of a square."""
