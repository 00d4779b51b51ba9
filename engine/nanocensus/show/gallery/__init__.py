"""The gallery of criteria: one HTML file."""
