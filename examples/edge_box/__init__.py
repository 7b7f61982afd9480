"""A Linux box that serves one device to programs in other languages, as a systemd service or as a plain process."""
