"""Training: one loop for full fine-tuning and adapters, on a CPU or a GPU."""
