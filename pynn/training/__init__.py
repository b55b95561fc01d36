"""Training: batches, metrics, the loop, checkpoints."""
