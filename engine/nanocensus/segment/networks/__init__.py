"""The networks themselves: their architectures and weights as values, and what they compute."""
