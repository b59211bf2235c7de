"""Sweep files and search files."""
