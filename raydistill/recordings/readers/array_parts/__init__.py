"""The parts of the reader of arrays: one module per kind of value."""
