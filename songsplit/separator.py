"""Separation of files, arrays and tensors: what users call."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from songsplit.audio import LIMITS, Access, AudioReader, Limits, as_samples, check_sample_rate
from songsplit.errors import AudioInputError
from songsplit.formats import Clip, FormatName, OutputFormat
from songsplit.inference.devices import choose_device
from songsplit.inference.engine import LONG, MEDIUM, SHORT, stream_stems
from songsplit.inference.runner import Runner
from songsplit.mixes import Mix, check_gains
from songsplit.models.loading import load_network
from songsplit.progress import Progress, Reporter
from songsplit.quality import BALANCED, Quality
from songsplit.results import STEM_ONLY, SavedStems
from songsplit.song_files import File, is_file, write_song
from songsplit.stems import Stems

if TYPE_CHECKING:
    import torch

Array: TypeAlias = "NDArray[Any] | torch.Tensor"
Audio: TypeAlias = "File | Array"
ModelName: TypeAlias = str | os.PathLike[str]

_BLOCK_SECONDS = 4.0


class Separator:
    """A loaded model, ready to separate any number of songs.

    Parameters
    ----------
    model : str or path, optional
        Name of a model that comes with songsplit (see :func:`songsplit.list_models`), or
        a ``.safetensors`` file; by default the default model.
    device : str, optional
        ``"cpu"``, ``"cuda"``, ``"mps"``, ...; by default the fastest there is.
    quality : {"fast", "balanced", "best"}, optional
        ``"fast"`` takes a smaller network that goes with the model, ``"best"`` separates
        the song at three speeds and takes the mean, in three times the time.
    isolate : bool, optional
        Decode files in a process of their own, for files from strangers: a decoder that
        crashes, hangs or wants too much memory is then an :class:`AudioFileError` like any
        other. Costs a third of a second or so for each file.
    limits : Limits, optional
        How long the audio of a file may be, and how much time and memory an isolated decoder
        may take.

    Raises
    ------
    ModelError
        If the model is unknown or damaged.
    ConfigError
        If there is no such quality, or the model has no network for it.
    DeviceError
        If there is no such device.

    Examples
    --------
    >>> import numpy as np, songsplit
    >>> separator = songsplit.Separator(device="cpu")
    >>> noise = np.random.default_rng(0).normal(size=(2, 44100)).astype("float32") / 10
    >>> stems = separator.separate(noise, 44100)
    >>> stems
    Stems(vocals, instrumental; shape (2, 44100), 44100 Hz)
    >>> bool(np.allclose(stems.vocals + stems.instrumental, noise, atol=1e-6))
    True
    """

    def __init__(
        self,
        model: ModelName | None = None,
        device: str | None = None,
        *,
        quality: Quality = BALANCED,
        isolate: bool = False,
        limits: Limits = LIMITS,
    ) -> None:
        chosen = choose_device(device)
        network, card = load_network(model, quality)
        self.card = card
        """Description of the model: data, training, scores, terms of use."""
        self.quality = quality
        """The quality setting."""
        self._access = Access(isolate, limits)
        self._runner = Runner(network, chosen)
        self._chunking = MEDIUM if quality == "best" else LONG

    @property
    def device(self) -> torch.device:
        """The device that computes."""
        return self._runner.device

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the stems, in order."""
        return self._runner.config.targets

    def separate(
        self, audio: Audio, sample_rate: int | None = None, *, progress: Progress = False
    ) -> Stems:
        """Split a song into its stems.

        Parameters
        ----------
        audio : path, binary file, ndarray or Tensor
            Arrays and tensors have shape (samples,) or (channels, samples), at most 8
            channels, and hold floats in [-1, 1] or integer PCM. They are not changed.
        sample_rate : int, optional
            Rate of an array or tensor in Hz. Files bring their own.
        progress : bool or callable, optional
            Show a progress bar on standard error, or call ``progress(done, total, left)``:
            seconds of audio done and in all, and an estimate of the seconds still to wait.
            ``total`` is an estimate where a file holds MP3, AAC and the like, and
            ``None`` where it does not tell; ``left`` is ``None`` where nothing can be
            said yet. What the function raises ends the separation.

        Returns
        -------
        Stems
            Vocals and instrumental, which add up to the mixture within rounding, of the
            kind, shape, length and rate of what came in, as floating point: integers
            are scaled to [-1, 1]. A file gives float32 arrays (channels, samples).

        Raises
        ------
        AudioFileError
            If a file is missing, no audio, damaged, or holds samples that are not finite.
        AudioInputError
            If an array's shape, type, samples or rate cannot be used.

        Notes
        -----
        Of more than two channels, the first two are taken as a stereo pair and each of
        the others is separated as mono.
        """
        if is_file(audio):
            _refuse_rate(audio, sample_rate)
            with self._access.audio(audio) as reader:
                info = reader.info
                blocks = reader.blocks(_block_length(info.sample_rate))
                separated = self._stems(
                    blocks, info.sample_rate, info.channels, info.seconds, progress
                )
            return Stems(dict(zip(self.targets, separated, strict=True)), info.sample_rate)
        given = as_samples(audio, sample_rate)
        mixture, rate = given.samples, given.sample_rate
        channels, length = mixture.shape
        step = _block_length(rate)
        blocks = (mixture[:, start : start + step] for start in range(0, length, step))
        separated = self._stems(blocks, rate, channels, length / rate, progress)
        restored = [given.restore(stem) for stem in separated]
        return Stems(dict(zip(self.targets, restored, strict=True)), rate)

    def stream(
        self, audio: File | Iterable[Array], sample_rate: int | None = None
    ) -> Iterator[Stems]:
        """Split audio block by block, as it comes.

        Parameters
        ----------
        audio : path, binary file, or iterable of ndarray or Tensor
            Read only as far as needed for the next stems. Arrays are blocks of any
            length, of shape (samples,) or (channels, samples), as :meth:`separate` takes
            them, all of one kind and with the same channels. Files may be pipes.
        sample_rate : int, optional
            Rate of arrays in Hz. Files bring their own.

        Yields
        ------
        Stems
            Vocals and instrumental of the next piece of the audio, of the kind of the
            first block. They come some ten seconds of audio after it, and all together
            are as long as the audio.

        Raises
        ------
        AudioFileError
            As from :meth:`separate`, but only when the place is reached.
        AudioInputError
            If the rate or a block cannot be used, or does not fit the first one.

        Examples
        --------
        >>> import numpy as np, songsplit
        >>> def radio():
        ...     for second in range(20):
        ...         yield np.zeros((2, 44100), dtype="float32")
        >>> separator = songsplit.Separator(device="cpu")
        >>> sum(stems.vocals.shape[-1] for stems in separator.stream(radio(), 44100))
        882000
        """
        if is_file(audio):
            _refuse_rate(audio, sample_rate)
            return self._streamed_file(audio)
        try:
            # An array by itself is one block.
            whole = isinstance(audio, np.ndarray) or hasattr(audio, "cpu")
            blocks: Iterator[Array] = iter([cast("Array", audio)] if whole else audio)
        except TypeError:
            raise AudioInputError(
                f"audio is of type {type(audio).__name__}: stream a file or blocks of samples"
            ) from None
        return self._streamed(blocks, check_sample_rate(sample_rate))

    def _streamed_file(self, file: File) -> Iterator[Stems]:
        with self._access.audio(file) as reader:
            rate = reader.info.sample_rate
            # Short blocks: what is to be read of a pipe may not be there yet.
            yield from self._streamed(reader.blocks(max(1, rate // 10)), rate)

    def _streamed(self, blocks: Iterator[Array], rate: int) -> Iterator[Stems]:
        filled = (block for block in blocks if 0 not in getattr(block, "shape", ()))
        first = next(filled, None)
        if first is None:
            return
        kind = as_samples(first, rate)

        def samples() -> Iterator[NDArray[np.float32]]:
            yield kind.samples
            for block in filled:
                given = as_samples(block, rate)
                if len(given.samples) != len(kind.samples):
                    raise AudioInputError(
                        f"a block has {len(given.samples)} channels, the first one had "
                        f"{len(kind.samples)}: stream audio with the same channels throughout"
                    )
                yield given.samples

        for stems in stream_stems(self._runner, samples(), rate, len(kind.samples), SHORT):
            restored = [kind.restore(stem) for stem in stems]
            yield Stems(dict(zip(self.targets, restored, strict=True)), rate)

    def separate_to_files(
        self,
        audio: File,
        folder: str | os.PathLike[str],
        *,
        mix: Mix | None = None,
        filename: str = STEM_ONLY,
        output: OutputFormat | FormatName = "wav",
        clip: Clip = "scale",
        picture: bool = False,
        overwrite: bool = False,
        progress: Progress = False,
    ) -> SavedStems:
        """Split a file into ``<folder>/vocals.wav`` and ``<folder>/instrumental.wav``.

        Reading, separating and writing go on side by side, so memory does not grow with
        the length of the song.

        Parameters
        ----------
        audio : path or binary file
        folder : path
            Created if it is not there.
        mix : Mix, optional
            Write only this mix of the stems, to one file that has its name.
        filename : str, optional
            How files are called below the folder, without extension: text with
            ``{stem}``, ``{track}`` (the song's file), ``{artist}``, ``{title}`` and
            ``{album}`` in it, and slashes between folders.
        output : OutputFormat or str, optional
            What the files are: ``"wav"`` (32-bit float), ``"flac"``, ``"mp3"``, ``"m4a"``,
            ``"ogg"``, ``"opus"``, or ``"stem.mp4"`` for one file ``stems.stem.mp4`` that DJ
            programs play; an :class:`songsplit.OutputFormat` also chooses bit depth, bit
            rate, sample rate and channels. By default rate and channels are those of the
            source, if the format has them.
        clip : {"scale", "clamp"}, optional
            What to do where a stem goes beyond full scale: make all stems quieter by the
            same amount, or cut off what is beyond. Stems in floating point stay as they
            are; a mix does not.
        picture : bool, optional
            Also draw spectrograms and waveforms of song and stems into a PNG file, which
            is called as a stem "picture" would be.
        overwrite : bool, optional
            Replace files that are already there.
        progress : bool or callable, optional
            As for :meth:`separate`. Where files have another format than the default, the
            function is still called while they are made, with all of the song done.

        Returns
        -------
        SavedStems
            The file of each stem by name, and what was done to the level. Tags and cover
            picture of the source are copied, its title marked with the stem.

        Raises
        ------
        AudioFileError
            If the file is missing, no audio, damaged, or holds samples that are not
            finite.
        OutputExistsError
            If a result is already there and ``overwrite`` is false.
        OutputError
            If a result cannot be written, or the format has fewer channels than the
            source. Nothing partial is left behind.
        ConfigError
            If there is no such format, or names cannot be made of the template.
        AudioInputError
            If the mix names a stem that there is not.
        MissingExtraError
            If a picture, or another tempo or key, needs what is not installed.
        """
        if mix is not None:
            check_gains(mix.gains, self.targets)

        def separated(reader: AudioReader) -> Iterator[NDArray[np.float32]]:
            rate = reader.info.sample_rate
            blocks = reader.blocks(_block_length(rate))
            channels = reader.info.channels
            return stream_stems(self._runner, blocks, rate, channels, self._chunking)

        return write_song(
            audio,
            folder,
            self.targets,
            separated,
            access=self._access,
            mix=mix,
            filename=filename,
            output=OutputFormat(output) if isinstance(output, str) else output,
            clip=clip,
            picture=picture,
            overwrite=overwrite,
            progress=progress,
        )

    def _stems(
        self,
        mixture: Iterable[NDArray[np.float32]],
        sample_rate: int,
        channels: int,
        seconds: float | None,
        progress: Progress,
    ) -> NDArray[np.float32]:
        with Reporter(progress, sample_rate, seconds) as reporter:
            stems = stream_stems(self._runner, mixture, sample_rate, channels, self._chunking)
            return np.concatenate(list(reporter.through(stems)), axis=-1)


def separate(
    audio: Audio,
    sample_rate: int | None = None,
    *,
    model: ModelName | None = None,
    device: str | None = None,
    quality: Quality = BALANCED,
    isolate: bool = False,
    limits: Limits = LIMITS,
    progress: Progress = False,
) -> Stems:
    """Split a song into vocals and instrumental.

    For more than one song, make a :class:`Separator`, which loads the model only once.

    Parameters
    ----------
    audio : path, binary file, ndarray or Tensor
        Arrays and tensors have shape (samples,) or (channels, samples), at most 8
        channels, and hold floats in [-1, 1] or integer PCM. They are not changed.
    sample_rate : int, optional
        Rate of an array or tensor in Hz. Files bring their own.
    model, device, quality, isolate, limits
        As for :class:`Separator`.
    progress
        As for :meth:`Separator.separate`.

    Returns
    -------
    Stems
        As from :meth:`Separator.separate`.

    Examples
    --------
    >>> import numpy as np, songsplit
    >>> silence = np.zeros(1000, dtype=np.int16)
    >>> stems = songsplit.separate(silence, 22050, device="cpu")
    >>> stems.vocals.shape, stems.vocals.dtype
    ((1000,), dtype('float32'))
    """
    separator = Separator(model, device, quality=quality, isolate=isolate, limits=limits)
    return separator.separate(audio, sample_rate, progress=progress)


def _refuse_rate(file: File, sample_rate: int | None) -> None:
    if sample_rate is not None:
        raise AudioInputError(f"{file}: a file brings its own rate: leave sample_rate out")


def _block_length(sample_rate: int) -> int:
    return max(1, int(_BLOCK_SECONDS * sample_rate))
