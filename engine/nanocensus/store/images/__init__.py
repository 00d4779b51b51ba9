"""Micrographs, maps and labels in Zarr: taken in once, written whole, read without trust."""
