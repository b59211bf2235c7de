"""Decoding bin by bin: of a stored session, of numbers that arrive, and on other machines."""
