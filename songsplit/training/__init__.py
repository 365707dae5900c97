"""Training of separation networks with PyTorch Lightning, in the extra ``train``."""
