"""Mean outlines of samples and size bins."""
