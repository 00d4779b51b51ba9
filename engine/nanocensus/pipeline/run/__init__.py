"""A run: files taken in, blocks of micrographs measured, what happened written down, and what was left read again."""
