"""How well maps agree with the truth, and the baseline that every network is held against."""
