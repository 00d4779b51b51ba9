"""Where the work is done: worker processes here, under a batch system or on a cluster, their memory, and calls spread over them."""
