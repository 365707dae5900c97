"""Score a model or separated stems with the usual measures: see ``python evaluate.py --help``."""

import sys

from songsplit.errors import MissingExtraError

if __name__ == "__main__":
    try:
        from songsplit.evaluation.program import main
    except MissingExtraError as error:
        sys.exit(f"evaluate.py: {error}")
    sys.exit(main())
