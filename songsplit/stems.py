"""Stems of a song, mixes of stems, and saved stems."""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from songsplit.errors import AudioInputError, ConfigError, SongsplitError
from songsplit.naming import check_free, result_files

if TYPE_CHECKING:
    from songsplit.audio.formats import FormatName, OutputFormat

_MAX_GAIN = 200.0  # dB; float32 would overflow soon after

MUTE = -math.inf
"""The gain in dB that removes a stem from a mix."""


@dataclass(frozen=True)
class Mix:
    """A mix of the stems of a song, for :meth:`songsplit.Separator.separate_to_files`.

    Attributes
    ----------
    name : str
        Name of the mix, for example ``"karaoke"``.
    gains : mapping of str to float
        Gain of each stem in dB; ``-inf`` removes a stem, and stems without a gain keep their
        level.
    tempo : float
        Factor of the speed, from 0.25 to 4: at 0.5 the mix lasts twice as long.
    key : float
        Transposition in semitones, from -24 to 24.

    Raises
    ------
    ConfigError
        If a value is not a number or out of range.

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
        check_gains(self.gains, self.gains, ConfigError)
        if not 0.25 <= self.tempo <= 4:
            raise ConfigError(f"the tempo cannot be {self.tempo}: use 0.25 to 4")
        if not abs(self.key) <= 24:
            raise ConfigError(f"the key cannot change by {self.key} semitones: 24 at most")

    @property
    def is_stretched(self) -> bool:
        """Whether the mix changes tempo or key."""
        return self.tempo != 1 or self.key != 0


def check_gains(
    gains: Mapping[str, Any],
    stems: Collection[str],
    problem: type[SongsplitError] = AudioInputError,
) -> None:
    """Raise an error for an unknown stem or a gain that is not a number up to 200 dB."""
    for name, gain in gains.items():
        if name not in stems:
            raise problem(f"there is no stem {name!r}, only {', '.join(stems)}")
        is_number = isinstance(gain, Real) and not isinstance(gain, bool)
        if not (is_number and float(gain) <= _MAX_GAIN):  # also refuses NaN
            raise problem(f"the gain of {name} must be at most {_MAX_GAIN:g} dB, not {gain!r}")


@np.errstate(under="ignore")
def mix_stems(stems: Mapping[str, Any], gains: Mapping[str, float]) -> Any:
    """Add up stems with gains in dB; stems without a gain keep their level."""
    parts = [stem * 10 ** (float(gains.get(name, 0.0)) / 20) for name, stem in stems.items()]
    return sum(parts[1:], start=parts[0])


def mixed(
    blocks: Iterable[Mapping[str, Any]], mix: Mix, sample_rate: int, channels: int
) -> Iterator[dict[str, Any]]:
    """Yield blocks of a mix for blocks of stems, each of shape (channels, n)."""
    from songsplit.audio import Stretcher

    sums = (np.asarray(mix_stems(stems, mix.gains), np.float32) for stems in blocks)
    if not mix.is_stretched:
        yield from ({mix.name: block} for block in sums)
        return
    stretcher = Stretcher(sample_rate, channels, tempo=mix.tempo, key=mix.key)
    yield from ({mix.name: stretcher.process(block)} for block in sums)
    yield {mix.name: stretcher.rest()}


class Stems(Mapping[str, Any]):
    """The stems of one mixture: a read-only mapping from name to audio.

    The stems add up to the mixture. Each stem is also an attribute: ``stems.vocals`` is
    ``stems["vocals"]``.

    Parameters
    ----------
    stems : mapping of str to ndarray or Tensor, shape (channels, samples) or (samples,)
        All stems have the same type and shape.
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

    sample_rate: int
    _stems: dict[str, Any]

    def __init__(self, stems: Mapping[str, Any], sample_rate: int) -> None:
        self.__dict__.update(sample_rate=sample_rate, _stems=dict(stems))

    if TYPE_CHECKING:
        # For editors and type checkers; __getattr__ returns these and any other stem.
        @property
        def vocals(self) -> Any:
            """The vocals."""

        @property
        def instrumental(self) -> Any:
            """Everything but the vocals."""

    def __getattr__(self, name: str) -> Any:
        # self._stems would recurse: a copy lacks it while it is being created.
        try:
            return self.__dict__["_stems"][name]
        except KeyError:
            raise AttributeError(f"no stem or attribute is called {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"stems are read-only, so {name!r} cannot be set")

    def __getitem__(self, name: str) -> Any:
        return self._stems[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stems)

    def __len__(self) -> int:
        return len(self._stems)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._stems]

    # Comparison of arrays would give arrays instead of a bool.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        shape = tuple(next(iter(self._stems.values())).shape)
        return f"Stems({', '.join(self._stems)}; shape {shape}, {self.sample_rate} Hz)"

    def _repr_html_(self) -> str:
        """Show a player for each stem in a notebook."""
        import soundfile

        players = ""
        for name, audio in self._arrays().items():
            file, rate = io.BytesIO(), self.sample_rate
            heard = audio[:2].T / max(1.0, float(np.abs(audio).max(initial=0)))
            with soundfile.SoundFile(file, "w", rate, heard.shape[1], format="OGG") as encoder:
                # libsndfile's encoder copies its blocks to the stack, so they must be short.
                for start in range(0, len(heard), rate):
                    encoder.write(heard[start : start + rate])
            data = base64.b64encode(file.getvalue()).decode("ascii")
            sound = f'<audio controls src="data:audio/ogg;base64,{data}"></audio>'
            players += f"<p>{escape(name)}<br>{sound}</p>"
        return players

    def _arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return all stems as arrays of shape (channels, samples)."""
        return {
            name: np.atleast_2d(stem if isinstance(stem, np.ndarray) else stem.cpu().numpy())
            for name, stem in self._stems.items()
        }

    def remix(self, **gains: float) -> Any:
        """Mix the stems again with a gain for each.

        Parameters
        ----------
        **gains : float
            Gain of a stem in dB, for example ``vocals=-6``; ``-inf`` mutes it. Stems without a
            gain keep their level, so ``remix()`` returns the mixture.

        Returns
        -------
        ndarray or Tensor
            The mix, of the type and shape of the stems. It is not clipped and may exceed [-1, 1].

        Raises
        ------
        AudioInputError
            If there is no such stem, or a gain is not a number or above 200 dB.
        """
        check_gains(gains, self._stems)
        return mix_stems(self._stems, gains)

    def karaoke(self, vocals: float = MUTE) -> Any:
        """Mix the song without its vocals, or with quiet vocals as a guide.

        Parameters
        ----------
        vocals : float, optional
            Gain of the vocals in dB, for example -18; by default they are muted.

        Returns
        -------
        ndarray or Tensor
            The mix, as from :meth:`remix`, which lists the errors.
        """
        return self.remix(vocals=vocals)

    @np.errstate(under="ignore")
    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        mix: Mix | None = None,
        output: OutputFormat | FormatName = "wav",
        overwrite: bool = False,
    ) -> SavedStems:
        """Write each stem to ``<folder>/<name>.wav``, or in another format.

        Parameters
        ----------
        folder : path
            Created if it does not exist.
        mix : Mix, optional
            Write only this mix, to ``<folder>/<mix.name>.wav``.
        output
            As for :meth:`songsplit.Separator.separate_to_files`.
        overwrite : bool, optional
            Replace existing files.

        Returns
        -------
        SavedStems
            The file of each stem, and the gain.

        Raises
        ------
        OutputExistsError, OutputError
            If a file already exists or cannot be written. No partial files are left.
        ConfigError, AudioInputError
            If the format is unknown, or a stem is empty, not floating point or not finite.
        """
        # Commands use Mix without the modules that read and write audio.
        from songsplit.audio import StemFilesWriter
        from songsplit.audio.formats import OutputFormat

        if isinstance(output, str):
            output = OutputFormat(output)
        if mix is not None:
            check_gains(mix.gains, self._stems)
        names = self._stems if mix is None else (mix.name,)
        paths = result_files(folder, names, output).stems
        check_free(folder, paths.values(), overwrite=overwrite)
        audio = self._arrays()
        for name, stem in audio.items():
            if not stem.size or stem.dtype.kind != "f" or not np.isfinite(stem).all():
                raise AudioInputError(f"{name} must be floating point, finite, and not empty")
        channels = next(iter(audio.values())).shape[0]
        stems = [{name: stem.astype(np.float32) for name, stem in audio.items()}]
        with StemFilesWriter(
            paths, self.sample_rate, channels, output=output, guarded=mix is not None
        ) as writer:
            for block in mixed(stems, mix, self.sample_rate, channels) if mix else stems:
                writer.write(block)
        return SavedStems(paths, gain=writer.gain, problems=writer.problems)


class SavedStems(dict[str, Path]):
    """The file of each stem or of a mix, by name.

    Attributes
    ----------
    gain_db : float
        The gain of the files in dB: 0, or less if a file would have clipped.
    problems : list of str
        Warnings, for example about tags that could not be copied.
    picture : Path or None
        The picture of the song, if one was requested.
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
