"""``python -m songsplit`` does what the ``songsplit`` command does."""

from songsplit.cli import main

main()
