"""Sweeps: planning, running and answering, and searching for better values of one job."""
