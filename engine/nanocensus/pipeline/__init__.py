"""The order of the stages: plans, clusters, runs, and studies that need several rooms."""
