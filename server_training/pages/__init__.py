"""Pages a person reads in a browser: one file each, nothing loaded from elsewhere."""
