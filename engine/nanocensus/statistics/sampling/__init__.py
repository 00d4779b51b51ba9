"""How many micrographs and particles are enough, and how far less data lead astray."""
