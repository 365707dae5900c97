"""Run the ``songsplit`` command with ``python -m songsplit``."""

from songsplit.cli import main

main()
