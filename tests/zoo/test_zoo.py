"""Every file of the zoo is separated into stems that add up, or refused with its name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
import soundfile

import songsplit
from tests.zoo.collection import ENTRIES, Entry, Refused, Stems, write_all
from tests.zoo.encoding import KINDS, song_bytes

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks in /proc")
ROOT = Path(__file__).parents[2]
SECONDS = 300
"""Seconds that all files may take, far more than on a busy machine."""

CHILD = """
import json, resource, sys, warnings
from pathlib import Path
import songsplit
separator = songsplit.Separator(device="cpu")
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024
separator.separate("%s")
for path in sys.argv[1:]:
    before = peak()
    try:
        separator.separate(path)
        end = "stems"
    except songsplit.SongsplitError as error:
        end = "refused"
    except BaseException as error:
        end = repr(error)
    print(json.dumps([end, peak() - before]), flush=True)
"""


def in_child(paths: list[Path], song: Path) -> list[tuple[str, int]]:
    """Separate files in a process with bounded memory; return the outcomes and the MB used."""
    command = [sys.executable, "-W", "ignore", "-c", CHILD % song, *paths]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [os.fsencode(word) for word in command],
        capture_output=True,
        env=environment,
        timeout=SECONDS,
        check=False,
    )
    told = [tuple(json.loads(line)) for line in done.stdout.splitlines()]
    assert len(told) == len(paths), f"ended at {paths[len(told)].name!r}: {done.stderr[-2000:]!r}"
    return told


def label(entry: Entry) -> str:
    return ascii(entry.name)[1:41]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders for the song and the results, and a current folder."""
    for name in ("in", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def files_below(folder: Path) -> dict[bytes, bytes]:
    found = (Path(place) / name for place, _, names in os.walk(folder) for name in names)
    return {os.fsencode(path): path.read_bytes() for path in found}


@pytest.mark.parametrize("entry", ENTRIES, ids=label)
def test_stems_or_a_named_error(entry: Entry, stage: Path, separator: songsplit.Separator) -> None:
    source = stage / "in" / entry.name
    source.write_bytes(entry.make())
    before = files_below(stage)
    try:
        exact = songsplit.OutputFormat("wav", bit_depth="32f")
        saved = separator.separate_to_files(source, stage / "out", output=exact)
    except songsplit.SongsplitError as error:
        message = str(error)
        assert not isinstance(entry.expected, Stems), message
        assert entry.expected is None or entry.expected.words in message
        assert "\n" not in message
        assert message.startswith(f"{source}: ") or not source.name.isprintable()
        assert not (stage / "out").exists()
    else:
        assert not isinstance(entry.expected, Refused)
        check_stems(entry.expected, saved["vocals"], saved["instrumental"])
        results = {os.fsencode(path) for path in saved.values()}
        assert files_below(stage / "out").keys() == results
    after = files_below(stage)
    outside = {path: after[path] for path in after if b"/out/" not in path}
    assert outside == before


def check_stems(expected: Stems | None, *paths: Path) -> None:
    parts = []
    for path in paths:
        # Opened here, because libsndfile does not support all names.
        with path.open("rb") as file:
            samples, rate = soundfile.read(file, dtype="float64", always_2d=True)
        parts.append(samples.T)
        assert np.isfinite(samples).all()
        assert len(samples)
    if expected is None:
        return
    assert (len(parts[0]), rate) == (expected.channels, expected.rate)
    if expected.samples is not None:
        total, samples = parts[0] + parts[1], expected.samples
        assert total.shape == samples.shape
        # Each of the three numbers is rounded to 24 bits or the smallest number.
        sizes = np.abs(samples).astype(np.float64) + np.abs(parts).sum(axis=0)
        allowed = expected.tolerance + 2.0**-24 * sizes + 2.0**-149
        assert (np.abs(total - samples) <= allowed).all()


@needs_proc
@pytest.mark.slow
def test_no_file_takes_much_memory_or_ends_the_process(tmp_path: Path) -> None:
    paths = write_all(tmp_path / "zoo")
    (tmp_path / "song.wav").write_bytes(song_bytes("wav"))
    told = in_child(paths, tmp_path / "song.wav")
    for entry, (end, megabytes) in zip(ENTRIES, told, strict=True):
        assert end in ("stems", "refused"), entry.name
        assert megabytes < 300, entry.name


def spoiled(data: bytes, rng: Random) -> bytes:
    """Flip, overwrite, drop and repeat bytes, mostly of the head."""
    content = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        limit = min(len(content), 256) if rng.random() < 0.5 else len(content)
        at, size = rng.randrange(max(1, limit)), rng.choice((1, 2, 4, 8, 64))
        new = rng.choice(
            (
                rng.randbytes(size),
                bytes(size),
                b"\xff" * size,
                b"",
                4 * bytes(content[at : at + size]),
            )
        )
        content[at : at + size] = new
    return bytes(content)


@needs_proc
@pytest.mark.slow
def test_randomly_spoiled_files(tmp_path: Path) -> None:
    paths = []
    for kind in KINDS:
        for seed in range(6):
            paths.append(tmp_path / f"{seed}.{kind}")
            content = song_bytes(kind)
            paths[-1].write_bytes(spoiled(content, Random(f"{kind} {seed}")))
    (tmp_path / "song.wav").write_bytes(song_bytes("wav"))
    told = in_child(paths, tmp_path / "song.wav")
    wrong = [(path.name, end) for path, (end, _) in zip(paths, told, strict=True)
             if end not in ("stems", "refused")]  # fmt: skip
    assert not wrong
