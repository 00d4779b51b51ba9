"""The particles and their outlines: a Parquet part a block, read back as one table or a few rows at a time."""
