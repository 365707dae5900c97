"""Train a separation model: ``python train.py fit --config configs/small.yaml``."""

import sys

from songsplit.errors import SongsplitError
from songsplit.training.cli import main

if __name__ == "__main__":
    try:
        main()
    except SongsplitError as error:
        sys.exit(f"songsplit: {error}")
