"""From models and baselines to results: decoding, statistics, representations, figures."""
