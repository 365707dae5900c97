"""Score a model or separated stems as the field does: ``python evaluate.py --help`` tells how."""

import sys

from songsplit.evaluation.program import main

if __name__ == "__main__":
    sys.exit(main())
