"""The result of a separation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from songsplit.audio import StemFilesWriter
from songsplit.errors import AudioInputError
from songsplit.formats import Clip, FormatName, OutputFormat
from songsplit.mixes import MUTE, check_gains, mix_stems
from songsplit.results import SavedStems, check_free, result_files


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

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        output: OutputFormat | FormatName = "wav",
        clip: Clip = "scale",
        overwrite: bool = False,
    ) -> SavedStems:
        """Write each stem to ``<folder>/<name>.wav``, or another kind of file.

        Parameters
        ----------
        folder : path
            Created if it is not there.
        output, clip
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
        if isinstance(output, str):
            output = OutputFormat(output)
        paths = result_files(folder, self._stems, output).stems
        check_free(folder, paths.values(), overwrite=overwrite)
        audio = {name: np.atleast_2d(_as_numpy(stem)) for name, stem in self._stems.items()}
        for name, stem in audio.items():
            if not stem.size or stem.dtype.kind != "f" or not np.isfinite(stem).all():
                raise AudioInputError(f"{name} must be floating point, finite, and not empty")
        channels = next(iter(audio.values())).shape[0]
        writer = StemFilesWriter(paths, self._sample_rate, channels, output=output, clip=clip)
        with writer:
            writer.write({name: stem.astype(np.float32) for name, stem in audio.items()})
        return SavedStems(paths, gain=writer.gain, problems=writer.problems)


def _as_numpy(audio: Any) -> np.ndarray[Any, Any]:
    return audio if isinstance(audio, np.ndarray) else np.asarray(audio.cpu())
