"""Train a separation model: ``python train.py fit --config configs/small.yaml``."""

import importlib.util
import sys
from pathlib import Path

from songsplit.errors import MissingExtraError, SongsplitError

if __name__ == "__main__":
    try:
        for package in ("pytorch_lightning", "jsonargparse"):
            if importlib.util.find_spec(package) is None:
                raise MissingExtraError(package, "train")
        from songsplit.training.lightning_cli import TrainingCLI

        sys.path.append(str(Path.cwd()))  # for your own networks and losses
        TrainingCLI()
    except (SongsplitError, OSError) as error:
        sys.exit(f"songsplit: {error}")
