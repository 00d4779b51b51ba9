"""Where the variance of particles lies: within micrographs, between them, between sessions."""
