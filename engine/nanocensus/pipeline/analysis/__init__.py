"""From the particle table to every statistic that a job asks for, saved beside it."""
