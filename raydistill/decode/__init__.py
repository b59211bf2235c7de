"""Decoding behavior from one stored session with a trained model."""
