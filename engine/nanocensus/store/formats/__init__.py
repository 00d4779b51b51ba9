"""Image files in: one row of `READERS` a format, and the pixel sizes that headers state."""
