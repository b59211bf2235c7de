"""Import of the checkpoints that the authors of the cross-modal paper released."""
