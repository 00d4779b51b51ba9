"""From rows of particles to statements about the population."""
