"""Region properties, one file a device, behind one signature."""
