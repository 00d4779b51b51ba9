"""Which files make up a study, and what is said of each: names, folders, listings."""
