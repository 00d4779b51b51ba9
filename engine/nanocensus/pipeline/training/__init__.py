"""Networks trained: patches and scenes in, weights and a model card out."""
