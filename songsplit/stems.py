"""Stems of a song, mixes of them, and the files they are saved to."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from songsplit.errors import AudioInputError, ConfigError
from songsplit.naming import check_free, result_files

if TYPE_CHECKING:
    from songsplit.audio.formats import FormatName, OutputFormat

_MAX_GAIN = 200.0  # dB; float32 would overflow soon after
_TEMPOS = 0.25, 4.0
_MAX_KEY = 24.0

MixName: TypeAlias = Literal["karaoke", "acapella", "remix", "practice"]
"""What the command line calls its mixes."""

MUTE = -math.inf
"""The gain in dB of what is left out."""


@dataclass(frozen=True)
class Mix:
    """A mix of the stems of a song, for :meth:`songsplit.Separator.separate_to_files`.

    Attributes
    ----------
    name : str
        What it is called: ``"karaoke"``, for example.
    gains : mapping of str to float
        Gain of each stem in dB; ``-inf`` leaves a stem out, and stems that are not named
        keep their level.
    tempo : float
        Speed as a share of the song's, 0.25 to 4: at 0.5 it lasts twice as long.
    key : float
        Semitones to go up, or down if negative, at most 24.

    Raises
    ------
    ConfigError
        If a number is none or out of range.

    Examples
    --------
    >>> Mix("karaoke", {"vocals": -18})  # with a guide vocal
    Mix(name='karaoke', gains={'vocals': -18}, tempo=1.0, key=0.0)
    """

    name: str
    gains: Mapping[str, float] = field(default_factory=dict)
    tempo: float = 1.0
    key: float = 0.0

    def __post_init__(self) -> None:
        try:
            check_gains(self.gains, self.gains)
        except AudioInputError as error:
            raise ConfigError(str(error)) from error
        lowest, highest = _TEMPOS
        if not lowest <= self.tempo <= highest:
            raise ConfigError(f"the tempo cannot be {self.tempo}: use {lowest:g} to {highest:g}")
        if not abs(self.key) <= _MAX_KEY:
            raise ConfigError(
                f"the key cannot change by {self.key} semitones: {_MAX_KEY:g} at most"
            )

    @property
    def is_stretched(self) -> bool:
        """Whether tempo or key change."""
        return self.tempo != 1 or self.key != 0


def check_gains(gains: Mapping[str, Any], stems: Collection[str]) -> None:
    """Raise AudioInputError for unknown stems and for gains that are no number up to 200 dB."""
    for name, gain in gains.items():
        if name not in stems:
            raise AudioInputError(f"there is no stem {name!r}, only {', '.join(stems)}")
        if isinstance(gain, bool) or not isinstance(gain, Real):
            raise AudioInputError(f"the gain of {name} must be a number in dB, not {gain!r}")
        if math.isnan(float(gain)) or float(gain) > _MAX_GAIN:
            raise AudioInputError(
                f"the gain of {name} cannot be {gain} dB: give at most {_MAX_GAIN:g}"
            )


@np.errstate(under="ignore")
def mix_stems(stems: Mapping[str, Any], gains: Mapping[str, float]) -> Any:
    """Add up stems, each at a gain in dB; those that are not named keep their level."""
    parts = [stem * 10 ** (float(gains.get(name, 0.0)) / 20) for name, stem in stems.items()]
    return sum(parts[1:], start=parts[0])


class Stems(Mapping[str, Any]):
    """The stems of one mixture: a read-only mapping from name to audio.

    The stems add up to the mixture. Each is also an attribute: ``stems.vocals`` is
    ``stems["vocals"]``.

    Parameters
    ----------
    stems : mapping of str to ndarray or Tensor, shape (channels, samples) or (samples,)
        All of the same kind and shape.
    sample_rate : int
        Rate in Hz.

    Examples
    --------
    >>> import numpy as np
    >>> stems = Stems({"vocals": np.ones(4), "instrumental": np.zeros(4)}, 44100)
    >>> list(stems)
    ['vocals', 'instrumental']
    >>> stems.remix(vocals=-20).tolist()
    [0.1, 0.1, 0.1, 0.1]
    """

    def __init__(self, stems: Mapping[str, Any], sample_rate: int) -> None:
        self._stems = dict(stems)
        self._sample_rate = sample_rate

    @property
    def sample_rate(self) -> int:
        """Rate of the stems in Hz."""
        return self._sample_rate

    if TYPE_CHECKING:
        # For editors and type checkers; __getattr__ serves these and any other stem.
        @property
        def vocals(self) -> Any:
            """The singing."""

        @property
        def instrumental(self) -> Any:
            """Everything but the singing."""

    def __getattr__(self, name: str) -> Any:
        # Not through self._stems, which a copy does not have while it is being made.
        try:
            return self.__dict__["_stems"][name]
        except KeyError:
            raise AttributeError(f"no stem or attribute is called {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            raise AttributeError(f"stems are read-only, so {name!r} cannot be set")
        super().__setattr__(name, value)

    def __getitem__(self, name: str) -> Any:
        return self._stems[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stems)

    def __len__(self) -> int:
        return len(self._stems)

    # Comparing audio element by element would give arrays, not an answer.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        shape = tuple(next(iter(self._stems.values())).shape)
        return f"Stems({', '.join(self._stems)}; shape {shape}, {self._sample_rate} Hz)"

    def remix(self, **gains: float) -> Any:
        """Mix the stems again, each at a level of its own.

        Parameters
        ----------
        **gains : float
            Gain of a stem in dB, for example ``vocals=-6``; ``-inf`` mutes. Stems that
            are not named keep their level, so ``remix()`` gives back the mixture.

        Returns
        -------
        ndarray or Tensor
            Of the kind and shape of the stems. Louder stems can take it beyond
            [-1, 1]; nothing is clipped.

        Raises
        ------
        AudioInputError
            If there is no such stem, or a gain is no number or above 200 dB.
        """
        check_gains(gains, self._stems)
        return mix_stems(self._stems, gains)

    def karaoke(self, vocals: float = MUTE) -> Any:
        """Mix everything but the vocals, or with the vocals as a guide.

        Parameters
        ----------
        vocals : float, optional
            Gain of the vocals in dB, for example -18; by default there are none.

        Returns
        -------
        ndarray or Tensor
            As from :meth:`remix`.

        Raises
        ------
        AudioInputError
            As from :meth:`remix`.
        """
        return self.remix(vocals=vocals)

    @np.errstate(under="ignore")
    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        output: OutputFormat | FormatName = "wav",
        overwrite: bool = False,
    ) -> SavedStems:
        """Write each stem to ``<folder>/<name>.wav``, or another kind of file.

        Parameters
        ----------
        folder : path
            Created if it is not there.
        output
            As for :meth:`songsplit.Separator.separate_to_files`.
        overwrite : bool, optional
            Replace files that are already there.

        Returns
        -------
        SavedStems
            The file of each stem, and what was done to the level.

        Raises
        ------
        OutputExistsError
            If a file is already there and ``overwrite`` is false.
        OutputError
            If a file cannot be written. No partial files are left.
        ConfigError
            If there is no such format.
        AudioInputError
            If the stems hold no samples, or samples that are not finite, or integers.
        """
        # Commands need mixes, but not all that reads and writes audio.
        from songsplit.audio import StemFilesWriter
        from songsplit.audio.formats import OutputFormat

        if isinstance(output, str):
            output = OutputFormat(output)
        paths = result_files(folder, self._stems, output).stems
        check_free(folder, paths.values(), overwrite=overwrite)
        audio = {name: np.atleast_2d(_as_numpy(stem)) for name, stem in self._stems.items()}
        for name, stem in audio.items():
            if not stem.size or stem.dtype.kind != "f" or not np.isfinite(stem).all():
                raise AudioInputError(f"{name} must be floating point, finite, and not empty")
        channels = next(iter(audio.values())).shape[0]
        with StemFilesWriter(paths, self._sample_rate, channels, output=output) as writer:
            writer.write({name: stem.astype(np.float32) for name, stem in audio.items()})
        return SavedStems(paths, gain=writer.gain, problems=writer.problems)


def _as_numpy(audio: Any) -> np.ndarray[Any, Any]:
    return audio if isinstance(audio, np.ndarray) else np.asarray(audio.cpu())


class SavedStems(dict[str, Path]):
    """The file of each stem, or of a mix of them, by its name.

    Parameters
    ----------
    paths : mapping of str to Path
    gain : float
        What all stems were multiplied by, so that none clips.
    problems : sequence of str
        What went wrong beside the audio.
    picture : Path, optional
        The picture of the song.

    Attributes
    ----------
    gain_db : float
        The gain in dB: 0, or less if something would have clipped.
    problems : list of str
        What could not be copied of the tags, for example.
    picture : Path or None
        The picture of the song, if one was asked for.
    """

    def __init__(
        self,
        paths: Mapping[str, Path],
        *,
        gain: float,
        problems: Sequence[str],
        picture: Path | None = None,
    ) -> None:
        super().__init__(paths)
        self.gain_db = 20 * math.log10(gain)
        self.problems = list(problems)
        self.picture = picture
