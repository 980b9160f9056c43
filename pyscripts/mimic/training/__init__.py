"""The one training loop: engine, optimisers, checkpoints, resume, processes."""
