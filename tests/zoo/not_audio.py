"""What somebody may name by mistake, or on purpose: files that hold no sound at all."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile
from functools import partial

import numpy as np

from tests.audio.zoo import video_bytes

from .entries import Entry, Refused
from .headers import chunk, wav

NOT_AUDIO = Refused("not an audio file")


def _zip() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("song.wav", (2000, 1, 1, 0, 0, 0)), wav())
    return target.getvalue()


def _tar() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        member = tarfile.TarInfo("song.wav")
        member.size = len(wav())
        archive.addfile(member, io.BytesIO(wav()))
    return target.getvalue()


class Touchy:
    """Leaves a mark if anybody unpickles it."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("unpickled", "w")


def _pickle() -> bytes:
    return pickle.dumps([Touchy(), np.zeros(1000)], protocol=4)


def _npy() -> bytes:
    target = io.BytesIO()
    np.save(target, np.zeros((2, 5000), np.float32))
    return target.getvalue()


_HTML = b"<!DOCTYPE html>\n<html><head><title>404</title></head><body>" + b"<p>no</p>" * 200
_TEXT = b"words and more words\n" * 300
_PDF = b"%PDF-1.4\n" + b"1 0 obj << /Type /Catalog >> endobj\n" * 50 + b"%%EOF"
_ELF = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHI", 3, 62, 1) + bytes(4000)
_MIDI = (
    b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480) + b"MTrk" + struct.pack(">I", 4) + b"\0\xff\x2f\0"
)
_JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0" + bytes(500) + b"\xff\xd9"
_WEBP = b"RIFF" + struct.pack("<I", 100) + b"WEBPVP8 " + bytes(92)
_PLAYLISTS = {
    "list.m3u": b"#EXTM3U\n#EXTINF:1,song\nsong.wav\n/etc/passwd\n",
    "list.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nsong.wav\n#EXT-X-ENDLIST\n",
    "concat.ffconcat": b"ffconcat version 1.0\nfile song.wav\n",
    "list.pls": b"[playlist]\nFile1=song.wav\nNumberOfEntries=1\n",
    "stream.sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=audio 5004 RTP/AVP 0\n",
    "manifest.mpd": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    "list.xspf": b'<?xml version="1.0"?><playlist version="1"><trackList/></playlist>',
    "song.cue": b'FILE "song.wav" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
}
_CONTENTS: dict[str, bytes] = {
    "page.mp3": _HTML,
    "notes.wav": _TEXT,
    "notes.au": _TEXT,
    "notes.ogg": _TEXT,
    "notes.vox": _TEXT,
    "lyrics.lrc": b"[00:01.00]words\n[00:02.00]more words\n" * 50,
    "subtitles.srt": b"1\n00:00:01,000 --> 00:00:02,000\nwords\n\n",
    "data.json.flac": json.dumps({"a": list(range(500))}).encode(),
    "paper.wav": _PDF,
    "program.mp3": _ELF,
    "notes.mid": _MIDI,
    "zeros.wav": bytes(50_000),
    "ones.mp3": b"\xff" * 50_000,
    "one-zero.wav": b"\0",
    "one-newline.wav": b"\n",
    "noise.wav": b"\x01" + np.random.default_rng(5).bytes(40_000),
    "just-riff.wav": b"RIFF",
    "riff-and-wave.wav": chunk(b"RIFF", b"WAVE"),
    "picture.webp.wav": _WEBP,
    "just-flac.flac": b"fLaC",
    "just-ogg.ogg": b"OggS",
    "just-id3.mp3": b"ID3\x04\0\0\0\0\0\0",
    "just-form.aiff": chunk(b"FORM", b"AIFF", order=">"),
    "just-ftyp.m4a": struct.pack(">I4s4sI", 16, b"ftyp", b"M4A ", 0),
    "just-ebml.mka": bytes.fromhex("1a45dfa3"),
    **_PLAYLISTS,
}

ENTRIES = [
    *(Entry(name, partial(bytes, content), Refused("")) for name, content in _CONTENTS.items()),
    Entry("nothing.wav", bytes, Refused("the file is empty (0 bytes)")),
    Entry("zipped.wav", _zip, Refused("")),
    Entry("gzipped.wav", lambda: gzip.compress(wav(), mtime=0), NOT_AUDIO),
    Entry("archive.wav", _tar, Refused("")),
    Entry("pickle.wav", _pickle, NOT_AUDIO),
    Entry("array.npy", _npy, NOT_AUDIO),
    Entry("photo.mp3", partial(bytes, _JPEG), Refused("")),
    Entry("picture.wav", partial(video_bytes, "image2pipe", "png"), Refused("holds no audio")),
]
