"""Decoders fitted without gradient descent, and how they are scored."""
