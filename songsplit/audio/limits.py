"""How much a file may ask for before it is refused."""

from __future__ import annotations

from dataclasses import dataclass, fields

from songsplit.errors import ConfigError


@dataclass(frozen=True)
class Limits:
    """Bounds on what is taken from a file, for files that nobody has looked at.

    Parameters
    ----------
    seconds : float, optional
        Longest audio in seconds, by default 24 hours. A file that says it is longer is
        refused at once, any other where it goes beyond: a small file may hold years of
        silence.
    timeout : float, optional
        Longest time in seconds that a decoder in a process of its own may take for the next
        piece of audio, by default a minute. Without ``isolate=True`` it has no effect.
    memory : int, optional
        Most memory in bytes that such a process may ask for, by default 2 GiB. It has no
        effect without ``isolate=True``, nor on systems other than Linux.

    Raises
    ------
    ConfigError
        If one is not positive.

    Examples
    --------
    >>> import songsplit
    >>> songsplit.Limits(seconds=15 * 60, timeout=10).memory
    2147483648
    """

    seconds: float = 24 * 3600.0
    timeout: float = 60.0
    memory: int = 2 << 30

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            if not value > 0:  # not a number is not either
                raise ConfigError(f"the limit {setting.name} must be more than 0, not {value!r}")

    @property
    def longest(self) -> str:
        """The longest audio in words."""
        if self.seconds >= 7200:
            return f"{self.seconds / 3600:.4g} hours"
        return f"{self.seconds:.4g} seconds"


LIMITS = Limits()
"""Those that hold where none are given."""
