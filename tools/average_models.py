"""Average the weights of a model and one trained from it: ``average_models.py FIRST SECOND OUT``.

Such models make different errors, and the mean of their weights is often better than both
(Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"). The card is that of the second
model, and also records both models and their shares.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from songsplit.models.weights import load_weights, save_weights


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--share", type=float, default=0.5, help="share of the second model")
    options = parser.parse_args()
    first, second = (load_weights(path) for path in (options.first, options.second))
    if first.model.config != second.model.config:
        parser.error("the models have different configurations")
    old, new = first.model.state_dict(), second.model.state_dict()
    mixed = {
        name: old[name].lerp(value, options.share) if value.is_floating_point() else value
        for name, value in new.items()
    }
    second.model.load_state_dict(mixed)
    shares = (1 - options.share, first), (options.share, second)
    parts = [{"share": share, "sha256": model.digest} for share, model in shares]
    save_weights(second.model, {**second.card, "average": parts}, options.out)


if __name__ == "__main__":
    main()
