"""From a whole micrograph to its map, on a CPU, on a GPU or on OpenVINO, and how far it is from what a network knows."""
