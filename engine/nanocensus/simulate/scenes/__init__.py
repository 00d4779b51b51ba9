"""Scenes: small micrographs of every kind of particle under every kind of imaging, to train and to judge networks."""
