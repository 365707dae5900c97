"""Exceptions raised by songsplit.

Every error that songsplit raises on purpose derives from :class:`SongsplitError`. Each message
names the file or argument at fault and states what to do.
"""

from __future__ import annotations


class SongsplitError(Exception):
    """Base class of all errors raised by songsplit."""


class AudioFileError(SongsplitError):
    """An audio file is missing, unreadable, damaged or holds no usable audio."""


class AudioInputError(SongsplitError, ValueError):
    """Samples or a sample rate given by the caller cannot be used."""


class OutputError(SongsplitError):
    """A result could not be written."""


class OutputExistsError(OutputError):
    """A result already exists and `overwrite` is not set."""


class ModelError(SongsplitError):
    """A model is unknown, damaged or not suitable for the request."""


class DeviceError(SongsplitError):
    """The requested compute device is not available."""


class ConfigError(SongsplitError, ValueError):
    """A setting has an unknown name or an impossible value."""


class TrainingError(SongsplitError):
    """Training cannot continue, for example because the loss is NaN."""


class DataError(SongsplitError):
    """Training or evaluation data are missing or unusable."""


class MissingExtraError(SongsplitError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(package, extra)

    def __str__(self) -> str:
        package, extra = self.args
        return (
            f"this needs the package '{package}': pip install 'songsplit[{extra}]', or "
            f"pip install '.[{extra}]' in the folder that songsplit was installed from"
        )
