"""What shows against size without any change of shape: constant shapes, and pairs measured as one, measured as the data were."""
