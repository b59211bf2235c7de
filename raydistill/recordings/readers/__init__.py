"""One reader per layout of recorded files."""
