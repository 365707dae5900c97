"""Tables of formats, from those that the program goes by."""

from __future__ import annotations

from songsplit import formats
from songsplit.audio import tags as song_tags
from songsplit.batch import inputs
from songsplit.formats import FORMATS, MAX_RATE, OutputFormat

_CONTENTS = {
    "wav": "WAV, beyond 4 GiB RF64",
    "flac": "FLAC",
    "mp3": "MP3",
    "m4a": "AAC in MP4",
    "ogg": "Vorbis in Ogg",
    "opus": "Opus in Ogg",
    "stem.mp4": "Native Instruments stem file: mixture and all stems, AAC",
}


def outputs() -> str:
    """Return the table of the formats that results can have."""
    rows = [
        "| name | what it is | bit depths or kbit/s (**default**) | sample rates, Hz | channels |",
        "|---|---|---|---|---|",
    ]
    for name in FORMATS:
        can = formats._LIMITS[name]
        output = OutputFormat(name)
        if can.depths:
            how = ", ".join(f"**{d}**" if d == output.depth else d for d in can.depths)
        else:
            lowest, highest = can.bitrates
            how = f"{lowest} to {highest} (**{output.kilobits}**)"
        if can.rates:
            rates = ", ".join(str(rate) for rate in can.rates)
        else:
            rates = f"up to {output.sample_rate(MAX_RATE)}"
        rows.append(f"| `{name}` | {_CONTENTS[name]} | {how} | {rates} | up to {can.channels} |")
    return "\n".join(rows)


def extensions() -> str:
    """Return the names of files that are taken for songs where a folder is given."""
    songs, lists = (_listed(found) for found in (inputs._AUDIO, inputs._PLAYLISTS))
    return f"- songs: {songs}\n- playlists, where named: {lists}"


def tags() -> str:
    """Return the tags that are copied from songs to results."""
    return _listed(song_tags._NAMES) + ", cover pictures"


def _listed(words: object) -> str:
    assert isinstance(words, dict | frozenset | set)
    ordered = words if isinstance(words, dict) else sorted(words)
    return ", ".join(f"`{word}`" for word in ordered)
