"""Every file of the zoo becomes stems that add up, or is refused with a message."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from songsplit import Separator
from songsplit.audio import read_audio
from songsplit.errors import AudioFileError

from .collection import ENTRIES
from .entries import Entry, Refused, Samples, Stems


def label(entry: Entry) -> str:
    text = ascii(entry.name)[1:-1]
    return text if len(text) < 60 else f"{text[:40]}-{len(entry.name)}-characters"


def files_below(folder: Path) -> dict[bytes, bytes | None]:
    found = (Path(place) / name for place, _, names in os.walk(folder) for name in names)
    return {os.fsencode(path): path.read_bytes() for path in found}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the song, one for the results, and one to stand in."""
    for name in ("in", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def test_names_are_unique() -> None:
    assert len({entry.name.casefold() for entry in ENTRIES}) == len(ENTRIES) >= 60


@pytest.mark.parametrize("entry", ENTRIES, ids=label)
def test_stems_or_a_named_error(entry: Entry, stage: Path, separator: Separator) -> None:
    source = stage / "in" / entry.name
    source.write_bytes(entry.make())
    before = files_below(stage)
    if isinstance(entry.expected, Refused):
        with pytest.raises(AudioFileError) as caught:
            separator.separate_to_files(source, stage / "out")
        message = str(caught.value)
        assert entry.expected.words in message
        assert says_the_name(message, source)
        assert not (stage / "out").exists()
    else:
        saved = separator.separate_to_files(source, stage / "out")
        check_stems(entry.expected, source, saved["vocals"], saved["instrumental"])
        results = {os.fsencode(path) for path in saved.values()}
        assert all(path.is_relative_to(stage / "out") for path in saved.values())
        assert files_below(stage / "out").keys() == results
    after = files_below(stage)
    assert {path: after[path] for path in before} == before
    outside = [path for path in after if not path.startswith(os.fsencode(stage / "out"))]
    assert sorted(outside) == sorted(before)


def says_the_name(message: str, source: Path) -> bool:
    """Say whether a message of one line begins with the name of a file."""
    plain = source.name.isprintable()
    return "\n" not in message and (message.startswith(f"{source}: ") or not plain)


def check_stems(expected: Stems, source: Path, vocals: Path, instrumental: Path) -> None:
    mixture, rate = read_audio(source)
    assert (len(mixture), rate) == (expected.channels, expected.sample_rate)
    if expected.frames is not None:
        assert mixture.shape[1] == expected.frames
    if expected.samples is not None:
        np.testing.assert_allclose(mixture, expected.samples, rtol=0, atol=expected.tolerance)
    parts = [stem_samples(path, rate) for path in (vocals, instrumental)]
    assert all(part.shape == mixture.shape and np.isfinite(part).all() for part in parts)
    total = np.sum(parts, axis=0)
    # Each of the three numbers is rounded to 24 bits, or to the smallest there are.
    sizes = np.abs(mixture).astype(np.float64) + np.abs(parts).sum(axis=0)
    allowed = 2.0**-24 * sizes + np.finfo(np.float32).smallest_subnormal
    assert (np.abs(total - mixture) <= allowed).all()


def stem_samples(path: Path, rate: int) -> Samples:
    # Opened here: libsndfile cannot be given all names.
    with path.open("rb") as file:
        samples, same_rate = soundfile.read(file, dtype="float64", always_2d=True)
    assert same_rate == rate
    return np.asarray(samples.T)
