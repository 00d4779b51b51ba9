"""From a probability map to a row of numbers a particle."""
