"""Train a separation model: ``python train.py fit --config configs/small.yaml``."""

from songsplit.training.cli import main

if __name__ == "__main__":
    main()
