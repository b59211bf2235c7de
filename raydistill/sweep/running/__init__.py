"""Running the jobs of a plan through Ray."""
