"""What surrounds the training loop: device, batches, checkpoints, failures, several processes."""
