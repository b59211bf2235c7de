"""From stored segments to the batches of a training."""
