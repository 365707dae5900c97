"""What is fuzzed: everything of songsplit's that parses what may come from a stranger.

A target takes any bytes and raises nothing but what a user of songsplit is told to expect.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from random import Random

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load, save

from songsplit import Limits
from songsplit.audio import open_audio, read_tags
from songsplit.batch.inputs import find_songs
from songsplit.data.manifest import manifest_songs
from songsplit.errors import AudioFileError, ConfigError, DataError, ModelError
from songsplit.evaluation.compare import compare
from songsplit.evaluation.scores import METRICS, WHOLE_MEASURES
from songsplit.evaluation.store import load_scores
from songsplit.evaluation.summary import ALL_MEASURES
from songsplit.models import storage
from songsplit.models.config import MaskUNetConfig
from songsplit.naming import FIELDS, check_template, file_name, fill_template
from tests.fuzz.mutations import mutate, mutate_json, mutate_text
from tests.models.tiny import TINY, tiny_model
from tests.zoo.collection import ENTRIES

# Longer than any seed, short enough for what claims to be longer to end soon.
_LIMITS = Limits(seconds=60)
_MAX_NAME_BYTES = 255
# Of tests/zoo: a file for each parser there is.
_SONGS = (
    "wav-ms_adpcm.wav",
    "w64-pcm_24.w64",
    "aiff-ima_adpcm.aifc",
    "caf-alac_16.caf",
    "flac-pcm_16.flac",
    "ogg-vorbis.ogg",
    "voc-pcm_16.voc",
    "libopus-in-ogg.opus",
    "libmp3lame-in-mp3.mp3",
    "libmp3lame-in-wav.wav",
    "aac-in-ipod.m4a",
    "alac-in-ipod.m4a",
    "fragmented.mp4",
    "flac-in-matroska.mka",
    "wmav2-in-asf.wma",
    "libmp3lame-in-flv.flv",
    "pcm_s16le-in-avi.avi",
    "aac-in-mpegts.ts",
    "wavpack-in-wv.wv",
    "tta-in-tta.tta",
    "cover.mp3",
    "silence.ape",
    "silence.dsf",
)


@dataclass(frozen=True)
class Target:
    """Something to fuzz.

    Attributes
    ----------
    run : callable
        Gives bytes to a parser, and lets expected errors pass.
    seeds : callable
        Gives what is in order.
    mutate : callable
        Spoils one of the seeds.
    """

    run: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    mutate: Callable[[bytes, Random, Sequence[bytes]], bytes] = field(default=mutate)


class _Unseekable(io.RawIOBase):
    """A pipe."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        return self._data.readinto(buffer)


def read_file(data: bytes) -> None:
    """Decode a file; what comes are numbers, and as many channels as was said."""
    with (
        contextlib.suppress(AudioFileError),
        open_audio(io.BytesIO(data), limits=_LIMITS) as reader,
    ):
        for block in reader.blocks(1 << 16):
            assert block.dtype == np.float32
            assert len(block) == reader.info.channels
            assert np.isfinite(block).all()


def read_pipe(data: bytes) -> None:
    """Decode what comes through a pipe."""
    with (
        contextlib.suppress(AudioFileError),
        open_audio(io.BufferedReader(_Unseekable(data)), limits=_LIMITS) as reader,
    ):
        for block in reader.blocks(1 << 16):
            assert np.isfinite(block).all()


def read_all_tags(data: bytes) -> None:
    """Read tags, which never fails."""
    tags = read_tags(io.BytesIO(data))
    json.dumps(dict(tags.fields))


def load_model(data: bytes) -> None:
    """Load a file of weights."""
    with _file(data, "model.safetensors") as path, contextlib.suppress(ModelError):
        storage.load_weights(path)


def relabel(data: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    """Spoil bytes; or change configuration or card, and put the checksum right."""
    if rng.random() < 0.3:
        return mutate(data, rng, others)
    config = json.dumps(asdict(TINY))
    described = {"config": config, "card": '{"name": "tiny", "licences": ["CC0"]}'}
    key = rng.choice(("config", "config", "card"))
    described[key] = mutate_json(described[key], rng)
    tensors = load(data)
    with contextlib.suppress(UnicodeError, SafetensorError):
        digest = storage._digest(described, tensors)
        return save(tensors, {"format": "songsplit-2", **described, "sha256": digest})
    return data


def read_config(data: bytes) -> None:
    """Read a network's configuration."""
    with contextlib.suppress(ConfigError):
        MaskUNetConfig.from_json(_text(data))


def read_playlist(data: bytes) -> None:
    """List the songs of a playlist; the first byte says of what kind."""
    kind = ("list.m3u", "list.m3u8", "list.pls", "list.txt")[data[0] % 4 if data else 0]
    with _file(data[1:], kind) as path:
        for listed in find_songs([str(path)])[0]:
            assert isinstance(f"{listed} {listed.track}", str)


def name_files(data: bytes) -> None:
    """Fill a template with values; whatever they hold, the file is below the folder."""
    template, *values = data.split(b"\n")
    given = dict(zip(FIELDS, (_text(value) for value in values), strict=False))
    # Names of stems are not cut, but no model may have longer ones.
    given["stem"] = given.get("stem", "")[:32]
    try:
        text = _text(template)
        check_template(text, several=False)
        path = fill_template(text, given)
    except ConfigError:
        return
    for flavour in (PurePosixPath(path), PureWindowsPath(str(path))):
        assert not flavour.is_absolute()
        assert not flavour.drive
        assert ".." not in flavour.parts
    for part in path.parts:
        assert part == file_name(part), part
        assert not set(part) & set('/\\:*?"<>|\0\n')
    if len(text) < _MAX_NAME_BYTES // 2:
        assert all(len(part.encode("utf-8", "surrogateescape")) <= 255 for part in path.parts)


def read_scores(data: bytes) -> None:
    """Read stored scores, which are made again if there is anything wrong with them."""
    with _file(data, "song.json") as path:
        load_scores(path, {"window": 1})


def read_summary(data: bytes) -> None:
    """Compare two stored summaries."""
    with _file(data, "summary.json") as path, contextlib.suppress(DataError):
        compare(path, path)


def read_manifest(data: bytes) -> None:
    """Read a list of recordings."""
    with _file(data, "manifest.csv") as path, contextlib.suppress(DataError):
        path.with_name("a.flac").touch()
        manifest_songs(path, "source")


def read_training_config(data: bytes) -> None:
    """Read the configuration of a training run, up to where objects would be made."""
    with (
        _file(data, "run.yaml") as path,
        contextlib.suppress(ConfigError, SystemExit),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        _training_parser()(["--config", str(path)])


@cache
def _training_parser() -> Callable[[list[str]], object]:
    # Slow to import.
    from songsplit.data.module import StemDataModule
    from songsplit.training.cli import TrainingCLI
    from songsplit.training.module import SeparationTraining

    class OnlyParsed(TrainingCLI):
        def instantiate_classes(self) -> None:
            """Make nothing."""

    return lambda arguments: OnlyParsed(
        SeparationTraining,
        StemDataModule,
        args=arguments,
        run=False,
        seed_everything_default=0,
        auto_configure_optimizers=False,
    )


@contextlib.contextmanager
def _file(data: bytes, name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        yield path


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def mutate_any_json(data: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    """Spoil bytes, or values of what is JSON."""
    if rng.random() < 0.3:
        return mutate(data, rng, others)
    return mutate_json(data.decode(), rng).encode("utf-8", "surrogatepass")


def mutate_any_text(data: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    """Spoil bytes, or words of what is text."""
    if rng.random() < 0.2:
        return mutate(data, rng, others)
    return mutate_text(_text(data), rng).encode("utf-8", "surrogateescape")


@cache
def _songs() -> Sequence[bytes]:
    # Some kinds need the ffmpeg program, and are missing without it.
    return [entry.make() for entry in ENTRIES if entry.name in _SONGS]


def _weights() -> Sequence[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tiny.safetensors")
        storage.save_weights(tiny_model(), {"name": "tiny"}, path)
        return [path.read_bytes()]


def _configs() -> Sequence[bytes]:
    return [MaskUNetConfig().to_json().encode(), TINY.to_json().encode()]


def _playlists() -> Sequence[bytes]:
    return [
        "0#EXTM3U\n#EXTINF:1,Song\nsong.flac\n/music/a song.mp3\n".encode("utf-16"),
        b"1\xef\xbb\xbffile:///music/a%20song.mp3\nC:\\music\\x.wav\n..\\y.wav\r\n",
        b"2[playlist]\nFile1=song.flac\nFile2=http://host/song.mp3\nNumberOfEntries=2\n",
        b"3song.flac\n\nfolder/\n~/x.wav\n\xff\xfe\n",
    ]


def _names() -> Sequence[bytes]:
    return [
        b"{artist}/{album}/{track} - {title} ({stem})\nx\nvocals\n../..\nCON\n/etc/passwd",
        b"{stem}\n\xff\xfe\n..\nnul.txt\n" + b"long" * 200,
        b"a{{b}}c/{title!r}/{stem:>9}\n \n.\n...\n\0",
        "é{title}ü\n\u202e\n\U0001f3b5\ncom1".encode(),
    ]


def _scores() -> Sequence[bytes]:
    frame = {"time": 0.0, "duration": 1.0, "metrics": dict.fromkeys(METRICS, 1.5)}
    content = {
        "targets": [{"name": "vocals", "frames": [frame]}],
        "settings": {"window": 1},
        "remark": "",
        "whole": {"vocals": dict.fromkeys(WHOLE_MEASURES, 2.5)},
    }
    return [json.dumps(content).encode()]


def _summaries() -> Sequence[bytes]:
    songs = {name: {"vocals": dict.fromkeys(ALL_MEASURES, 3.5)} for name in "ab"}
    content = {
        "systems": {"model": {"songs": songs}},
        "songs": {name: {"reference_digest": name, "seconds": 7} for name in "ab"},
        "settings": {"backend": "songsplit"},
    }
    return [json.dumps(content).encode()]


def _manifests() -> Sequence[bytes]:
    header = b"path,kind,source,split,sample_rate,bandwidth\n"
    return [header + b"a.flac,vocals,x,train,44100,\na.flac,instrumental,x,train,22050,9000\n"]


def _training_configs() -> Sequence[bytes]:
    folder = Path(__file__).parents[2] / "configs"
    return [path.read_bytes() for path in sorted(folder.glob("*.yaml"))]


TARGETS = {
    "audio": Target(read_file, _songs),
    "pipe": Target(read_pipe, _songs),
    "tags": Target(read_all_tags, _songs),
    "weights": Target(load_model, _weights, relabel),
    "model-config": Target(read_config, _configs, mutate_any_json),
    "playlist": Target(read_playlist, _playlists),
    "names": Target(name_files, _names, mutate_any_text),
    "scores": Target(read_scores, _scores, mutate_any_json),
    "summary": Target(read_summary, _summaries, mutate_any_json),
    "manifest": Target(read_manifest, _manifests, mutate_any_text),
    "training-config": Target(read_training_config, _training_configs, mutate_any_text),
}
"""By name."""
