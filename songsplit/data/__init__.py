"""Find and read songs for training and evaluation."""
