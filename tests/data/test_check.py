"""What a check of training data finds."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from songsplit.data.check import check_folder
from songsplit.data.check_report import report_json
from songsplit.data.measures import Meter
from songsplit.errors import ConfigError, DataError
from tests.audio.zoo import ffmpeg_bytes

RATE = 22050
LENGTH = int(6.5 * RATE)


def noise(seed, level=0.1, length=LENGTH):
    rng = np.random.default_rng(seed)
    return np.clip(level * rng.normal(size=length), -0.9, 0.9).astype(np.float32)


VOCALS, BACKING = noise(1), noise(2)


@pytest.fixture
def write(tmp_path):
    def write(folder, rate=RATE, **stems):
        path = tmp_path / folder
        path.mkdir(parents=True, exist_ok=True)
        for name, audio in stems.items():
            soundfile.write(path / f"{name}.wav", audio.T, rate, subtype="FLOAT")

    return write


def findings(root, kind=None):
    """Severity, file and text of all that is found, with what is passed over."""
    report = check_folder(root, kind)
    found = [f for song in report.songs for f in song.findings] + report.passed_over
    return [(f.severity, f.path.relative_to(root).as_posix(), f.text) for f in found]


def only(root, kind=None):
    (finding,) = findings(root, kind)
    return finding


def test_good_songs_give_totals_and_no_findings(write, tmp_path):
    write("a", vocals=VOCALS, instrumental=BACKING)
    write("b", vocals=noise(3), drums=noise(4), mix=noise(3) + noise(4))
    report = check_folder(tmp_path)
    assert report.kind == "songs"
    assert [song.findings for song in report.songs] == [[], []]
    assert report.songs[0].seconds == pytest.approx(6.5)
    assert report.songs[0].peak == pytest.approx(max(abs(VOCALS).max(), abs(BACKING).max()))
    assert report.songs[1].sum_error < -100
    hours = 6.5 / 3600
    assert report.hours == pytest.approx(
        {"vocals": 2 * hours, "instrumental": hours, "drums": hours}
    )


def test_unreadable_and_truncated_files_are_named(write, tmp_path):
    write("a", vocals=VOCALS, instrumental=BACKING)
    write("b", vocals=VOCALS[::-1], instrumental=BACKING[::-1])
    (tmp_path / "a" / "vocals.wav").write_bytes(b"nonsense" * 100)
    cut = tmp_path / "b" / "instrumental.wav"
    cut.write_bytes(cut.read_bytes()[:-50_000])
    found = findings(tmp_path)
    assert [(severity, path) for severity, path, _ in found] == [
        ("error", "a/vocals.wav"),
        ("error", "b/instrumental.wav"),
    ]
    assert "cut off" in found[1][2]
    report = check_folder(tmp_path)
    assert not report.usable
    assert report.hours == {}
    assert report.songs[0].seconds is None


def test_samples_that_are_no_numbers(write, tmp_path):
    write("a", vocals=np.where(np.arange(LENGTH) == 5000, np.nan, VOCALS), bass=BACKING)
    severity, path, text = only(tmp_path)
    assert (severity, path) == ("error", "a/vocals.wav")
    assert "not a number" in text


def test_a_damaged_mixture_that_is_not_needed(write, tmp_path):
    write("a", vocals=VOCALS, bass=BACKING, mix=VOCALS)
    (tmp_path / "a" / "mix.wav").write_bytes(b"nonsense" * 100)
    assert only(tmp_path)[:2] == ("warning", "a/mix.wav")


def test_missing_partners(write, tmp_path):
    write("a", vocals=VOCALS)
    write("b", vocals=noise(3), bass=noise(4))
    severity, path, text = only(tmp_path)
    assert (severity, path) == ("error", "a")
    assert "vocals alone" in text
    assert check_folder(tmp_path).count("error") == 1


@pytest.mark.parametrize(
    ("shorter", "severity"), [(LENGTH - 100, "info"), (LENGTH - RATE // 4, "error")]
)
def test_lengths(write, tmp_path, shorter, severity):
    write("a", vocals=VOCALS[:shorter], bass=BACKING)
    found = only(tmp_path)
    assert found[:2] == (severity, "a/vocals.wav")
    assert "shorter than bass.wav" in found[2]
    assert check_folder(tmp_path).songs[0].seconds == pytest.approx(shorter / RATE)


def test_rates(write, tmp_path):
    write("a", vocals=VOCALS)
    write("a", rate=2 * RATE, bass=noise(2, length=2 * LENGTH))
    assert only(tmp_path) == (
        "info", "a/vocals.wav", "files of different sample rates (22050, 44100 Hz)"
    )  # fmt: skip


def test_silence(write, tmp_path):
    zero = np.zeros(LENGTH, np.float32)
    write("no bass", vocals=VOCALS, drums=BACKING, bass=zero)
    write("no voice", vocals=zero, drums=noise(3))
    write("nothing", vocals=zero, drums=zero)
    write("whisper", vocals=noise(4, 1e-4), drums=noise(5))
    write("two voices", lead_vocals=noise(6), backing_vocals=zero, drums=noise(7))
    found = {(severity, path): text for severity, path, text in findings(tmp_path)}
    assert found.keys() == {
        ("info", "no bass/bass.wav"),
        ("warning", "no voice/vocals.wav"),
        ("error", "nothing/vocals.wav"),
        ("warning", "nothing/vocals.wav"),
        ("info", "nothing/drums.wav"),
        ("warning", "whisper/vocals.wav"),
        ("info", "two voices/backing_vocals.wav"),
    }
    assert "silent" in found["warning", "no voice/vocals.wav"]
    assert "below -60 dBFS" in found["warning", "whisper/vocals.wav"]
    assert "all stems are silent" in found["error", "nothing/vocals.wav"]


def test_a_quiet_song_with_a_loud_moment_is_not_silent(write, tmp_path):
    audio = noise(3, 1e-5)
    audio[50_000:70_000] = noise(4)[:20_000]
    write("a", vocals=audio, bass=BACKING)
    assert findings(tmp_path) == []


def test_clipping(write, tmp_path):
    loud = np.clip(40 * VOCALS, -1, 1)
    write("a", vocals=loud, bass=BACKING)
    severity, path, text = only(tmp_path)
    assert (severity, path) == ("warning", "a/vocals.wav")
    assert "clipped at" in text


def test_clipped_runs_are_counted_across_blocks_and_channels():
    audio = np.zeros((2, 3 * Meter.BLOCK), np.float32)
    for channel, start, length, level in [
        (0, 100, 3, 1.0),
        (1, 100, 3, -1.0),
        (0, 200, 50, 1.0),
        (0, 300, 2, 1.0),
        (0, 400, 9, 0.995),
        (0, Meter.BLOCK - 1, 3, 1.0),
        (1, 2 * Meter.BLOCK - 2, 4, -1.0),
    ]:
        audio[channel, start : start + length] = level
    assert measured(audio).clipped_runs == 5


def test_a_full_scale_tone_is_not_clipped():
    tone = np.sin(2 * np.pi * 441 * np.arange(RATE) / 44100).astype(np.float32)
    assert measured(tone[None]).clipped_runs == 0


def measured(audio, rate=RATE, block=Meter.BLOCK):
    meter = Meter(rate)
    for start in range(0, audio.shape[1], block):
        meter.add(audio[:, start : start + block])
    return meter.result()


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("share", [0.25, 0.7, 1.0])
def test_bandwidth_is_measured(rate, share):
    audio = noise(0, length=rate)
    spectrum = np.fft.rfft(audio)
    spectrum[int(share * len(spectrum)) :] = 0
    limited = np.fft.irfft(spectrum, rate).astype(np.float32)
    assert measured(limited[None], rate).bandwidth == pytest.approx(
        share * rate / 2, abs=0.004 * rate
    )
    in_16_bits = np.round(limited * 32768) / np.float32(32768)
    assert measured(in_16_bits[None], rate).bandwidth == pytest.approx(
        share * rate / 2, abs=0.004 * rate
    )


def test_measures_of_short_and_silent_recordings():
    short = measured(np.full((1, 3), 0.5, np.float32))
    assert (short.samples, short.peak, short.loudest, short.offset) == (3, 0.5, 0.5, 0.5)
    assert measured(np.zeros((2, 9000), np.float32)).bandwidth is None


def test_narrow_vocals_but_not_bass_are_reported(write, tmp_path):
    t = np.arange(LENGTH) / RATE
    hum = (0.3 * np.sin(2 * np.pi * 300 * t)).astype(np.float32)
    write("a", vocals=hum, bass=0.5 * hum)
    severity, path, text = only(tmp_path)
    assert (severity, path) == ("warning", "a/vocals.wav")
    assert "nothing above 0.4 kHz" in text
    assert "bandwidth" in text


def test_offset_and_short_songs(write, tmp_path):
    write("a", vocals=VOCALS[:RATE] + 0.05, bass=BACKING[:RATE])
    texts = [text for _, _, text in findings(tmp_path)]
    assert any("offset from zero of 0.0" in text for text in texts)
    assert any("shorter than a training chunk of 6 s" in text for text in texts)


def test_duplicates(write, tmp_path):
    write("a", vocals=VOCALS, instrumental=BACKING)
    write("b", vocals=noise(3), instrumental=BACKING)
    write("c", vocals=noise(4), mixture=noise(4))
    write("d", vocals=noise(5), drums=noise(6), bass=noise(6))
    found = findings(tmp_path)
    assert [(severity, path) for severity, path, _ in found] == [
        ("warning", "b/instrumental.wav"),
        ("error", "c/mixture.wav"),
        ("warning", "d/bass.wav"),
    ]
    assert "same audio as the instrumental in a/instrumental.wav" in found[0][2]


def test_duplicates_in_other_formats_are_found(tmp_path):
    samples = np.round(VOCALS * 32768) / 32768
    soundfile.write(tmp_path / "1.wav", samples, RATE, subtype="PCM_16")
    soundfile.write(tmp_path / "2.flac", samples, RATE, subtype="PCM_16")
    assert "same audio" in only(tmp_path, "vocals")[2]


def test_stems_that_do_not_add_up(write, tmp_path):
    write("a", vocals=VOCALS, drums=BACKING, mix=VOCALS + BACKING + noise(9))
    severity, path, text = only(tmp_path)
    assert (severity, path) == ("warning", "a/mix.wav")
    assert check_folder(tmp_path).songs[0].sum_error == pytest.approx(-4.8, abs=0.1)
    assert "-4.8 dB" in text


def test_vocals_that_are_not_in_the_mixture_as_they_are(write, tmp_path):
    write("good", vocals=VOCALS, mix=VOCALS + BACKING)
    write("mastered", vocals=noise(5), mix=0.5 * (noise(5) + noise(6)))
    write("late", vocals=noise(7), mix=np.roll(noise(7), 50) + noise(8))
    found = {path: text for _, path, text in findings(tmp_path)}
    assert found.keys() == {"mastered/mix.wav", "late/mix.wav"}
    assert "0.50 times their level" in found["mastered/mix.wav"]


def test_stereo_and_mono_add_up(write, tmp_path):
    both = np.stack([VOCALS + BACKING, VOCALS + 0.5 * BACKING])
    write("a", vocals=VOCALS, drums=np.stack([BACKING, 0.5 * BACKING]), mix=both)
    assert check_folder(tmp_path).songs[0].sum_error < -100


def stem_file(streams):
    t = np.arange(44100) / 44100
    tones = (np.sin(2 * np.pi * 200 * (i + 1) * t) / 10 for i in range(streams - 1))
    parts = [np.stack([tone, tone]).astype(np.float32) for tone in tones]
    return ffmpeg_bytes("mp4", "aac", [np.sum(parts, axis=0), *parts])


def test_stem_files_and_musdb(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "A - B.stem.mp4").write_bytes(stem_file(5))
    (tmp_path / "train" / "C - D.stem.mp4").write_bytes(stem_file(3))
    report = check_folder(tmp_path)
    assert report.kind == "musdb"
    good, bad = report.songs
    assert good.song.name == "train/A - B"
    assert good.usable
    assert -60 < good.sum_error < -20
    assert [f.severity for f in bad.findings] == ["error"]
    assert "3 audio streams where mixture, drums" in bad.findings[0].text


def test_musdb18_hq_with_a_file_missing(write, tmp_path):
    stems = {name: noise(i) for i, name in enumerate(("drums", "bass", "other", "vocals"))}
    write("train/A", **stems, mixture=sum(stems.values()))
    write("train/B", **stems)
    (tmp_path / "train" / "B" / "vocals.wav").unlink()
    report = check_folder(tmp_path)
    assert report.kind == "musdb"
    errors = [f.path.name for song in report.songs for f in song.findings if f.severity == "error"]
    assert errors == ["vocals.wav"]


def test_kinds(write, tmp_path):
    write("x", take1=VOCALS, take2=BACKING)
    with pytest.raises(DataError, match="--kind vocals or --kind instrumentals"):
        check_folder(tmp_path)
    report = check_folder(tmp_path, "instrumentals")
    assert [song.stems for song in report.songs] == [["instrumental"], ["instrumental"]]
    assert findings(tmp_path, "vocals") == []
    with pytest.raises(ConfigError, match="kind 'voices' is unknown: use songs, vocals"):
        check_folder(tmp_path, "voices")
    with pytest.raises(DataError, match="nowhere"):
        check_folder(tmp_path / "nowhere", "songs")


def test_songs_that_are_all_incomplete_can_be_reported(write, tmp_path):
    write("x", vocals=VOCALS)
    report = check_folder(tmp_path, "songs")
    assert report.songs == []
    assert report.count("error") == 1


def test_json(write, tmp_path):
    write("a", vocals=VOCALS, mix=VOCALS + BACKING)
    write("b", vocals=VOCALS)
    content = report_json(check_folder(tmp_path))
    (song,) = content["songs"]
    assert song["stems"] == {"vocals": [{"path": "a/vocals.wav", "stream": 0}]}
    assert song["mixture"]["path"] == "a/mix.wav"
    assert content["passed_over"][0]["path"] == "b"
    totals = content["totals"]
    assert (totals["usable"], totals["errors"], totals["warnings"]) == (1, 1, 0)
    assert totals["hours"].keys() == {"vocals", "instrumental"}


def test_progress(write, tmp_path):
    write("a", vocals=VOCALS, bass=BACKING)
    write("b", vocals=BACKING, bass=VOCALS)
    calls = []
    check_folder(tmp_path, progress=lambda *call: calls.append(call))
    assert calls == [(0, 2, "a"), (1, 2, "b")]
