"""Training runs: batches, objectives, checkpoints."""
