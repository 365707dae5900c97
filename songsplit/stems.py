"""The result of a separation."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from songsplit.audio import StemFilesWriter
from songsplit.errors import AudioInputError, OutputError, OutputExistsError
from songsplit.formats import Clip, FormatName, OutputFormat

_MAX_GAIN = 200.0  # dB; float32 would overflow soon after


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
        for name, gain in gains.items():
            if name not in self._stems:
                raise AudioInputError(f"there is no stem {name!r}, only {', '.join(self._stems)}")
            if isinstance(gain, bool) or not isinstance(gain, int | float | np.floating):
                raise AudioInputError(f"the gain of {name} must be a number in dB, not {gain!r}")
            if math.isnan(gain) or gain > _MAX_GAIN:
                raise AudioInputError(
                    f"the gain of {name} cannot be {gain} dB: give at most {_MAX_GAIN:g}"
                )
        parts = [
            stem * 10 ** (float(gains.get(name, 0.0)) / 20) for name, stem in self._stems.items()
        ]
        return sum(parts[1:], start=parts[0])

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
        paths = stem_paths(folder, self._stems, output=output, overwrite=overwrite)
        audio = {name: np.atleast_2d(_as_numpy(stem)) for name, stem in self._stems.items()}
        for name, stem in audio.items():
            if not stem.size or stem.dtype.kind != "f" or not np.isfinite(stem).all():
                raise AudioInputError(f"{name} must be floating point, finite, and not empty")
        channels = next(iter(audio.values())).shape[0]
        writer = StemFilesWriter(paths, self._sample_rate, channels, output=output, clip=clip)
        with writer:
            writer.write({name: stem.astype(np.float32) for name, stem in audio.items()})
        return SavedStems(paths, gain=writer.gain, problems=writer.problems)


class SavedStems(dict[str, Path]):
    """The file of each stem, by its name.

    Parameters
    ----------
    paths : mapping of str to Path
    gain : float
        What all stems were multiplied by, so that none clips.
    problems : sequence of str
        What went wrong beside the audio.

    Attributes
    ----------
    gain_db : float
        The gain in dB: 0, or less if something would have clipped.
    problems : list of str
        What could not be copied of the tags, for example.
    """

    def __init__(self, paths: Mapping[str, Path], *, gain: float, problems: Sequence[str]) -> None:
        super().__init__(paths)
        self.gain_db = 20 * math.log10(gain)
        self.problems = list(problems)


def stem_paths(
    folder: str | os.PathLike[str],
    names: Mapping[str, Any] | tuple[str, ...],
    *,
    output: OutputFormat,
    overwrite: bool,
) -> dict[str, Path]:
    """Name the files that stems are written to.

    Parameters
    ----------
    folder : path
    names : mapping or tuple of str
        Names of the stems.
    output : OutputFormat
        What the files are.
    overwrite : bool
        Whether the files may be there already.

    Returns
    -------
    dict of str to Path

    Raises
    ------
    OutputExistsError
        If one is already there and ``overwrite`` is false.
    OutputError
        If the folder is a file, or its name is impossible.
    """
    file = "stems" if output.holds_all else None
    paths = {name: Path(folder) / f"{file or name}.{output.name}" for name in names}
    try:
        with suppress(FileNotFoundError):
            os.lstat(folder)  # refuses impossible names, which exists() calls missing
        if os.path.lexists(folder) and not Path(folder).is_dir():
            raise OutputError(f"{folder} is a file: name a folder to put the stems into")
        for path in paths.values():
            if not overwrite and os.path.lexists(path):
                raise OutputExistsError(f"{path} is already there: allow overwriting, or move it")
    except (OSError, ValueError) as error:
        raise OutputError(f"{folder} cannot be a folder ({error}): name another") from error
    return paths


def _as_numpy(audio: Any) -> np.ndarray[Any, Any]:
    return audio if isinstance(audio, np.ndarray) else np.asarray(audio.cpu())
