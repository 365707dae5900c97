"""Files that results go into: how they are called, and what is in them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from songsplit.audio import Stretcher, Tags
from songsplit.errors import OutputError, OutputExistsError
from songsplit.formats import OutputFormat
from songsplit.mixes import Mix, mix_stems
from songsplit.naming import check_template, fill_template

STEM_ONLY = "{stem}"
"""The template of names where a song has a folder for itself."""

_PICTURE = "picture"
_TOGETHER = "stems"


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


@dataclass(frozen=True)
class Files:
    """Where results of a song go.

    Attributes
    ----------
    stems : mapping of str to Path
        The file of each stem, or of a mix.
    picture : Path or None
        The picture of the song, if there is to be one.
    """

    stems: Mapping[str, Path]
    picture: Path | None = None

    def __iter__(self) -> Iterator[Path]:
        """Iterate over all files, each once."""
        yield from dict.fromkeys(self.stems.values())
        if self.picture is not None:
            yield self.picture


def result_files(
    folder: str | os.PathLike[str],
    names: Iterable[str],
    output: OutputFormat,
    *,
    filename: str = STEM_ONLY,
    track: str = "",
    tags: Tags | None = None,
    picture: bool = False,
) -> Files:
    """Name the files that results of a song are written to.

    Parameters
    ----------
    folder : path
        Where results go.
    names : iterable of str
        Names of the stems.
    output : OutputFormat
        What the files are.
    filename : str, optional
        Template of their names (:func:`songsplit.naming.check_template`).
    track : str, optional
        Name of the song's file without extension.
    tags : Tags, optional
        What the song's file says of it.
    picture : bool, optional
        Whether there is to be a picture. It is called as a stem "picture" would be.

    Returns
    -------
    Files

    Raises
    ------
    ConfigError
        If the template is impossible, or gives several files one name.
    """
    names = list(names)
    check_template(filename, several=len(names) > 1 and not output.holds_all)
    fields = {} if tags is None else tags.fields
    values = {key: fields[key][0] for key in ("artist", "title", "album") if fields.get(key)}

    # Who writes the extension out means no second one.
    filename = filename.removesuffix(f".{output.name}")

    def path(stem: str, extension: str) -> Path:
        path = Path(folder, fill_template(filename, {**values, "track": track, "stem": stem}))
        return path.with_name(f"{path.name}.{extension}")

    stems = {name: path(_TOGETHER if output.holds_all else name, output.name) for name in names}
    return Files(stems, path(_PICTURE, "png") if picture else None)


def check_free(folder: str | os.PathLike[str], paths: Iterable[Path], *, overwrite: bool) -> None:
    """Make sure that results may be written.

    Parameters
    ----------
    folder : path
        The folder that the user named.
    paths : iterable of Path
        Files that are to be written.
    overwrite : bool
        Whether they may be there already.

    Raises
    ------
    OutputExistsError
        If one is already there and ``overwrite`` is false.
    OutputError
        If the folder is a file, or its name is impossible.
    """
    try:
        with suppress(FileNotFoundError):
            os.lstat(folder)  # refuses impossible names, which exists() calls missing
        if os.path.lexists(folder) and not Path(folder).is_dir():
            raise OutputError(f"{folder} is a file: name a folder to put the stems into")
        for path in paths:
            if not overwrite and os.path.lexists(path):
                raise OutputExistsError(f"{path} is already there: allow overwriting, or move it")
    except (OSError, ValueError) as error:
        raise OutputError(f"{folder} cannot be a folder ({error}): name another") from error


class Mixer:
    """Turns blocks of stems into blocks of what is written: the stems, or a mix of them.

    Parameters
    ----------
    mix : Mix or None
        None for the stems as they are.
    sample_rate, channels : int
        Of the stems.
    """

    def __init__(self, mix: Mix | None, sample_rate: int, channels: int) -> None:
        self._mix = mix
        self._stretcher = None
        if mix is not None and mix.is_stretched:
            self._stretcher = Stretcher(sample_rate, channels, tempo=mix.tempo, key=mix.key)

    def __call__(self, stems: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """Take the next ``(channels, n)`` of every stem, and give what is ready."""
        if self._mix is None:
            return dict(stems)
        mixed = np.asarray(mix_stems(stems, self._mix.gains), np.float32)
        if self._stretcher is not None:
            mixed = self._stretcher.process(mixed)
        return {self._mix.name: mixed}

    def rest(self) -> dict[str, NDArray[np.float32]]:
        """Give what is left at the end."""
        if self._mix is None or self._stretcher is None:
            return {}
        return {self._mix.name: self._stretcher.rest()}
