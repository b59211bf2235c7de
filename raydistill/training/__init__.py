"""The training loop, its checkpoints, and its distribution over workers."""
