"""What is decoded when, and what happens when something goes wrong."""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from rich.console import Console

from songsplit.data import decoding, filling, locking
from songsplit.data.cache import ClipCache
from songsplit.data.filling import fill_cache
from songsplit.data.songs import AudioPart, Song
from songsplit.errors import ConfigError, DataError
from tests.data import recordings
from tests.data.recordings import fill, song

RATE = 8000


def noise(seed=0, samples=RATE):
    return np.random.default_rng(seed).normal(size=(2, samples)) * 0.1


@pytest.fixture
def three(tmp_path):
    return [
        song(
            tmp_path / "files",
            f"song {n}",
            {"vocals": noise(n), "instrumental": noise(n + 10)},
            rate=RATE,
        )
        for n in range(3)
    ]


@pytest.fixture
def stored(monkeypatch):
    """Names of the audio files that are written from here on."""
    names = []

    def store(audio, folder, file, sample_rate):
        names.append(file)
        return decoding.store_stem(audio, folder, file, sample_rate)

    monkeypatch.setattr(filling, "store_stem", store)
    return names


def audio_files(folder):
    return {path.name for path in Path(folder).glob("*.npy")}


def said(songs, folder):
    """What filling writes to the console."""
    text = io.StringIO()
    fill_cache(songs, folder, RATE, console=Console(file=text))
    return text.getvalue()


def test_nothing_is_done_or_said_a_second_time(tmp_path, three, stored):
    announced = said({"s": three}, tmp_path / "c")
    assert re.search(
        r"decoding 3 songs \(0\.1 minutes\) into .*c: about 0\.2 MB, .* free", announced
    )
    index = (tmp_path / "c" / "index.json").stat()
    assert len(stored) == 6
    assert said({"s": three}, tmp_path / "c") == ""
    assert len(stored) == 6
    assert (tmp_path / "c" / "index.json").stat() == index


def test_unchanged_files_are_not_read_again(tmp_path, three, monkeypatch):
    fill({"s": three}, tmp_path / "c", RATE)
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("read again"))
    fill({"s": three}, tmp_path / "c", RATE)


def test_a_changed_file_is_decoded_anew_and_its_old_audio_stays_readable(tmp_path, three, stored):
    before = fill({"s": three}, tmp_path / "c", RATE)
    (part,) = three[1].stems["vocals"]
    recordings.write(part.path, noise(99), RATE)
    os.utime(part.path, (1, 1))
    after = fill({"s": three}, tmp_path / "c", RATE)
    assert len(stored) == 7
    np.testing.assert_allclose(after.read(after.clips[1], "vocals"), noise(99), atol=1e-4)
    assert before.read(before.clips[1], "vocals").any()
    assert [a == b for a, b in zip(before.clips, after.clips, strict=True)] == [True, False, True]


def test_moved_renamed_and_shared_content_is_not_decoded_again(tmp_path, three, stored):
    fill({"s": three}, tmp_path / "c", RATE)
    shutil.move(tmp_path / "files", tmp_path / "moved")

    def moved(old):
        stems = {
            name: tuple(
                AudioPart(tmp_path / "moved" / p.path.parent.name / p.path.name) for p in ps
            )
            for name, ps in old.stems.items()
        }
        return replace(old, name=old.name.upper(), split="valid", stems=stems)

    again = {"s": [moved(old) for old in three], "pool": [moved(three[0])]}
    cache = fill(again, tmp_path / "c", RATE)
    assert len(stored) == 6
    assert [(c.source, c.name, c.split) for c in cache.clips] == [
        ("s", "SONG 0", "valid"), ("s", "SONG 1", "valid"), ("s", "SONG 2", "valid"),
        ("pool", "SONG 0", "valid"),
    ]  # fmt: skip


def test_sources_that_are_not_mentioned_stay(tmp_path, three):
    fill({"first": three[:2], "second": three[2:]}, tmp_path / "c", RATE)
    cache = fill({"first": three[:1]}, tmp_path / "c", RATE)
    assert [(clip.source, clip.name) for clip in cache.clips] == [
        ("first", "song 0"),
        ("second", "song 2"),
    ]
    for clip in cache.clips:
        cache.read(clip, "vocals")


def test_only_unfinished_audio_is_removed(tmp_path, three):
    fill({"s": three}, tmp_path / "c", RATE)
    ours = tmp_path / "c" / "mine.npy"
    np.save(ours, np.zeros(3))
    left = tmp_path / "c" / f"{'0' * 32}.npy.12345678.partial"
    left.write_bytes(b"cut off")
    fill({"s": three[:1]}, tmp_path / "c", RATE)
    assert ours.exists()
    assert not left.exists()
    assert len(audio_files(tmp_path / "c")) == 7


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_what_was_done_before_an_interruption_is_kept(tmp_path, three, monkeypatch, error):
    done = []

    def store(audio, folder, file, sample_rate):
        if len(done) == 3:
            raise error
        done.append(file)
        return decoding.store_stem(audio, folder, file, sample_rate)

    monkeypatch.setattr(filling, "store_stem", store)
    with pytest.raises(error):
        fill({"s": three}, tmp_path / "c", RATE, jobs=1)
    with pytest.raises(DataError, match="not found"):
        ClipCache(tmp_path / "c")

    rest = []
    monkeypatch.setattr(
        filling, "store_stem", lambda *given: rest.append(given[2]) or decoding.store_stem(*given)
    )
    with (tmp_path / "c" / "journal.jsonl").open("a") as journal:
        journal.write('{"stem": {"file": "cut o')
    cache = fill({"s": three}, tmp_path / "c", RATE)
    assert len(rest) == 3
    assert not set(rest) & set(done)
    assert [clip.name for clip in cache.clips] == ["song 0", "song 1", "song 2"]
    assert {path.suffix for path in (tmp_path / "c").iterdir()} == {".npy", ".json", ""}


def test_one_bad_song_does_not_keep_the_others_from_being_decoded(tmp_path, three, stored):
    (bad,) = three[1].stems["vocals"]
    good = bad.path.read_bytes()
    bad.path.write_bytes(b"no audio at all")
    (gone,) = three[2].stems["instrumental"]
    kept = gone.path.read_bytes()
    gone.path.unlink()
    with pytest.raises(DataError, match=r"2 of 3 songs .* s/song 1: .*vocals\.wav"):
        fill({"s": three}, tmp_path / "c", RATE)
    bad.path.write_bytes(good)
    gone.path.write_bytes(kept)
    before = len(stored)
    assert before >= 2
    fill({"s": three}, tmp_path / "c", RATE)
    assert len(stored) == 6


def test_each_bad_song_is_named_at_once(tmp_path, three):
    for made in three[:2]:
        made.stems["vocals"][0].path.unlink()
    text = io.StringIO()
    with pytest.raises(DataError):
        fill_cache({"s": three}, tmp_path / "c", RATE, console=Console(file=text))
    for name in ("s/song 0", "s/song 1"):
        assert f"not used: {name}: " in text.getvalue()


def refusal(songs, folder):
    with pytest.raises(DataError) as caught:
        fill({"s": songs}, folder, RATE)
    return str(caught.value)


def test_unusable_audio_is_named(tmp_path):
    for audio, reason in [
        (np.full((2, 100), np.nan), "not a number"),
        (np.full((2, 100), 1e30), "level"),
        (np.zeros((2, 100)), "silent"),
    ]:
        made = song(tmp_path, reason, {"vocals": audio}, rate=RATE)
        message = refusal([made], tmp_path / "c")
        assert reason in message
        assert str(made.stems["vocals"][0].path) in message


def test_stems_of_different_length_are_refused_with_their_lengths(tmp_path):
    stems = {"vocals": noise(samples=RATE), "instrumental": noise(samples=2 * RATE)}
    message = refusal([song(tmp_path, "a", stems, rate=RATE)], tmp_path / "c")
    assert "s/a" in message
    assert "vocals 1.00 s, instrumental 2.00 s" in message

    files = [recordings.write(tmp_path / f"{s}.wav", noise(samples=s), RATE) for s in (8000, 9000)]
    parts = tuple(AudioPart(file) for file in files)
    message = refusal([Song("b", "s", "train", {"vocals": parts})], tmp_path / "c")
    assert f"{files[1]} lasts 1.12 s, but {files[0]} 1.00 s" in message


def stem_file(path, tones):
    """Write an .mp4 file with a stream for each tone."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("aac", rate=44100, layout="stereo") for _ in tones]
        for stream, tone in zip(streams, tones, strict=True):
            audio = np.sin(2 * np.pi * tone * np.arange(44100) / 44100).astype(np.float32) * 0.3
            frame = av.AudioFrame.from_ndarray(np.stack([audio, audio]), "fltp", "stereo")
            frame.sample_rate = 44100
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def test_streams_of_one_file(tmp_path):
    path = stem_file(tmp_path / "a.stem.mp4", [440, 880, 1760])
    stems = {"vocals": (AudioPart(path, 2),), "instrumental": (AudioPart(path, 1),)}
    cache = fill({"s": [Song("a", "s", "train", stems)]}, tmp_path / "c", 16000)
    for stem, tone in [("vocals", 1760), ("instrumental", 880)]:
        spectrum = np.abs(np.fft.rfft(cache.read(cache.clips[0], stem)[0, :16000]))
        assert spectrum.argmax() == pytest.approx(tone, abs=2)
    missing = Song("a", "s", "train", {"vocals": (AudioPart(path, 4),)})
    message = refusal([missing], tmp_path / "other")
    assert str(path) in message
    assert "3 audio streams, though number 5" in message


def test_a_full_disk_is_named_and_nothing_half_written_stays(tmp_path, three, monkeypatch):
    saved, count = np.save, iter(range(9))

    def save(file, array):
        if next(count) == 3:
            file.write(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        saved(file, array)

    monkeypatch.setattr(np, "save", save)
    with pytest.raises(DataError, match=r"c cannot be filled.*No space left.*kept"):
        fill({"s": three}, tmp_path / "c", RATE, jobs=1)
    assert not list((tmp_path / "c").glob("*.partial"))
    assert len(audio_files(tmp_path / "c")) == 3
    written = []
    monkeypatch.setattr(np, "save", lambda file, array: written.append(saved(file, array)))
    fill({"s": three}, tmp_path / "c", RATE)
    assert len(written) == 3


def test_a_disk_that_is_too_small_is_refused_before_anything_is_decoded(
    tmp_path, three, stored, monkeypatch
):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10**6, 9 * 10**5, 10**5))
    with pytest.raises(DataError, match=r"room for 0\.1 MB, .* take about 0\.2 MB"):
        fill({"s": three}, tmp_path / "c", RATE)
    assert not stored


def test_a_folder_that_cannot_be_one_is_refused(tmp_path, three):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file cannot be filled"):
        fill({"s": three}, tmp_path / "file", RATE)


def test_another_rate_needs_another_folder(tmp_path, three):
    fill({"s": three}, tmp_path / "c", RATE)
    for songs in ({"s": three}, {}):
        with pytest.raises(DataError, match="8000 Hz, not 16000 Hz"):
            fill(songs, tmp_path / "c", 16000)
    with pytest.raises(ConfigError, match="jobs"):
        fill({"s": three}, tmp_path / "c", RATE, jobs=0)


def test_two_processes_do_not_fill_one_folder(tmp_path, three, monkeypatch):
    monkeypatch.setattr(locking, "PATIENCE", 0.0)
    (tmp_path / "c").mkdir()
    with locking.locked(tmp_path / "c"):
        assert "another process" in refusal(three, tmp_path / "c")
    fill({"s": three}, tmp_path / "c", RATE)


def test_sources_and_order_do_not_depend_on_the_number_of_jobs(tmp_path, three):
    caches = [fill({"s": three}, tmp_path / f"c{jobs}", RATE, jobs=jobs) for jobs in (1, 3)]
    assert caches[0].clips == caches[1].clips
