"""Training: data preparation, the loop, checkpoints, held-out evaluation."""
