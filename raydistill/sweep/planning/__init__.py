"""From a sweep file to its jobs and their states; starts nothing and imports no torch."""
