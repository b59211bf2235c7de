"""Seeded faults of twenty kinds while a sweep, a search or an ingest runs (see `__main__.py`)."""
