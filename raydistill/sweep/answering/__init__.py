"""From the finished jobs of a sweep to its tables, tests, figures and report."""
