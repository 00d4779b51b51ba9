"""What a run is asked to do: the job file, its sections checked one by one, and the blocks that the work is cut into."""
