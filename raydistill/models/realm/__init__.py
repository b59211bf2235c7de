"""REALM: causal state-space students of LFP (arXiv 2605.14867)."""
