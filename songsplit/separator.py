"""Separation of files, arrays and tensors: what users call."""

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
from songsplit.inference.pipeline import stream_stems
from songsplit.inference.runner import Runner, choose_device
from songsplit.models.separation_model import SeparationModel, SpeedAverage, fused
from songsplit.models.weights import load_model
from songsplit.naming import STEM_ONLY, check_free, is_plain, result_files, track_name
from songsplit.pictures import SongPicture
from songsplit.progress import Progress, Reporter
from songsplit.stems import Mix, SavedStems, Stems, check_gains, mixed

if TYPE_CHECKING:
    import torch
    from typing_extensions import TypeIs

File: TypeAlias = str | os.PathLike[str] | BinaryIO
Array: TypeAlias = "NDArray[Any] | torch.Tensor"
Audio: TypeAlias = "File | Array"
Model: TypeAlias = str | os.PathLike[str] | SeparationModel
Samples: TypeAlias = NDArray[np.float32]

_BLOCK_SECONDS = 4
# Songs fade to numbers that are smaller than float32 has, whatever a host program thinks of that.
_CALM = np.errstate(under="ignore")


class Separator:
    """A loaded model, ready to separate any number of songs.

    Parameters
    ----------
    model : str, path or SeparationModel, optional
        Name of a model that comes with songsplit, as :func:`songsplit.list_models` gives it,
        a ``.safetensors`` file, or a model of your own.
    device : str, optional
        ``"cpu"``, ``"cuda"``, ``"mps"``, ...; by default the fastest there is.
    quality : {"balanced", "best"}, optional
        ``"best"`` takes the mean of the stems at three speeds, in three times the time.
    max_hours : float, optional
        Longest audio that a file may hold: a small file may hold years of silence.

    Raises
    ------
    ModelError, ConfigError, DeviceError
        If a model is damaged, or there is no such model, quality, number of hours or device.

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
        max_hours: float = 24.0,
    ) -> None:
        if quality not in QUALITIES:
            raise ConfigError(f"unknown quality {quality!r}: use {', '.join(QUALITIES)}")
        if not max_hours > 0:  # NaN is not either
            raise ConfigError(f"max_hours must be above 0, not {max_hours!r}")
        chosen = choose_device(device)
        self.card: Mapping[str, Any] = {}
        """Description of the model: data, training, scores, terms of use."""
        if not isinstance(model, SeparationModel):
            stored = load_model(model)
            model, self.card = stored.model, stored.card
        self.targets = model.config.targets
        """Names of the stems, in order."""
        self.quality = quality
        """The quality setting."""
        self._max_hours = max_hours
        network = fused(model)
        self._runner = Runner(SpeedAverage(network) if quality == "best" else network, chosen)

    @property
    def device(self) -> torch.device:
        """The device that computes."""
        return self._runner.device

    @_CALM
    def separate(
        self, audio: Audio, sample_rate: int | None = None, *, progress: Progress = False
    ) -> Stems:
        """Split a song into its stems.

        Parameters
        ----------
        audio : path, binary file, ndarray or Tensor
            Arrays and tensors have shape (samples,) or (channels, samples), at most 8
            channels, and hold floats in [-1, 1] or integer PCM. Of more than two channels,
            the first two are a stereo pair and each of the others is separated as mono.
        sample_rate : int, optional
            Rate of an array or tensor in Hz. Files bring their own.
        progress : bool or callable, optional
            Show a progress bar on standard error, or call ``progress(done, total, left)``:
            seconds of audio done and in all, and an estimate of the seconds still to wait.
            ``total`` and ``left`` are ``None`` while they are unknown; of MP3, AAC and the
            like ``total`` is an estimate. An exception from the function ends the separation.

        Returns
        -------
        Stems
            Floating point of the kind, shape and rate of what came in; they add up to it
            within rounding. A file gives float32 arrays (channels, samples).

        Raises
        ------
        AudioFileError
            If a file is missing, no audio, damaged, or holds samples that are not finite.
        AudioInputError
            If an array's shape, type, samples or rate cannot be used.
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
            parts = stream_stems(self._runner, blocks, rate, channels)
            stems = np.concatenate(list(reporter.through(parts)), axis=-1)
        return self._named([given.restore(stem) for stem in stems] if given else stems, rate)

    def stream(
        self, audio: File | Iterable[Array], sample_rate: int | None = None
    ) -> Iterator[Stems]:
        """Split audio block by block, as it comes.

        Parameters
        ----------
        audio : path, binary file, or iterable of ndarray or Tensor
            Read only as far as needed for the next stems. Files may be pipes. Arrays are
            blocks of any length, as :meth:`separate` takes them, with the same channels.
        sample_rate : int, optional
            Rate of arrays in Hz. Files bring their own.

        Yields
        ------
        Stems
            Those of the next piece of the audio, of the kind of the first block, some ten
            seconds of audio later. All together are as long as the audio.

        Raises
        ------
        AudioFileError, AudioInputError
            As from :meth:`separate`, when the place is reached; and if blocks differ in channels.
        """
        if _is_file(audio, sample_rate):
            return _calmly(self._streamed_file(audio))
        # An array by itself is one block.
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
            # Short blocks: what is to be read of a pipe may not be there yet.
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
                        f"a block has {len(block.samples)} channels, the first one had "
                        f"{channels}: stream audio with the same channels throughout"
                    )
                yield block.samples

        for stems in stream_stems(self._runner, samples(), rate, channels, live=True):
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
            Created if it is not there.
        mix : Mix, optional
            Write only this mix, to one file that has its name.
        filename : str, optional
            Path below the folder, without extension, made of text and ``{stem}``, ``{track}``
            (the song's file), ``{artist}``, ``{title}`` and ``{album}``.
        output : OutputFormat or str, optional
            ``"wav"`` (24 bits, or 16 if the song has 16), ``"flac"``, ``"mp3"``, ``"m4a"``,
            ``"ogg"``, ``"opus"``, ``"stem.mp4"`` (one file for DJ programs), or an
            :class:`songsplit.OutputFormat`. Rate and channels are the source's, if the format has
            them. Where a stem would clip, all stems become quieter by the same amount, except in
            floating point.
        picture, overwrite : bool, optional
            Also draw song and stems into a PNG file, named like a stem "picture"; replace
            files that are already there.
        sound_track : int, optional
            Which sound track of a film to take, counted from 1; by default the first.
        progress : bool or callable, optional
            As for :meth:`separate`. The function is still called while files are encoded.

        Returns
        -------
        SavedStems
            The file of each stem by name, and what was done to the level. Tags and cover
            picture of the source are copied, its title marked with the stem.

        Raises
        ------
        AudioFileError
            As from :meth:`separate`.
        OutputError
            If a result is already there (:class:`OutputExistsError`) or cannot be written, or
            the format has fewer channels than the source. Nothing partial is left behind.
        ConfigError, AudioInputError
            If the format, the template or a stem of the mix is impossible.
        MissingExtraError
            If a picture, or another tempo or key, needs what is not installed.
        """
        if mix is not None:
            check_gains(mix.gains, self.targets)
        output = OutputFormat(output) if isinstance(output, str) else output
        song = Path(audio) if isinstance(audio, str | os.PathLike) else None
        # Before the audio: reading tags moves in the file.
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
                parts = stream_stems(self._runner, mixture, rate, channels)
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
    max_hours: float = 24.0,
    progress: Progress = False,
) -> Stems:
    """Split a song into vocals and instrumental.

    Parameters and results are those of :class:`Separator` and :meth:`Separator.separate`. For
    more than one song, make a Separator, which loads the model only once.

    Examples
    --------
    >>> import numpy as np, songsplit
    >>> stems = songsplit.separate(np.zeros(1000, np.int16), 22050, device="cpu")
    >>> stems.vocals.shape, stems.vocals.dtype
    ((1000,), dtype('float32'))
    """
    separator = Separator(model, device, quality=quality, max_hours=max_hours)
    return separator.separate(audio, sample_rate, progress=progress)


def _calmly(parts: Iterator[Stems]) -> Iterator[Stems]:
    # Not around the generator, whose settings would be those of its caller too.
    return iter(_CALM(lambda: next(parts, None)), None)


def _is_file(audio: object, sample_rate: int | None) -> TypeIs[File]:
    if isinstance(audio, bytes | bytearray | memoryview):
        raise AudioInputError("audio is bytes: give io.BytesIO(data) for the bytes of a file")
    is_file = isinstance(audio, str | os.PathLike) or hasattr(audio, "read")
    if is_file and sample_rate is not None:
        raise AudioInputError(f"{audio}: a file brings its own rate: leave sample_rate out")
    return is_file
