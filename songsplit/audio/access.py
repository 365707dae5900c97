"""How files of songs are got at: in this process or in another, and within which limits."""

from __future__ import annotations

from dataclasses import dataclass

from songsplit.audio._sources import AudioSource
from songsplit.audio.limits import LIMITS, Limits
from songsplit.audio.reading import AudioReader, open_audio
from songsplit.audio.tags import Tags, read_tags


@dataclass(frozen=True)
class Access:
    """A way to open songs.

    Attributes
    ----------
    isolate : bool
        Whether decoders and readers of tags work in a process of their own, which may crash
        or hang without harm.
    limits : Limits
        What a file may ask for.
    """

    isolate: bool = False
    limits: Limits = LIMITS

    def audio(self, source: AudioSource) -> AudioReader:
        """Open a file for reading, as :func:`songsplit.audio.open_audio` does."""
        if not self.isolate:
            return open_audio(source, limits=self.limits)
        from songsplit.audio.isolation import open_isolated

        return open_isolated(source, self.limits)

    def tags(self, source: AudioSource) -> Tags:
        """Read a file's tags, as :func:`songsplit.audio.read_tags` does."""
        if not self.isolate:
            return read_tags(source)
        from songsplit.audio.isolation import read_tags_isolated

        return read_tags_isolated(source, self.limits)
