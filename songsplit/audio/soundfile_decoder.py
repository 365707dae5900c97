"""Decoding with libsndfile: WAV, FLAC, Ogg, AIFF, CAF and other plain formats."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import numpy as np
import soundfile

from songsplit.audio.arrays import FloatArray
from songsplit.audio.opening import AudioInfo, File, cut_off

# libsndfile reports the largest count where it does not know the length.
_UNKNOWN_FRAMES = 1 << 62
# A damaged chunk is lost as a whole, so short ones tell well where the damage is.
_CHUNK_FRAMES = 4096


if hasattr(os, "register_at_fork"):
    # A thread that is opening a file while another one forks does not come along into the child:
    # nobody would ever open its lock there.
    os.register_at_fork(
        after_in_child=lambda: setattr(soundfile.SoundFile, "_sf_error_lock", threading.Lock())
    )


class SoundFileDecoder:
    """Reads a seekable file with libsndfile, or raises a SoundFileError.

    `samples` says where they lie (start, bytes) if the file's own header is wrong.
    """

    def __init__(self, source: File, samples: tuple[int, int] | None) -> None:
        source.seek(0)
        is_big_endian = source.read(4) in (b"FORM", b"RIFX", b".snd")
        source.seek(0)
        file = soundfile.SoundFile(source)
        # The length of an MP3, also of one inside a WAV, is an estimate at which libsndfile
        # stops, and of a FLAC without a length it does not find the end.
        if file.subtype.startswith("MPEG") or file.frames >= _UNKNOWN_FRAMES:
            file.close()
            raise soundfile.SoundFileError("The length is not known.")
        kind = f"{file.format} {file.subtype}"
        if samples is not None:
            source = source.part(*samples)
            order = "BIG" if is_big_endian and file.endian != "LITTLE" else "LITTLE"
            rate, channels, subtype = file.samplerate, file.channels, file.subtype
            file.close()
            file = soundfile.SoundFile(source, "r", rate, channels, subtype, order, "RAW")
        # A seek after each read, to where the file already is, would decode compressed files again.
        file.seekable = lambda: False
        self._source, self._file = source, file
        self.info = AudioInfo(
            file.samplerate,
            file.channels,
            file.frames,
            file.frames / file.samplerate,
            kind,
            tracks=(kind,),
        )

    def chunks(self) -> Iterator[FloatArray]:
        """Yield ``(channels, n)`` pieces up to the end of the file."""
        done, total = 0, self._file.frames
        while done < total:
            # Not beyond the end: a tag there would be taken for damage.
            count = min(_CHUNK_FRAMES, total - done)
            try:
                block = self._file.read(count, dtype="float32", always_2d=True)
            except soundfile.SoundFileError:
                block = ()
            self._source.check()
            if not len(block):
                raise cut_off(done / self.info.sample_rate)
            done += len(block)
            yield np.ascontiguousarray(block.T)

    def close(self) -> None:
        """Release the decoder; the file itself stays open."""
        self._file.close()
