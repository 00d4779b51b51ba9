"""How a network learns: data, patches, losses, and where a training stands."""
