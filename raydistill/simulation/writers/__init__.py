"""One writer of synthetic files per layout."""
