"""What a network is worth: maps held against micrographs whose true particles are known."""
