"""Training of separation networks with PyTorch Lightning; needs the train extra."""
