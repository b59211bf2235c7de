"""Synthetic recordings with known latents, written in the layouts that the readers read."""
