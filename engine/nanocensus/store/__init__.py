"""Files in, Zarr and Parquet out: what is on disk and how it gets there."""
