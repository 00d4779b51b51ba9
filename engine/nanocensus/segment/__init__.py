"""From a micrograph to the probability that each pixel is particle."""
