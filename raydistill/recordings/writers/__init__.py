"""Synthetic recordings as raw files: one file a layout."""
