"""Files that are right but put together in ways that few programs choose."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
from mutagen.mp4 import MP4, MP4Cover

from tests.audio.zoo import song, video_bytes

from .encoding import ffmpeg, libsndfile, remuxed
from .entries import SONG, Entry, Refused, Stems, holds
from .headers import MP3, aiff, caf, chunk, id3, pcm_16, stepped, wav, wav_format
from .ogg import FIRST, LAST, page, pages

WHOLE = holds(stepped())
EXACT_16 = holds(SONG, 2.0**-15)
_BEXT = chunk(b"bext", bytes(602) + b"A=PCM,F=44100\r\n")
_LIST = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"odd\0") + chunk(b"IART", b"\xff\xfe\0"))
_ODD = chunk(b"JUNK", b"odd")
_CUE = chunk(b"cue ", struct.pack("<IIIIIII", 1, 1, 100, 0x61746164, 0, 0, 100))
_SMPL = chunk(b"smpl", bytes(28) + struct.pack("<II", 0xFFFFFFFF, 0))


def mp3(samples: np.ndarray = SONG) -> bytes:
    """The song as MP3, with a header that says how long it is."""
    return ffmpeg("mp3", "libmp3lame", [samples])


def flac() -> bytes:
    """The song as FLAC."""
    return libsndfile("FLAC", "PCM_16", SONG)


def _mp3_in_wav() -> bytes:
    more = struct.pack("<HHIHHH", 12, 1, 2, 576, 1, 1393)
    form = wav_format(MP3, bits=0, block=1, bytes_per_second=24000, more=more)
    return wav(form, mp3())


def _mono_8_bit_of_odd_size() -> bytes:
    data = bytes(range(1, 256)) * 11
    return wav(wav_format(channels=1, bits=8), data, after=_LIST)


def _8_bit_samples() -> np.ndarray:
    data = np.frombuffer(bytes(range(1, 256)) * 11, np.uint8)
    return ((data.astype(np.float32) - 128) / 128)[None]


def _odd_without_padding() -> bytes:
    content = _mono_8_bit_of_odd_size()
    at = content.index(b"data") + 8 + 255 * 11
    return content[:at] + content[at + 1 :]


def _odd_at_the_end() -> bytes:
    content = wav(wav_format(channels=1, bits=8), bytes(range(1, 256)) * 11)
    return content[:-1]


def _data_before_format() -> bytes:
    body = b"WAVE" + chunk(b"data", pcm_16()) + chunk(b"fmt ", wav_format())
    return chunk(b"RIFF", body)


def _two_data_chunks() -> bytes:
    return wav(after=chunk(b"data", pcm_16(SONG[::-1])))


def _many_chunks(count: int) -> bytes:
    return wav(before=chunk(b"JUNK", b"") * count)


def _large_padding() -> bytes:
    content = flac()
    block = b"\x01" + (100_000).to_bytes(3, "big") + bytes(100_000)
    return content[:42] + block + content[42:]


def _picture() -> bytes:
    return video_bytes("image2pipe", "png")


def _flac_with_cover() -> bytes:
    content, data = flac(), _picture()
    body = (
        struct.pack(">II", 3, 9) + b"image/png" + struct.pack(">IIIIII", 0, 1, 1, 24, 0, len(data))
    )
    body += data
    return content[:42] + b"\x06" + len(body).to_bytes(3, "big") + body + content[42:]


def _mp3_with_cover() -> bytes:
    body = b"\0image/png\0\x03\0" + _picture()
    frame = b"APIC" + struct.pack(">IH", len(body), 0) + body
    return id3(0, len(frame)) + frame + mp3()


def _ape_tag() -> bytes:
    item = struct.pack("<II", 3, 0) + b"Title\0odd"
    foot = b"APETAGEX" + struct.pack("<IIII", 2000, len(item) + 32, 1, 0) + bytes(8)
    return item + foot


def _edited(container: str = "ipod") -> bytes:
    """An MP4 whose edit list leaves the first half out."""
    content = ffmpeg(container, "aac", [SONG])
    at = content.index(b"elst") + 12
    length, start = struct.unpack_from(">Ii", content, at)
    return content[:at] + struct.pack(">Ii", length // 2, start + 5000) + content[at + 8 :]


def _wide_box() -> bytes:
    """An MP4 whose samples are in a box with a length of 64 bits, and an index at the end."""
    content = ffmpeg("ipod", "aac", [SONG])
    # FFmpeg leaves room for such a length: a box "free" of 8 bytes in front.
    at = content.index(b"mdat") - 4
    (length,) = struct.unpack_from(">I", content, at)
    assert content[at - 4 : at] == b"free"
    long_box = struct.pack(">I4sQ", 1, b"mdat", length + 8)
    return content[: at - 8] + long_box + content[at + 8 :]


def _add_chapters(container: Any) -> None:
    container.metadata["title"] = "chapters"
    container.set_chapters(
        [
            {
                "id": number,
                "start": 100 * number,
                "end": 100 * number + 100,
                "time_base": Fraction(1, 1000),
                "metadata": {"title": f"part {number}"},
            }
            for number in range(2)
        ]
    )


def _cover_in_m4a() -> bytes:
    file = io.BytesIO(ffmpeg("ipod", "aac", [SONG]))
    tagged = MP4(file)
    tagged["covr"] = [MP4Cover(_picture(), MP4Cover.FORMAT_PNG)]
    file.seek(0)
    tagged.save(file)
    return file.getvalue()


def _attach_cover(container: Any) -> None:
    container.add_attachment("cover.png", "image/png", _picture())


def _skeleton() -> bytes:
    """Ogg with a Skeleton beside the audio, as old encoders of films wrote it."""
    audio = pages(libsndfile("OGG", "VORBIS", SONG))
    skeleton = b"fishead\0" + struct.pack("<HHqqqq", 3, 0, 0, 1000, 0, 1000) + bytes(20)
    head = page(skeleton, flags=FIRST, serial=9)
    end = page(b"", flags=LAST, serial=9, number=1)
    return b"".join([head, audio[0], end, *audio[1:]])


def _unknown_sizes() -> bytes:
    """Matroska as it is sent live: what does not know its length says so."""
    return ffmpeg("matroska", "flac", [SONG], options={"live": "1"})


ENTRIES = [
    Entry("mp3-inside.wav", _mp3_in_wav, Stems()),
    Entry("flac-called.mp3", flac, EXACT_16),
    Entry("mp3-called.flac", mp3, Stems()),
    Entry("wav-called.m4a", wav, WHOLE),
    Entry("m4a-called.wav", partial(ffmpeg, "ipod", "aac", [SONG]), Stems()),
    Entry("ogg-called.exe", partial(libsndfile, "OGG", "VORBIS", SONG), Stems(frames=11_025)),
    Entry("wav-called.txt", wav, WHOLE),
    Entry("no-extension", wav, WHOLE),
    Entry("id3-before.flac", lambda: id3() + flac(), EXACT_16),
    Entry("two-id3-before.flac", lambda: id3() + id3(50) + flac(), EXACT_16),
    Entry("id3-before.wav", lambda: id3() + wav(), WHOLE),
    Entry("id3-before.aiff", lambda: id3() + aiff(), WHOLE),
    Entry("id3-before.aac", lambda: id3() + ffmpeg("adts", "aac", [SONG]), Stems()),
    Entry("id3-before.ogg", lambda: id3() + libsndfile("OGG", "VORBIS", SONG), Stems()),
    Entry("two-id3-before.mp3", lambda: id3() + id3(50) + mp3(), Stems()),
    Entry("id3-of-300-kb.mp3", lambda: id3(300_000) + mp3(), Stems()),
    Entry("id3-longer-than-file.mp3", lambda: id3(10, 1 << 27) + mp3(), Refused("")),
    Entry("zeros-before.mp3", lambda: bytes(5000) + mp3(), Stems()),
    Entry("ape-tag-after.mp3", lambda: mp3() + _ape_tag(), Stems()),
    Entry("id3v1-after.mp3", lambda: mp3() + b"TAG" + bytes(125), Stems()),
    Entry("cover.mp3", _mp3_with_cover, Stems()),
    Entry("cover.flac", _flac_with_cover, EXACT_16),
    Entry("cover.m4a", _cover_in_m4a, Stems()),
    Entry("cover.mka", partial(remuxed, "matroska", "flac", _attach_cover), EXACT_16),
    Entry("padding-of-100-kb.flac", _large_padding, EXACT_16),
    Entry(
        "no-length.flac",
        lambda: flac()[:21] + bytes([flac()[21] & 0xF0, 0, 0, 0, 0]) + flac()[26:],
        EXACT_16,
    ),
    Entry("gapless.mp3", partial(mp3, SONG), Stems(frames=11_025)),
    Entry("gapless.opus", partial(ffmpeg, "ogg", "libopus", [SONG]), Stems(2, 48000, 11_025)),
    Entry("chunks-before.wav", lambda: wav(before=_BEXT + _LIST + _ODD + _CUE), WHOLE),
    Entry("chunks-after.wav", lambda: wav(after=_BEXT + _LIST + _ODD + _CUE + _SMPL), WHOLE),
    Entry("id3-chunk.wav", lambda: wav(after=chunk(b"id3 ", id3(100))), WHOLE),
    Entry("odd-size.wav", _mono_8_bit_of_odd_size, holds(_8_bit_samples())),
    Entry("odd-size-without-padding.wav", _odd_without_padding, holds(_8_bit_samples())),
    Entry("odd-size-at-the-end.wav", _odd_at_the_end, holds(_8_bit_samples())),
    Entry("half-a-frame-too-much.wav", lambda: wav(data=pcm_16() + b"\1\2"), WHOLE),
    Entry("data-before-format.wav", _data_before_format, WHOLE),
    Entry("two-data-chunks.wav", _two_data_chunks, Refused("joined end to end")),
    Entry("1000-empty-chunks.wav", partial(_many_chunks, 1000), WHOLE),
    Entry("20000-empty-chunks.wav", partial(_many_chunks, 20_000), WHOLE),
    Entry("garbage-after.wav", lambda: wav() + bytes(range(256)) * 10, WHOLE),
    Entry("sound-before-description.aiff", partial(aiff, sound_first=True), WHOLE),
    Entry(
        "free-before.caf",
        lambda: caf()[:8] + struct.pack(">4sq", b"free", 99) + bytes(99) + caf()[8:],
        Refused(""),
    ),
    Entry(
        "fragmented.mp4",
        partial(
            ffmpeg,
            "mp4",
            "aac",
            [SONG],
            options={"movflags": "frag_keyframe+empty_moov+default_base_moof"},
        ),
        Stems(),
    ),
    Entry(
        "index-first.m4a",
        partial(ffmpeg, "ipod", "aac", [SONG], options={"movflags": "faststart"}),
        Stems(),
    ),
    Entry("edit-list.m4a", _edited, Stems()),
    Entry("64-bit-box.m4a", _wide_box, Stems()),
    Entry("chapters.m4a", partial(remuxed, "ipod", "aac", _add_chapters), Stems()),
    Entry("chapters.mka", partial(remuxed, "matroska", "flac", _add_chapters), EXACT_16),
    Entry("chapters.mp3", partial(remuxed, "mp3", "libmp3lame", _add_chapters), Stems()),
    Entry("unknown-sizes.mka", _unknown_sizes, EXACT_16),
    Entry("skeleton.ogg", _skeleton, Stems()),
    Entry(
        "low-rate.mp3",
        lambda: ffmpeg("mp3", "libmp3lame", [song(8000)], rates=[8000]),
        Stems(2, 8000),
    ),
]
