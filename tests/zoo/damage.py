"""Files that were right once: cut off at every stage, or with bytes lost or changed."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

import numpy as np

from tests.audio.zoo import RATE, song

from .encoding import ffmpeg, libsndfile
from .entries import SONG, Entry, Refused, Stems
from .headers import aiff, au, caf, w64, wav
from .ogg import checked, pages

ANY = Refused("")
CUT_OFF = Refused("cut off")
DAMAGED = Refused("cut off or damaged")
_LONGER = song(RATE // 2)


def flac() -> bytes:
    """Half a second as FLAC."""
    return libsndfile("FLAC", "PCM_16", _LONGER)


def ogg() -> bytes:
    """A second of noise as Ogg Vorbis: several pages of sound."""
    noise = np.random.default_rng(2).uniform(-0.9, 0.9, (2, 2 * RATE)).astype(np.float32)
    return libsndfile("OGG", "VORBIS", noise)


def mp3() -> bytes:
    """Half a second as MP3."""
    return ffmpeg("mp3", "libmp3lame", [_LONGER])


def aac() -> bytes:
    """Half a second as AAC without a container."""
    return ffmpeg("adts", "aac", [_LONGER])


_WHOLE: dict[str, Callable[[], bytes]] = {
    "wav": wav,
    "aiff": aiff,
    "au": au,
    "caf": caf,
    "w64": w64,
    "rf64": partial(libsndfile, "RF64", "PCM_16", SONG),
    "flac": flac,
    "ogg": partial(libsndfile, "OGG", "VORBIS", _LONGER),
    "opus": partial(ffmpeg, "ogg", "libopus", [_LONGER]),
    "mp3": mp3,
    "m4a": partial(ffmpeg, "ipod", "aac", [_LONGER]),
    "mka": partial(ffmpeg, "matroska", "flac", [_LONGER]),
    "wma": partial(ffmpeg, "asf", "wmav2", [_LONGER]),
    "avi": partial(ffmpeg, "avi", "pcm_s16le", [_LONGER]),
    "tta": partial(ffmpeg, "tta", "tta", [_LONGER]),
    "wv": partial(ffmpeg, "wv", "wavpack", [_LONGER]),
}
# What counts a last byte of padding but does not write it is whole, so a byte may be missing;
# of PCM, that can take a frame with it.
_WITHOUT_LAST_BYTE: dict[str, Stems | Refused] = {
    "wav": Stems(frames=SONG.shape[1] - 1),
    "aiff": Stems(frames=SONG.shape[1] - 1),
    "au": Stems(frames=SONG.shape[1] - 1),
    "caf": Stems(frames=SONG.shape[1] - 1),
    "w64": Stems(frames=SONG.shape[1] - 1),
    "mp3": Stems(frames=_LONGER.shape[1]),
    "avi": Stems(frames=_LONGER.shape[1]),
    "flac": DAMAGED,
    "ogg": CUT_OFF,
    "opus": CUT_OFF,
    "m4a": CUT_OFF,
    "mka": CUT_OFF,
    "wma": CUT_OFF,
    "tta": DAMAGED,
    "wv": Refused("no samples"),
}
_STAGES = (1, 4, 12, 20, 30, 60)
_SHARES = (0.2, 0.6, 0.95)


def _start(kind: str, size: int) -> bytes:
    return _WHOLE[kind]()[:size]


def _all_but_one(kind: str) -> bytes:
    return _WHOLE[kind]()[:-1]


def _share(kind: str, share: float) -> bytes:
    content = _WHOLE[kind]()
    return content[: int(len(content) * share)]


def _changed(content: bytes, share: float, new: bytes) -> bytes:
    at = int(len(content) * share)
    return content[:at] + new + content[at + len(new) :]


def _noise(size: int) -> bytes:
    return np.random.default_rng(3).bytes(size)


def _without(content: bytes, share: float, size: int) -> bytes:
    at = int(len(content) * share)
    return content[:at] + content[at + size :]


def _wrong_checksum() -> bytes:
    found = pages(ogg())
    page = found[-2]
    found[-2] = page[:22] + bytes(byte ^ 255 for byte in page[22:26]) + page[26:]
    return b"".join(found)


def _missing_page(which: int) -> bytes:
    found = pages(ogg())
    del found[which]
    return b"".join(found)


def _repeated_page() -> bytes:
    found = pages(ogg())
    return b"".join([*found[:-2], found[-2], *found[-2:]])


def _position_of_years() -> bytes:
    found = pages(ogg())
    found[-1] = checked(found[-1][:6] + struct.pack("<q", 2**60) + found[-1][14:])
    return b"".join(found)


def _no_end_mark() -> bytes:
    found = pages(ogg())
    found[-1] = checked(found[-1][:5] + b"\0" + found[-1][6:])
    return b"".join(found)


def _flac_frames() -> tuple[bytes, list[bytes]]:
    content = flac()
    starts = [at for at in range(42, len(content) - 4) if content[at : at + 3] == b"\xff\xf8\xc9"]
    ends = [*starts[1:], len(content)]
    return content[: starts[0]], [content[a:b] for a, b in zip(starts, ends, strict=True)]


def _flac_without_a_frame() -> bytes:
    head, frames = _flac_frames()
    return head + b"".join(frames[:2] + frames[3:])


def _flac_with_frames_swapped() -> bytes:
    head, frames = _flac_frames()
    return head + b"".join([frames[0], frames[2], frames[1], *frames[3:]])


def _flac_of_another_song() -> bytes:
    content = flac()
    return content[:26] + bytes(16 * [0xAB]) + content[42:]


# libFLAC puts silence in the place of a frame that is missing.
GAP = Stems(frames=_LONGER.shape[1])

ENTRIES = [
    *(
        Entry(f"first-{size}-bytes.{kind}", partial(_start, kind, size), ANY)
        for kind in _WHOLE
        for size in _STAGES
    ),
    *(
        Entry(
            f"first-{share:.0%}.{kind}".replace("%", "-percent"), partial(_share, kind, share), ANY
        )
        for kind in _WHOLE
        for share in _SHARES
    ),
    Entry("first-half.aac", lambda: aac()[: len(aac()) // 2], DAMAGED),
    *(
        Entry(f"last-byte-missing.{kind}", partial(_all_but_one, kind), expected)
        for kind, expected in _WITHOUT_LAST_BYTE.items()
    ),
    Entry("noise-in-the-middle.mp3", lambda: _changed(mp3(), 0.5, _noise(1500)), DAMAGED),
    Entry("zeros-in-the-middle.mp3", lambda: _changed(mp3(), 0.5, bytes(1500)), DAMAGED),
    Entry("half-a-frame-missing.mp3", lambda: _without(mp3(), 0.5, 300), DAMAGED),
    Entry("noise-in-the-middle.aac", lambda: _changed(aac(), 0.5, _noise(1500)), DAMAGED),
    Entry("noise-in-the-middle.flac", lambda: _changed(flac(), 0.5, _noise(1500)), DAMAGED),
    Entry("zeros-in-the-middle.flac", lambda: _changed(flac(), 0.5, bytes(1500)), DAMAGED),
    Entry("one-bit-wrong.flac", lambda: _changed(flac(), 0.5, b"\x55"), DAMAGED),
    Entry("frame-missing.flac", _flac_without_a_frame, GAP),
    Entry("frames-swapped.flac", _flac_with_frames_swapped, GAP),
    Entry("wrong-md5.flac", _flac_of_another_song, Stems()),
    Entry("noise-in-the-middle.ogg", lambda: _changed(ogg(), 0.5, _noise(1500)), DAMAGED),
    Entry("wrong-checksum.ogg", _wrong_checksum, DAMAGED),
    Entry("missing-page.ogg", partial(_missing_page, -2), DAMAGED),
    Entry("missing-last-page.ogg", partial(_missing_page, -1), CUT_OFF),
    Entry("missing-header-page.ogg", partial(_missing_page, 1), Refused("not an audio file")),
    Entry("repeated-page.ogg", _repeated_page, Stems(frames=2 * RATE)),
    Entry("position-of-years.ogg", _position_of_years, Refused("longer than")),
    Entry("no-end-mark.ogg", _no_end_mark, CUT_OFF),
    Entry("zeros-in-the-middle.m4a", lambda: _changed(_WHOLE["m4a"](), 0.5, bytes(3000)), DAMAGED),
    Entry("noise-in-the-middle.m4a", lambda: _changed(_WHOLE["m4a"](), 0.5, _noise(3000)), DAMAGED),
    Entry("noise-in-the-middle.mka", lambda: _changed(_WHOLE["mka"](), 0.5, _noise(3000)), DAMAGED),
    Entry("noise-in-the-middle.wma", lambda: _changed(_WHOLE["wma"](), 0.5, _noise(3000)), Stems()),
    Entry("noise-in-the-middle.wv", lambda: _changed(_WHOLE["wv"](), 0.5, _noise(3000)), DAMAGED),
    Entry("noise-in-the-middle.tta", lambda: _changed(_WHOLE["tta"](), 0.5, _noise(3000)), DAMAGED),
]
