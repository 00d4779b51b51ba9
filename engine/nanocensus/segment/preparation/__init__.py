"""What is done to a micrograph before a network sees it: hot pixels, background, standardisation."""
