"""BaRISTA: tokens of one channel and a stretch of bins, named and masked at a chosen spatial scale."""
