"""Published papers as data: datasets, groups of sessions, printed numbers."""
