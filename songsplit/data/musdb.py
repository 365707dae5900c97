"""MUSDB18 and MUSDB18-HQ: which songs there are, and their audio.

The songs are found and decoded here rather than through the `musdb` package, which needs the
ffmpeg program even for WAV files and clips what exceeds full scale. Only the list of validation
songs is taken from it, so that it stays the one that everybody else reports on.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from songsplit.audio import is_audio_name, read_streams
from songsplit.data.songs import MIXTURE, STEM_FILE_STREAMS, STEM_FILE_SUFFIX, Split
from songsplit.errors import ConfigError, DataError, MissingExtraError

Audio: TypeAlias = NDArray[np.float32]
Subset: TypeAlias = Literal["train", "test"]

SAMPLE_RATE = 44100
STEM_NAMES = STEM_FILE_STREAMS[1:]


@dataclass(frozen=True)
class MusdbTrack:
    """One song: the ``.stem.mp4`` file of MUSDB18, or its folder in MUSDB18-HQ."""

    name: str
    path: Path
    sample_rate: ClassVar[int] = SAMPLE_RATE

    @property
    def encoded(self) -> bool:
        """Whether it is of MUSDB18, encoded with losses in one file, and not of MUSDB18-HQ."""
        return self.path.name.endswith(STEM_FILE_SUFFIX)

    @property
    def files(self) -> tuple[Path, ...]:
        """The file or files that hold the audio."""
        if self.encoded:
            return (self.path,)
        return tuple(self.path / f"{name}.wav" for name in STEM_FILE_STREAMS)

    def audio(self) -> tuple[Audio, dict[str, Audio]]:
        """Read the mixture as released and the stems, float32 of shape (2, samples).

        In MUSDB18 the mixture is encoded on its own, and so is not exactly the sum of the
        stems. A DataError says that a file is not the one that MUSDB18 has.
        """
        if self.encoded:
            streams, rate = read_streams(self.path)
            rates = {rate}
        else:
            for path in self.files:
                if not path.is_file():
                    raise DataError(
                        f"{path}: missing, though MUSDB18-HQ has it: unpack the song again"
                    )
            read = [read_streams(path) for path in self.files]
            streams, rates = [audio for (audio, *_), _ in read], {rate for _, rate in read}
        shapes = {audio.shape for audio in streams}
        channels = {shape[0] for shape in shapes}
        if (len(streams), rates, channels) != (5, {SAMPLE_RATE}, {2}) or len(shapes) > 1:
            found = ", ".join(f"{channels} x {samples}" for channels, samples in sorted(shapes))
            raise DataError(
                f"{self.path}: {len(streams)} audio streams at {', '.join(map(str, rates))} Hz "
                f"(channels x samples: {found}) where MUSDB18 has 5 in stereo at {SAMPLE_RATE} "
                "Hz, equally long: download the song again"
            )
        stems = dict(zip(STEM_FILE_STREAMS, streams, strict=True))
        return stems.pop(MIXTURE), stems


def musdb_tracks(
    root: str | Path, subset: Subset = "train", split: Split | None = None
) -> list[MusdbTrack]:
    """List the songs of MUSDB18 or MUSDB18-HQ, at least one, sorted by name.

    `root` holds the folders ``train`` and ``test``. `split` is a part of the train subset: the
    14 validation songs that the `musdb` package names, or the others.
    """
    if split not in {"train": (None, "train", "valid"), "test": (None,)}.get(subset, ()):
        raise ConfigError(
            f"subset {subset!r}, split {split!r}: choose 'train' or 'test', and of 'train' all, "
            "'train' or 'valid'"
        )
    folder = Path(root).expanduser() / subset
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder: give the folder that holds 'train' and 'test'")
    # Archives made on a Mac carry a "._" twin of each file.
    stem_files = {file for file in folder.glob(f"*{STEM_FILE_SUFFIX}") if is_audio_name(file.name)}
    paths = stem_files or {wav.parent for wav in folder.glob("*/*.wav")}
    if not paths:
        raise DataError(
            f"{folder}: no songs: expected *{STEM_FILE_SUFFIX} files (MUSDB18) "
            "or a folder of WAV files for each song (MUSDB18-HQ)"
        )
    tracks = [MusdbTrack(path.name.removesuffix(STEM_FILE_SUFFIX), path) for path in paths]
    if split is not None:
        valid = validation_names()
        tracks = [track for track in tracks if (track.name in valid) == (split == "valid")]
        if not tracks:
            raise DataError(f"{folder}: none of its songs belongs to split {split!r} of MUSDB18")
    return sorted(tracks, key=lambda track: track.name)


def validation_names() -> frozenset[str]:
    """Names of the 14 train songs that the `musdb` package sets aside for validation."""
    # Importing musdb would fail on a machine without the ffmpeg program, which reading
    # its list does not need: find the package and open the file.
    spec = importlib.util.find_spec("musdb")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("musdb", "eval")
    # Comes with musdb.
    import yaml  # type: ignore[import-untyped, unused-ignore]

    path = Path(spec.submodule_search_locations[0]) / "configs" / "mus.yaml"
    config = cast("Mapping[str, list[str]]", yaml.safe_load(path.read_text(encoding="utf-8")))
    return frozenset(config["validation_tracks"])
