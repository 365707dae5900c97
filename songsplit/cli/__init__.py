"""The ``songsplit`` command."""

from __future__ import annotations

from songsplit.cli.app import app, main

__all__ = ["app", "main"]
