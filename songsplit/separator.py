"""Separate files, arrays and tensors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from songsplit.audio import (
    StemFilesWriter,
    as_samples,
    check_sample_rate,
    open_audio,
    read_tags,
)
from songsplit.audio.formats import FormatName, OutputFormat
from songsplit.errors import AudioInputError, ConfigError, OutputError
from songsplit.inference import QUALITIES, Quality
from songsplit.inference.engine import EngineName, load_engine
from songsplit.inference.pipeline import stream_stems
from songsplit.inference.speeds import SpeedAverage
from songsplit.naming import STEM_ONLY, check_free, is_plain, result_files, track_name
from songsplit.pictures import SongPicture
from songsplit.progress import Progress, Reporter
from songsplit.stems import Mix, SavedStems, Stems, check_gains, mixed

if TYPE_CHECKING:
    import torch
    from typing_extensions import TypeIs

    from songsplit.models.separation_model import SeparationModel

File: TypeAlias = str | os.PathLike[str] | BinaryIO
Array: TypeAlias = "NDArray[Any] | torch.Tensor"
Audio: TypeAlias = "File | Array"
Model: TypeAlias = "str | os.PathLike[str] | SeparationModel"
Samples: TypeAlias = NDArray[np.float32]

_BLOCK_SECONDS = 4
# Fading songs underflow float32, which must not raise if a host program has set np.seterr.
_CALM = np.errstate(under="ignore")


class Separator:
    """A loaded model, ready to separate any number of songs.

    Parameters
    ----------
    model : str, path or SeparationModel, optional
        Name of a model from :func:`songsplit.list_models`, a ``.safetensors`` file, or a model
        of your own.
    device : str, optional
        ``"cpu"``, ``"cuda"``, ``"mps"``, ...; by default the fastest available device.
    quality : {"balanced", "best"}, optional
        ``"best"`` averages the stems at three speeds and takes three times as long.
    engine : {"onnx", "torch"}, optional
        By default, ONNX Runtime runs the models that come with songsplit on the CPU. PyTorch,
        which is an extra, runs your own models and all models on GPUs.
    max_hours : float, optional
        Maximum duration of a file, since a small file may hold years of silence.

    Raises
    ------
    ModelError, ConfigError, DeviceError
        If a model is damaged or unknown, the quality, engine or number of hours is invalid, or
        the device is not available.
    MissingExtraError
        If PyTorch is needed but not installed.

    Examples
    --------
    >>> import numpy as np, songsplit
    >>> separator = songsplit.Separator(device="cpu")
    >>> noise = np.random.default_rng(0).normal(size=(2, 44100)).astype("float32") / 10
    >>> separator.separate(noise, 44100)
    Stems(vocals, instrumental; shape (2, 44100), 44100 Hz)
    """

    def __init__(
        self,
        model: Model | None = None,
        device: str | None = None,
        *,
        quality: Quality = "balanced",
        engine: EngineName | None = None,
        max_hours: float = 24.0,
    ) -> None:
        if quality not in QUALITIES:
            raise ConfigError(f"unknown quality {quality!r}: use {', '.join(QUALITIES)}")
        if not max_hours > 0:  # also refuses NaN
            raise ConfigError(f"max_hours must be above 0, not {max_hours!r}")
        self.card: Mapping[str, Any]
        """The model card: data, training, scores and terms of use."""
        loaded, self.card = load_engine(model, device, engine)
        self.targets = loaded.config.targets
        """Names of the stems, in order."""
        self.quality = quality
        """The quality setting."""
        self._max_hours = max_hours
        self._engine = SpeedAverage(loaded) if quality == "best" else loaded

    @property
    def device(self) -> str:
        """Name of the compute device, such as ``"cpu"`` or ``"cuda"``."""
        return self._engine.device

    @_CALM
    def separate(
        self, audio: Audio, sample_rate: int | None = None, *, progress: Progress = False
    ) -> Stems:
        """Split a song into its stems.

        Parameters
        ----------
        audio : path, binary file, ndarray or Tensor
            Arrays and tensors have shape (samples,) or (channels, samples), at most 8 channels,
            and hold floats in [-1, 1] or integer PCM. If there are more than two channels, the
            first two are a stereo pair and each of the others is separated as mono.
        sample_rate : int, optional
            Rate of an array or tensor in Hz; leave it out for files.
        progress : bool or callable, optional
            Show a progress bar on standard error, or call ``progress(done, total, left)`` with
            the seconds of audio done and in total, and an estimate of the seconds left to wait.
            ``total`` and ``left`` are ``None`` while unknown; ``total`` is an estimate for MP3,
            AAC and similar formats. An exception from the function stops the separation.

        Returns
        -------
        Stems
            Floating-point audio of the type, shape and rate of the input. The stems add up to
            the input within rounding. A file gives float32 arrays (channels, samples).

        Raises
        ------
        AudioFileError
            If a file is missing or damaged, or holds no audio or samples that are not finite.
        AudioInputError
            If the shape, type, samples or rate of an array are invalid.
        """
        given = None
        with ExitStack() as stack:
            if _is_file(audio, sample_rate):
                reader = stack.enter_context(open_audio(audio, max_hours=self._max_hours))
                rate, channels = reader.info.sample_rate, reader.info.channels
                seconds = reader.info.seconds
                blocks = reader.blocks(_BLOCK_SECONDS * rate)
            else:
                given = as_samples(audio, sample_rate)
                mixture, rate = given.samples, given.sample_rate
                channels, seconds = len(mixture), mixture.shape[1] / rate
                starts = range(_BLOCK_SECONDS * rate, mixture.shape[1], _BLOCK_SECONDS * rate)
                blocks = iter(np.split(mixture, starts, axis=1))
            reporter = stack.enter_context(Reporter(progress, rate, seconds))
            parts = stream_stems(self._engine, blocks, rate, channels)
            stems = np.concatenate(list(reporter.through(parts)), axis=-1)
        return self._named([given.restore(stem) for stem in stems] if given else stems, rate)

    def stream(
        self, audio: File | Iterable[Array], sample_rate: int | None = None
    ) -> Iterator[Stems]:
        """Split audio block by block, as it arrives.

        Parameters
        ----------
        audio : path, binary file, or iterable of ndarray or Tensor
            The input is read only as far as the next stems need it. Files may be pipes. Arrays
            are blocks of any length, as in :meth:`separate`, with the same channels.
        sample_rate : int, optional
            Rate of arrays in Hz; leave it out for files.

        Yields
        ------
        Stems
            The stems of the next part of the audio, of the type of the first block, with a
            delay of about ten seconds of audio. Joined, they are as long as the audio.

        Raises
        ------
        AudioFileError, AudioInputError
            As from :meth:`separate`, when the fault is reached, or if blocks differ in channels.
        """
        if _is_file(audio, sample_rate):
            return _calmly(self._streamed_file(audio))
        # A single array is one block.
        is_array = isinstance(audio, np.ndarray) or hasattr(audio, "cpu")
        try:
            blocks = iter(cast("Iterable[Array]", [audio] if is_array else audio))
        except TypeError:
            raise AudioInputError(
                f"audio is of type {type(audio).__name__}: stream a file or blocks of samples"
            ) from None
        return _calmly(self._streamed(blocks, check_sample_rate(sample_rate)))

    def _streamed_file(self, file: File) -> Iterator[Stems]:
        with open_audio(file, max_hours=self._max_hours) as reader:
            rate = reader.info.sample_rate
            # Blocks are short because data may arrive slowly through a pipe.
            yield from self._streamed(reader.blocks(max(1, rate // 10)), rate)

    def _streamed(self, blocks: Iterable[Array], rate: int) -> Iterator[Stems]:
        filled = (block for block in blocks if 0 not in getattr(block, "shape", ()))
        given = (as_samples(block, rate) for block in filled)
        if (first := next(given, None)) is None:
            return
        channels = len(first.samples)

        def samples() -> Iterator[Samples]:
            for block in chain([first], given):
                if len(block.samples) != channels:
                    raise AudioInputError(
                        f"a block has {len(block.samples)} channels, the first block has "
                        f"{channels}: all blocks must have the same channels"
                    )
                yield block.samples

        for stems in stream_stems(self._engine, samples(), rate, channels, live=True):
            yield self._named([first.restore(stem) for stem in stems], rate)

    @_CALM
    def separate_to_files(
        self,
        audio: File,
        folder: str | os.PathLike[str],
        *,
        mix: Mix | None = None,
        filename: str = STEM_ONLY,
        output: OutputFormat | FormatName = "wav",
        picture: bool = False,
        overwrite: bool = False,
        sound_track: int | None = None,
        progress: Progress = False,
    ) -> SavedStems:
        """Split a file into ``<folder>/vocals.wav`` and ``<folder>/instrumental.wav``.

        Memory does not grow with the length of the song.

        Parameters
        ----------
        audio : path or binary file
        folder : path
            Created if it does not exist.
        mix : Mix, optional
            Write only this mix, to one file named after it.
        filename : str, optional
            Path below the folder without extension, which may contain ``{stem}``, ``{track}`` (the
            name of the song's file), ``{artist}``, ``{title}`` and ``{album}``.
        output : OutputFormat or str, optional
            ``"wav"`` (24 bits, or 16 if the song has 16), ``"flac"``, ``"mp3"``, ``"m4a"``,
            ``"ogg"``, ``"opus"``, ``"stem.mp4"`` (one file for DJ programs), or an
            :class:`songsplit.OutputFormat`. Files have the rate and channels of the source if the
            format supports them. If a stem would clip, all stems are attenuated by the same
            amount, except in floating point.
        picture, overwrite : bool, optional
            Whether to also draw song and stems into a PNG file, named like a stem "picture", and
            whether to replace existing files.
        sound_track : int, optional
            Sound track of a film, counted from 1; by default the first.
        progress : bool or callable, optional
            As for :meth:`separate`. The function is also called while files are encoded.

        Returns
        -------
        SavedStems
            The file of each stem by name, and the gain. Tags and cover picture of the source are
            copied, and the title names the stem.

        Raises
        ------
        AudioFileError
            As from :meth:`separate`.
        OutputError
            If a result already exists (:class:`OutputExistsError`) or cannot be written, or the
            format supports fewer channels than the source has. No partial files are left.
        ConfigError, AudioInputError
            If the format, the template or a stem of the mix is invalid.
        MissingExtraError
            If a picture, or a change of tempo or key, needs a package that is not installed.
        """
        if mix is not None:
            check_gains(mix.gains, self.targets)
        output = OutputFormat(output) if isinstance(output, str) else output
        song = Path(audio) if isinstance(audio, str | os.PathLike) else None
        # Reading tags moves the file position, so it comes before the audio.
        tags = read_tags(audio) if is_plain(song or cast("BinaryIO", audio)) else None
        if tags is not None and mix is not None:
            tags = tags.at_tempo(mix.tempo)
        names = self.targets if mix is None else (mix.name,)
        track = track_name(song or getattr(audio, "name", None))
        with open_audio(audio, max_hours=self._max_hours, track=sound_track) as reader:
            rate, channels = reader.info.sample_rate, reader.info.channels
            files = result_files(
                folder, names, output, filename=filename, track=track, tags=tags, picture=picture
            )
            check_free(folder, files, overwrite=overwrite)
            if song and any(path.exists() and path.samefile(song) for path in files):
                raise OutputError(f"{song} would be replaced by its own stem: name another folder")
            drawing = SongPicture(track, self.targets, rate) if files.picture else None
            reporter = Reporter(progress, rate, reader.info.seconds)
            writer = StemFilesWriter(
                files.stems,
                rate,
                channels,
                output=output,
                tags=tags,
                guarded=mix is not None and mix.name not in self.targets,
                alive=reporter.report,
            )
            with reporter, writer:
                mixture = writer.watching(reader.blocks(_BLOCK_SECONDS * rate))
                parts = stream_stems(self._engine, mixture, rate, channels)
                named = (dict(zip(self.targets, p, strict=True)) for p in reporter.through(parts))
                stems = drawing.watching(named) if drawing else named
                for results in mixed(stems, mix, rate, channels) if mix else stems:
                    writer.write(results)
                if drawing and files.picture:
                    writer.add_file(files.picture, drawing.png())
        problems = [*reader.info.notes, *writer.problems]
        return SavedStems(files.stems, gain=writer.gain, problems=problems, picture=files.picture)

    def _named(self, stems: Iterable[Array], sample_rate: int) -> Stems:
        return Stems(dict(zip(self.targets, stems, strict=True)), sample_rate)


def separate(
    audio: Audio,
    sample_rate: int | None = None,
    *,
    model: Model | None = None,
    device: str | None = None,
    quality: Quality = "balanced",
    engine: EngineName | None = None,
    max_hours: float = 24.0,
    progress: Progress = False,
) -> Stems:
    """Split a song into vocals and instrumental.

    Parameters and results are those of :class:`Separator` and :meth:`Separator.separate`. For
    several songs, create a Separator, which loads the model only once.

    Examples
    --------
    >>> import numpy as np, songsplit
    >>> stems = songsplit.separate(np.zeros(1000, np.int16), 22050, device="cpu")
    >>> stems.vocals.shape, stems.vocals.dtype
    ((1000,), dtype('float32'))
    """
    separator = Separator(model, device, quality=quality, engine=engine, max_hours=max_hours)
    return separator.separate(audio, sample_rate, progress=progress)


def _calmly(parts: Iterator[Stems]) -> Iterator[Stems]:
    # Set per step: inside a generator, the setting would also apply to its caller.
    return iter(_CALM(lambda: next(parts, None)), None)


def _is_file(audio: object, sample_rate: int | None) -> TypeIs[File]:
    if isinstance(audio, bytes | bytearray | memoryview):
        raise AudioInputError("audio is bytes: give io.BytesIO(data) for the bytes of a file")
    is_file = isinstance(audio, str | os.PathLike) or hasattr(audio, "read")
    if is_file and sample_rate is not None:
        raise AudioInputError(f"{audio}: files have their own rate: leave sample_rate out")
    return is_file
