"""The command ``songsplit info``, which describes audio files."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from songsplit.cli.display import FAILED, say
from songsplit.cli.options import Json, Songs
from songsplit.errors import MissingExtraError, SongsplitError
from songsplit.naming import printable
from songsplit.progress import clock

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from songsplit.cli.inputs import Song

_BLOCK_SECONDS = 4
_MUSIC_SECONDS = 180  # from which tempo and key are estimated
_MUSIC_RATE = 22050
_TAGS = ("artist", "title", "album", "tracknumber", "date")
_AUDIO_ONLY = (".mp3", ".m4a", ".ogg", ".opus")  # files that hold almost only audio
_CODECS = {"mp3float": "MP3", "pcm_16": "16 bits", "pcm_24": "24 bits", "float": "32-bit float"}
_CHANNELS = {1: "mono", 2: "stereo"}
_KEYS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
# Ratings by listeners of how well each note fits the key of C (Krumhansl and Kessler 1982).
_PROFILES = {
    "major": (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    "minor": (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}


def info(
    songs: Songs,
    json_: Json = False,
    music: Annotated[
        bool, typer.Option("--music", help="Also estimate tempo and key, with librosa.")
    ] = False,
) -> None:
    """Show format, length, level and tags of files.

    Files are read completely, so damage is also found.
    """
    # Slow imports would delay --help.
    from songsplit.cli.inputs import find_songs

    found, problems = find_songs(songs)
    unlisted = [{"file": name, "error": str(error)} for name, error in problems]
    failed = False
    for facts in chain(unlisted, (_facts(song, music=music) for song in found)):
        if "error" in facts:
            failed = True
            say(f"songsplit: {facts['error']}")
        if json_:
            typer.echo(json.dumps(facts, ensure_ascii=False))
        elif "error" not in facts:
            typer.echo("\n  ".join(map(printable, _lines(facts))))
    if failed:
        raise typer.Exit(FAILED)


def _facts(song: Song, *, music: bool) -> dict[str, Any]:
    try:
        return _read(song, music=music)
    except MissingExtraError:
        raise
    except SongsplitError as error:
        return {"file": str(song), "error": str(error)}


def _read(song: Song, *, music: bool) -> dict[str, Any]:
    """Read a whole file, or standard input."""
    import numpy as np

    from songsplit.audio import Tags, open_audio, read_tags
    from songsplit.cli.inputs import standard_input

    # A pipe can be read only once.
    plain = song.path if song.is_plain else None
    tags = Tags() if plain is None else read_tags(plain)
    samples, peak, power = 0, 0.0, 0.0
    heard = []
    with open_audio(standard_input() if song.path is None else song.path) as reader:
        about = reader.info
        for block in reader.blocks(_BLOCK_SECONDS * about.sample_rate):
            if music and samples < _MUSIC_SECONDS * about.sample_rate:
                heard.append(block.mean(axis=0))
            samples += block.shape[1]
            peak = max(peak, float(np.abs(block).max(initial=0)))
            power += float(np.square(block, dtype=np.float64).mean(axis=0).sum())
    seconds = samples / about.sample_rate
    kilobits = None
    if plain is not None and plain.suffix.lower() in _AUDIO_ONLY:
        cover = len(tags.cover.data) if tags.cover else 0
        kilobits = round((plain.stat().st_size - cover) * 8 / seconds / 1000)
    return {
        "file": about.name,
        "format": about.format,
        "kilobits": kilobits,
        "seconds": round(seconds, 3),
        "samples": samples,
        "sample_rate": about.sample_rate,
        "channels": about.channels,
        "peak_db": _decibels(peak**2),
        "rms_db": _decibels(power / samples),
        **(_music(np.concatenate(heard), about.sample_rate) if music and peak else {}),
        **{name: ", ".join(tags.fields.get(name, ())) or None for name in _TAGS},
        "cover": None if tags.cover is None else tags.cover.mime,
        "stems": list(about.stems) or None,
        "tracks": list(about.tracks) if len(about.tracks) > 1 and not about.stems else None,
        "notes": list(about.notes),
    }


def _decibels(power: float) -> float | None:
    return round(10 * math.log10(power), 2) if power > 0 else None


def _music(mono: NDArray[np.float32], sample_rate: int) -> dict[str, Any]:
    """Estimate tempo and key."""
    import numpy as np

    from songsplit.audio import resample

    try:
        import librosa
    except ImportError as error:
        raise MissingExtraError("librosa", "plots") from error
    sound = resample(mono[np.newaxis], sample_rate, _MUSIC_RATE)[0]
    tempo, _ = librosa.beat.beat_track(y=sound, sr=_MUSIC_RATE)
    notes = librosa.feature.chroma_cqt(y=sound, sr=_MUSIC_RATE).mean(axis=1)
    fits = {
        f"{name} {mode}": np.corrcoef(np.roll(profile, shift), notes)[0, 1]
        for mode, profile in _PROFILES.items()
        for shift, name in enumerate(_KEYS)
    }
    beats = float(np.ravel(tempo)[0])
    return {"tempo": round(beats, 1) or None, "key": max(fits, key=fits.__getitem__)}


def _lines(facts: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the description."""
    yield facts["file"]
    container, _, codec = facts["format"].lower().rpartition(" ")
    codec = _CODECS.get(codec, codec.upper())
    # FFmpeg names several containers at once; the extension is more specific.
    names, suffix = container.split(","), Path(facts["file"]).suffix[1:].lower()
    container = (suffix if suffix in names else names[0]).upper()
    kind = container if container == codec else f"{container} ({codec})"
    rate = f", {facts['kilobits']} kbit/s" if facts["kilobits"] else ""
    channels = _CHANNELS.get(facts["channels"], f"{facts['channels']} channels")
    yield f"{kind}{rate}, {facts['sample_rate'] / 1000:g} kHz {channels}, {clock(facts['seconds'])}"
    if facts["peak_db"] is not None:
        yield f"level: peak {facts['peak_db']} dB, RMS {facts['rms_db']} dB"
    if facts.get("key"):
        tempo = f"{facts['tempo']:.0f} beats per minute, " if facts["tempo"] else ""
        yield f"music: {tempo}{facts['key']} (estimates)"
    for name in (*_TAGS, "cover"):
        if facts[name]:
            yield f"{name.replace('number', '')}: {facts[name]}"
    if facts["stems"]:
        stems = ", ".join(facts["stems"])
        yield f"stems: {stems} (a stem file; songsplit reads its mixture)"
    for note in facts["notes"]:
        yield f"note: {note}"
