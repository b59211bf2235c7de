"""Families of models: configuration, layers, files, and the import of released checkpoints."""
