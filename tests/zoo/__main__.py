"""Write the zoo: ``python -m tests.zoo FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from .collection import ENTRIES, write_all


def main() -> None:
    """Write all files into the folder that is named on the command line."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.zoo FOLDER")
    folder = Path(sys.argv[1])
    write_all(folder)
    sys.stdout.write(f"{len(ENTRIES)} files in {folder / 'files'}, told of in index.json\n")


if __name__ == "__main__":
    main()
