"""The ``songsplit`` command: options in, calls of the library, messages out."""

from __future__ import annotations

from songsplit.cli.app import app, main

__all__ = ["app", "main"]
