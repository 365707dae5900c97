"""Filling and reading the cache."""

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

from songsplit.data import songs
from songsplit.data.cache import fill_cache
from songsplit.data.songs import AudioPart, Song
from songsplit.errors import DataError, OutputError
from tests.data import recordings

RATE = 8000


def noise(samples=RATE, level=0.1, seed=0, channels=2):
    rng = np.random.default_rng(seed)
    return (level * rng.normal(size=(channels, samples))).astype(np.float32)


def made(folder, name, **stems):
    return recordings.song(folder, name, stems, rate=RATE, source="s")


def filled(tmp_path, **stems):
    """Fill a cache with one song, and return its clip."""
    (clip,) = fill_cache([made(tmp_path, "a", **stems)], tmp_path / "cache", RATE)
    return clip


def test_what_goes_in_comes_out(tmp_path):
    written = recordings.songs(tmp_path / "files")
    fill_cache(written, tmp_path / "cache", recordings.RATE)
    clips = fill_cache(written, tmp_path / "cache", recordings.RATE)
    assert [clip.song for clip in clips] == written
    for clip in clips:
        assert set(clip.backing) == {"drums", "bass", "other"}
        for stem, (part,) in clip.song.stems.items():
            audio = recordings.soundfile.read(part.path, dtype="float32")[0].T
            out = clip.stems[stem].read()
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
    out = filled(tmp_path, vocals=audio).stems["vocals"].read()
    np.testing.assert_allclose(out, expected, atol=np.abs(expected).max() / 32767)


@pytest.mark.parametrize("rate", [4000, 11025, 16000])
def test_each_file_is_resampled_from_its_own_rate(tmp_path, rate):
    def tone(at, pitch=440):
        return np.sin(2 * np.pi * pitch * np.arange(at) / at)[np.newaxis]

    backing = recordings.song(tmp_path, "a", {"instrumental": tone(8000, 660)}, rate=8000)
    vocals = recordings.song(tmp_path, "a", {"vocals": tone(rate)}, rate=rate)
    both = replace(vocals, stems={**vocals.stems, **backing.stems})
    (clip,) = fill_cache([both], tmp_path / "cache", RATE)
    assert clip.samples == RATE
    for stem, pitch in [("vocals", 440), ("instrumental", 660)]:
        out = clip.stems[stem].read()[0]
        np.testing.assert_allclose(out[500:-500], tone(RATE, pitch)[0, 500:-500], atol=2e-3)


def test_an_instrumental_may_be_what_the_mixture_holds_besides_vocals(tmp_path):
    vocals, backing = noise(seed=1), noise(seed=2)
    clip = filled(tmp_path, vocals=vocals, mixture=vocals + backing)
    assert clip.backing == ["instrumental"]
    np.testing.assert_allclose(clip.stems["instrumental"].read(), backing, atol=1e-4)
    np.testing.assert_allclose(clip.stems["vocals"].read(), vocals, atol=1e-4)


def test_several_parts_of_a_stem_are_summed_and_a_mixture_is_not_needed(tmp_path):
    lead, choir = noise(seed=1), noise(seed=2)
    parts = made(tmp_path, "a", lead=lead, choir=choir, backing=noise(seed=3)).stems
    stems = {"vocals": parts["lead"] + parts["choir"], "instrumental": parts["backing"]}
    song = Song("a", "s", "train", stems, mixture=AudioPart(tmp_path / "never read.wav"))
    (clip,) = fill_cache([song], tmp_path / "cache", RATE)
    np.testing.assert_allclose(clip.stems["vocals"].read(), lead + choir, atol=1e-4)


def test_activity_tells_where_there_is_sound(tmp_path):
    audio = np.zeros((2, 5 * RATE // 4))
    audio[:, : RATE // 2] = 0.5
    audio[0, RATE:] = 0.2
    stems = filled(tmp_path, vocals=audio, drums=0 * audio, bass=noise(audio.shape[1])).stems
    assert stems["vocals"].activity == pytest.approx([0.5, 0, 0.2 / 2**0.5], rel=1e-4)
    assert stems["drums"].activity == [0, 0, 0]
    assert not stems["drums"].read().any()


def test_audio_that_is_gone_or_cut_is_decoded_again(tmp_path):
    for harm in (lambda path: path.write_bytes(b""), lambda path: path.unlink()):
        stem = filled(tmp_path, vocals=noise()).stems["vocals"]
        harm(stem.path)
        with pytest.raises(DataError, match=stem.path.name):
            stem.read()
        again = fill_cache([made(tmp_path, "a", vocals=noise())], tmp_path / "cache", RATE)
        assert again[0].stems["vocals"].read().any()


@pytest.fixture
def three(tmp_path):
    return [
        made(
            tmp_path / "files", f"song {n}",
            vocals=noise(seed=n), instrumental=noise(seed=n + 10),
        )
        for n in range(3)
    ]  # fmt: skip


@pytest.fixture
def decoded(monkeypatch):
    """Return a list to which the names of decoded songs are added."""
    names = []

    def decode(song, rate):
        names.append(song.name)
        return songs.decode_stems(song, rate)

    monkeypatch.setattr("songsplit.data.cache.decode_stems", decode)
    return names


def test_only_what_is_new_or_changed_is_decoded(tmp_path, three, decoded):
    before = fill_cache(three[:2], tmp_path / "c", RATE)
    renamed = [replace(three[0], name="again", split="valid"), *three[1:]]
    assert fill_cache(renamed, tmp_path / "c", RATE)[0].song.name == "again"
    assert sorted(decoded) == ["song 0", "song 1", "song 2"]
    (part,) = three[1].stems["vocals"]
    recordings.write(part.path, noise(2 * RATE)[:, :RATE], RATE)
    os.utime(part.path, (1, 1))
    after = fill_cache(three, tmp_path / "c", RATE)
    assert decoded[3:] == ["song 1"]
    assert before[1].stems["vocals"].read().any()
    assert [a == b for a, b in zip(before, after, strict=False)] == [True, False]
    fill_cache(three[:1], tmp_path / "c", 2 * RATE)
    assert decoded[4:] == ["song 0"]


def test_a_bad_song_is_named_and_left_out_or_stops(tmp_path, three, decoded):
    three[1].stems["vocals"][0].path.write_bytes(b"no audio at all")
    three[2].stems["instrumental"][0].path.unlink()
    with pytest.raises(DataError, match=r"2 of 3 songs .* s/song 1: .*vocals\.wav"):
        fill_cache(three, tmp_path / "c", RATE, "stop")
    with pytest.warns(UserWarning, match="left out") as said:
        clips = fill_cache(three, tmp_path / "c", RATE)
    assert [clip.song.name for clip in clips] == ["song 0"]
    texts = [str(warning.message) for warning in said]
    assert [text.split(":")[1] for text in texts] == [" s/song 1", " s/song 2"]
    bad = replace(three[1], source="t")
    with pytest.raises(DataError, match=r"no song of the source 't'.*t/song 1: .*vocals\.wav"):
        fill_cache([three[0], bad], tmp_path / "c", RATE)
    assert decoded.count("song 0") == 1


@pytest.mark.parametrize(
    ("vocals", "more", "reason"),
    [
        (np.full((2, 100), np.nan), {}, r".*vocals\.wav: .*not a number"),
        (np.full((2, 100), 1e30), {}, r".*vocals\.wav: the peak"),
        (np.zeros((2, 100)), {}, r"every stem is silent .*vocals\.wav"),
        (
            noise(),
            {"instrumental": noise(20000)},
            r".*instrumental.wav lasts 2\.50 s, but .*1\.00",
        ),
        (noise(), {"instrumental": 0 * noise()}, "the stem instrumental is silent"),
        (0 * noise(), {"instrumental": noise()}, "the stem vocals is silent"),
        (noise(), {"mixture": noise()}, "the stem instrumental is silent"),
        (1.4 * noise() + noise(seed=1), {"instrumental": noise()}, "the stem vocals contains"),
        (0.4 * noise(), {"other": 0.4 * noise() + noise(seed=1)}, "the stem instrumental contains"),
    ],
)
def test_unusable_audio_is_named(tmp_path, vocals, more, reason):
    with pytest.raises(DataError, match=f"such as s/a: {reason}.*[:;] (export|replace|name)"):
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
    (clip,) = fill_cache([Song("a", "s", "train", stems)], tmp_path / "c", 16000)
    for stem, tone in [("vocals", 1760), ("instrumental", 880)]:
        spectrum = np.abs(np.fft.rfft(clip.stems[stem].read()[0, :16000]))
        assert spectrum.argmax() == pytest.approx(tone, abs=2)
    missing = Song("a", "s", "train", {"vocals": (AudioPart(path, 4),)})
    with pytest.raises(DataError, match="3 audio streams, but stream 5"):
        fill_cache([missing], tmp_path / "c", RATE)


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
    fill_cache(three[:1], tmp_path / "c", RATE)
    assert done.is_set()


def test_a_full_cache_on_a_read_only_disk_is_used(tmp_path, three, monkeypatch):
    fill_cache(three, tmp_path / "c", RATE)

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    monkeypatch.setattr("songsplit.files.GrowingFile", refuse)
    assert len(fill_cache(three, tmp_path / "c", RATE)) == 3
    more = made(tmp_path, "more", vocals=noise())
    for wanted, folder in (([*three, more], "c"), (three, "empty")):
        with pytest.raises(OutputError, match="Read-only"):
            fill_cache(wanted, tmp_path / folder, RATE)


def test_a_cache_that_cannot_be_written_to_is_named(tmp_path, three):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file.c: "):
        fill_cache(three, tmp_path / "file" / "c", RATE)
