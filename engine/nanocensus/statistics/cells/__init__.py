"""Integer sums per sample, micrograph and size bin: the material of every statistic."""
