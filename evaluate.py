"""Score a model or separated stems as the field does: ``python evaluate.py --help`` tells how."""

import sys

from songsplit.errors import MissingExtraError

if __name__ == "__main__":
    try:
        from songsplit.evaluation.program import main
    except MissingExtraError as error:
        sys.exit(f"evaluate.py: {error}")
    sys.exit(main())
