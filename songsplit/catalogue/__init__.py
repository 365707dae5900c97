"""Catalogues: songs by the thousand, on many machines, from and to any store."""

from __future__ import annotations

from songsplit.catalogue.outcomes import read_outcomes
from songsplit.catalogue.runs import Summary, separate_catalogue

__all__ = ["Summary", "read_outcomes", "separate_catalogue"]
