"""What is filled into a cache comes out of it."""

from __future__ import annotations

import errno
import os
import threading
import time
from dataclasses import replace

import av
import filelock
import numpy as np
import pytest

from songsplit.data import decoding
from songsplit.data.cache import ClipCache, fill_cache
from songsplit.data.songs import AudioPart, Song
from songsplit.errors import DataError, OutputError
from tests.data import recordings
from tests.data.recordings import fill, song

RATE = 8000


def noise(samples=RATE, level=0.1, seed=0, channels=2):
    rng = np.random.default_rng(seed)
    return (level * rng.normal(size=(channels, samples))).astype(np.float32)


def filled(tmp_path, **stems):
    """Fill a cache with one song, and return its clip too."""
    cache = fill({"s": [song(tmp_path, "a", stems, rate=RATE)]}, tmp_path / "cache", RATE)
    (clip,) = cache.clips
    return cache, clip


def test_what_goes_in_comes_out(tmp_path):
    written = recordings.songs(tmp_path / "files")
    fill({"musdb18": written}, tmp_path / "cache")
    cache = ClipCache(tmp_path / "cache")
    assert [clip.name for clip in cache.clips] == [song.name for song in written]
    for made, clip in zip(written, cache.clips, strict=True):
        assert (clip.source, clip.split) == ("musdb18", made.split)
        assert set(clip.backing) == {"drums", "bass", "other"}
        for stem, (part,) in made.stems.items():
            audio = recordings.soundfile.read(part.path, dtype="float32")[0].T
            out = cache.read(clip, stem)
            assert out.dtype == np.float32
            np.testing.assert_allclose(out, audio, atol=np.abs(audio).max() / 32767)


@pytest.mark.parametrize(
    ("audio", "expected"),
    [
        (np.array([[5.99, -7.0, 0.5]]), np.array([[5.99, -7.0, 0.5]] * 2)),
        (noise(100, channels=4), noise(100, channels=4)[:2]),
    ],
)
def test_loud_stems_do_not_clip_and_all_become_stereo(tmp_path, audio, expected):
    cache, clip = filled(tmp_path, vocals=audio)
    out = cache.read(clip, "vocals")
    np.testing.assert_allclose(out, expected, atol=np.abs(expected).max() / 32767)


@pytest.mark.parametrize("rate", [4000, 11025, 16000])
def test_each_file_is_resampled_from_its_own_rate(tmp_path, rate):
    def tone(at, pitch=440):
        return np.sin(2 * np.pi * pitch * np.arange(at) / at)[np.newaxis]

    made = song(tmp_path, "a", {"vocals": tone(rate)}, rate=rate)
    backing = AudioPart(recordings.write(tmp_path / "backing.wav", tone(8000, 660), 8000))
    made = replace(made, stems={**made.stems, "instrumental": (backing,)})
    cache = fill({"s": [made]}, tmp_path / "cache", RATE)
    (clip,) = cache.clips
    assert clip.samples == RATE
    for stem, pitch in [("vocals", 440), ("instrumental", 660)]:
        out = cache.read(clip, stem)[0]
        np.testing.assert_allclose(out[500:-500], tone(RATE, pitch)[0, 500:-500], atol=2e-3)


def test_an_instrumental_may_be_what_the_mixture_holds_besides_vocals(tmp_path):
    vocals, backing = noise(seed=1), noise(seed=2)
    cache, clip = filled(tmp_path, vocals=vocals, mixture=vocals + backing)
    assert clip.backing == ["instrumental"]
    np.testing.assert_allclose(cache.read(clip, "instrumental"), backing, atol=1e-4)
    np.testing.assert_allclose(cache.read(clip, "vocals"), vocals, atol=1e-4)


def test_several_parts_of_a_stem_are_summed_and_a_mixture_is_not_needed(tmp_path):
    lead, choir = noise(seed=1), noise(seed=2)
    parts = [AudioPart(recordings.write(tmp_path / f"{i}.wav", audio, RATE))
             for i, audio in enumerate([lead, choir])]  # fmt: skip
    backing = AudioPart(recordings.write(tmp_path / "backing.wav", noise(seed=3), RATE))
    stems = {"vocals": tuple(parts), "instrumental": (backing,)}
    made = Song("a", "s", "train", stems, mixture=AudioPart(tmp_path / "never read.wav"))
    cache = fill({"s": [made]}, tmp_path / "cache", RATE)
    np.testing.assert_allclose(cache.read(cache.clips[0], "vocals"), lead + choir, atol=1e-4)


def test_stems_a_little_shorter_than_others_are_padded(tmp_path):
    cache, clip = filled(tmp_path, vocals=noise(RATE + 700), instrumental=noise(RATE, seed=1))
    assert clip.samples == RATE + 700
    assert cache.read(clip, "instrumental").shape == (2, RATE + 700)
    assert not cache.read(clip, "instrumental")[:, RATE:].any()
    assert cache.read_raw(clip, "instrumental", RATE - 10, 100).shape == (2, 10)


def test_activity_tells_where_there_is_sound(tmp_path):
    audio = np.zeros((2, 5 * RATE // 4))
    audio[:, : RATE // 2] = 0.5
    audio[0, RATE:] = 0.2
    cache, clip = filled(tmp_path, vocals=audio, drums=0 * audio, bass=noise(audio.shape[1]))
    assert clip.stems["vocals"].activity == pytest.approx([0.5, 0, 0.2 / 2**0.5], rel=1e-4)
    assert clip.stems["drums"].activity == [0, 0, 0]
    assert not cache.read(clip, "drums").any()


def test_audio_that_is_gone_or_cut_is_named(tmp_path):
    made = song(tmp_path, "a", {"vocals": noise()}, rate=RATE)
    cache = fill({"s": [made]}, tmp_path / "cache", RATE)
    path = cache.folder / cache.clips[0].stems["vocals"].file
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=path.name):
        ClipCache(cache.folder).read(cache.clips[0], "vocals")
    path.unlink()
    with pytest.raises(DataError, match=path.name):
        ClipCache(cache.folder).read(cache.clips[0], "vocals")
    again = fill({"s": [made]}, tmp_path / "cache", RATE)
    assert again.read(again.clips[0], "vocals").any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"format": 1, "sample_rate": 8000}', "format 1 instead.*delete the folder"),
        ("{", "damaged.*delete the folder"),
        ("[]", "damaged"),
        ('{"format": 3}', "damaged"),
    ],
)
def test_indexes_of_another_version_or_damaged_are_refused(tmp_path, text, message):
    with pytest.raises(DataError, match="not found: choose"):
        ClipCache(tmp_path)
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(DataError, match=message):
        ClipCache(tmp_path)
    with pytest.raises(DataError, match=message):
        fill({"s": []}, tmp_path, RATE)


@pytest.fixture
def three(tmp_path):
    return [
        song(
            tmp_path / "files", f"song {n}",
            {"vocals": noise(seed=n), "instrumental": noise(seed=n + 10)}, rate=RATE,
        )
        for n in range(3)
    ]  # fmt: skip


@pytest.fixture
def decoded(monkeypatch):
    """Names of the songs that are decoded from here on."""
    names = []

    def decode(song, rate):
        names.append(song.name)
        return decoding.decode_stems(song, rate)

    monkeypatch.setattr("songsplit.data.cache.decode_stems", decode)
    return names


def test_only_what_is_new_or_changed_is_decoded(tmp_path, three, decoded):
    before = fill({"s": three}, tmp_path / "c", RATE)
    index = (tmp_path / "c" / "index.json").stat()
    renamed = [replace(three[0], name="again", split="valid"), *three[1:]]
    assert fill({"s": three}, tmp_path / "c", RATE).clips == before.clips
    assert (tmp_path / "c" / "index.json").stat() == index
    assert fill({"s": renamed}, tmp_path / "c", RATE).clips[0].name == "again"
    assert len(decoded) == 3
    (part,) = three[1].stems["vocals"]
    recordings.write(part.path, noise(2 * RATE)[:, :RATE], RATE)
    os.utime(part.path, (1, 1))
    after = fill({"s": three}, tmp_path / "c", RATE)
    assert decoded[3:] == ["song 1"]
    assert before.read(before.clips[1], "vocals").any()
    assert [a == b for a, b in zip(before.clips, after.clips, strict=True)] == [True, False, True]


def test_sources_that_are_not_mentioned_stay(tmp_path, three):
    fill({"first": three[:2], "second": three[2:]}, tmp_path / "c", RATE)
    cache = fill({"first": three[:1]}, tmp_path / "c", RATE)
    assert [(c.source, c.name) for c in cache.clips] == [("first", "song 0"), ("second", "song 2")]


def test_a_bad_song_is_named_and_left_out_or_stops(tmp_path, three, decoded):
    three[1].stems["vocals"][0].path.write_bytes(b"no audio at all")
    three[2].stems["instrumental"][0].path.unlink()
    with pytest.raises(DataError, match=r"2 of 3 songs .* s/song 1: .*vocals\.wav"):
        fill({"s": three}, tmp_path / "c", RATE)
    with pytest.warns(UserWarning, match="left out") as said:
        cache = fill_cache({"s": three}, tmp_path / "c", RATE)
    assert [clip.name for clip in cache.clips] == ["song 0"]
    assert decoded.count("song 0") == 1
    texts = [str(warning.message) for warning in said]
    assert [text.split(":")[1] for text in texts] == [" s/song 1", " s/song 2"]
    with (
        pytest.warns(UserWarning, match="song 1"),
        pytest.raises(DataError, match=r"no song of the source 't'.*song 1"),
    ):
        fill_cache({"t": three[1:2]}, tmp_path / "c", RATE)


@pytest.mark.parametrize(
    ("vocals", "more", "reason"),
    [
        (np.full((2, 100), np.nan), {}, r".*vocals\.wav: .*not a number"),
        (np.full((2, 100), 1e30), {}, r".*vocals\.wav: its level"),
        (np.zeros((2, 100)), {}, r"every stem is silent .*vocals\.wav"),
        (
            noise(),
            {"instrumental": noise(20000)},
            r".*instrumental.wav lasts 2\.50 s, but .*1\.00",
        ),
        (noise(), {"instrumental": 0 * noise()}, "the stem instrumental is silent"),
        (0 * noise(), {"instrumental": noise()}, "the stem vocals is silent"),
        (noise(), {"mixture": noise()}, "the stem instrumental is silent"),
        (1.4 * noise() + noise(seed=1), {"instrumental": noise()}, "the stem vocals holds"),
        (0.4 * noise(), {"other": 0.4 * noise() + noise(seed=1)}, "the stem instrumental holds"),
    ],
)
def test_unusable_audio_is_named(tmp_path, vocals, more, reason):
    with pytest.raises(DataError, match=f"for one s/a: {reason}.*[:;] (export|replace|name)"):
        filled(tmp_path, vocals=vocals, **more)


def test_streams_of_one_file(tmp_path):
    path = tmp_path / "a.stem.mp4"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("aac", rate=44100, layout="stereo") for _ in range(3)]
        for stream, tone in zip(streams, (440, 880, 1760), strict=True):
            audio = np.sin(2 * np.pi * tone * np.arange(88200) / 44100).astype(np.float32) * 0.3
            frame = av.AudioFrame.from_ndarray(np.stack([audio, audio]), "fltp", "stereo")
            frame.sample_rate = 44100
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    stems = {"vocals": (AudioPart(path, 2),), "instrumental": (AudioPart(path, 1),)}
    cache = fill({"s": [Song("a", "s", "train", stems)]}, tmp_path / "c", 16000)
    for stem, tone in [("vocals", 1760), ("instrumental", 880)]:
        spectrum = np.abs(np.fft.rfft(cache.read(cache.clips[0], stem)[0, :16000]))
        assert spectrum.argmax() == pytest.approx(tone, abs=2)
    missing = Song("a", "s", "train", {"vocals": (AudioPart(path, 4),)})
    with pytest.raises(DataError, match="3 audio streams, though number 5"):
        fill({"s": [missing]}, tmp_path / "other", RATE)


def test_a_second_run_waits_for_the_first(tmp_path, three):
    (tmp_path / "c").mkdir()
    held, done = threading.Event(), threading.Event()

    def hold():
        with filelock.FileLock(tmp_path / "c" / "lock"):
            held.set()
            time.sleep(0.4)
            done.set()

    threading.Thread(target=hold).start()
    held.wait()
    fill({"s": three[:1]}, tmp_path / "c", RATE)
    assert done.is_set()


def test_a_full_cache_on_a_read_only_disk_is_used(tmp_path, three, monkeypatch):
    fill({"s": three}, tmp_path / "c", RATE)

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    monkeypatch.setattr("songsplit.files.GrowingFile", refuse)
    assert len(fill({"s": three}, tmp_path / "c", RATE).clips) == 3
    more = song(tmp_path, "more", {"vocals": noise()}, rate=RATE)
    with pytest.raises(OutputError, match="Read-only"):
        fill({"s": [*three, more]}, tmp_path / "c", RATE)
    with pytest.raises(OutputError, match="Read-only"):
        fill({"s": three}, tmp_path / "empty", RATE)


def test_a_cache_that_cannot_be_written_to_is_named(tmp_path, three):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file.c: "):
        fill({"s": three}, tmp_path / "file" / "c", RATE)


def test_another_rate_needs_another_folder(tmp_path, three):
    fill({"s": three[:1]}, tmp_path / "c", RATE)
    for songs in ({"s": three}, {}):
        with pytest.raises(DataError, match="8000 Hz, not 16000 Hz"):
            fill(songs, tmp_path / "c", 16000)
