"""Files of stems: every format written and read back, with tags, cover, level and length."""

from __future__ import annotations

import json

import av
import mutagen
import numpy as np
import pytest
import soundfile

import songsplit
from tests.contract.material import COVER, music, read, tagged_flac

LOSSY = {"mp3": (320, 1152), "m4a": (256, 1024), "ogg": (256, 1024), "opus": (192, 960)}
TITLES = {"wav": "TIT2", "mp3": "TIT2", "m4a": "©nam", "stem.mp4": "©nam"}


def decoded(path):
    """Return the samples of every audio stream of a file, as another program reads them."""
    streams, rates = [], set()
    with av.open(str(path)) as container:
        count = len(container.streams.audio)
    for number in range(count):
        with av.open(str(path)) as container:
            stream = container.streams.audio[number]
            rates.add(stream.rate)
            planar = av.AudioResampler("fltp")
            frames = [planar.resample(frame)[0] for frame in container.decode(stream)]
            streams.append(np.concatenate([frame.to_ndarray() for frame in frames], axis=1))
    assert len(rates) == 1
    return streams, rates.pop()


def tags_of(path):
    """Return title and cover picture of a file, as another program reads them."""
    file = mutagen.File(path)
    kind = path.name.partition(".")[2]
    title = str(file.tags[TITLES.get(kind, "title")])
    if kind in ("wav", "mp3"):
        covers = [value.data for name, value in file.tags.items() if name.startswith("APIC")]
    elif kind == "flac":
        covers = [picture.data for picture in file.pictures]
    elif "mp4" in kind or kind == "m4a":
        covers = [bytes(cover) for cover in file.tags["covr"]]
    else:
        covers = file.tags["metadata_block_picture"]
        covers = [COVER] if len(covers) == 1 and len(covers[0]) > len(COVER) else []
    return title.strip("[']"), covers


LOSSLESS = [
    *(
        ("wav", None, "PCM_16", 2**-14),
        ("wav", "32f", "FLOAT", 1e-7),
        ("wav", "24", "PCM_24", 2**-22),
        ("wav", "16", "PCM_16", 2**-14),
    ),
    *(("flac", None, "PCM_24", 2**-22), ("flac", "16", "PCM_16", 2**-14)),
]


@pytest.mark.parametrize(("name", "depth", "subtype", "step"), LOSSLESS)
def test_lossless_files(separator, song, mixture, name, depth, subtype, step):
    output = songsplit.OutputFormat(name, bit_depth=depth)
    saved = separator.separate_to_files(song, "out", output=output)
    expected = separator.separate(song)
    total = 0
    for stem, path in saved.items():
        samples, rate = read(path)
        assert (rate, soundfile.info(path).subtype) == (44100, subtype)
        np.testing.assert_allclose(samples, expected[stem], rtol=0, atol=step)
        total = total + samples
        assert tags_of(path) == (f"T.N.T. ({stem})", [COVER])
    np.testing.assert_allclose(total, mixture, rtol=0, atol=2 * step + 1e-7)
    assert saved.gain_db == 0
    assert not saved.problems


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("name", list(LOSSY))
def test_lossy_files(separator, tmp_path, name, rate):
    song = tagged_flac(tmp_path / "song.flac", music(1, rate), rate)
    saved = separator.separate_to_files(song, tmp_path / "out", output=name)
    expected = separator.separate(song)
    for stem, path in saved.items():
        assert path.name == f"{stem}.{name}"
        (samples,), found = decoded(path)
        assert found == (48000 if name == "opus" else rate)
        seconds = samples.shape[1] / found
        assert samples.shape[0] == 2
        assert 1 - 0.001 <= seconds <= 1 + 2.5 * LOSSY[name][1] / found
        level = np.square(expected[stem]).sum() / rate
        assert np.square(samples).sum() / found == pytest.approx(level, rel=0.1, abs=1e-5)
        assert tags_of(path) == (f"T.N.T. ({stem})", [COVER])


def test_stem_mp4_holds_the_song_and_its_stems(separator, song, mixture):
    saved = separator.separate_to_files(song, "out", output="stem.mp4")
    assert len(set(saved.values())) == 1
    path = saved["vocals"]
    assert path.name == "stems.stem.mp4"
    streams, rate = decoded(path)
    assert rate == 44100
    expected = separator.separate(song)
    silence = np.zeros_like(mixture)
    parts = [mixture, expected.vocals, expected.instrumental, silence, silence]
    assert len(streams) == len(parts)
    for stream, part in zip(streams, parts, strict=True):
        level = np.square(part).sum()
        assert np.square(stream).sum() == pytest.approx(level, rel=0.1, abs=0.1)
    content = path.read_bytes()
    start = content.index(b'{"', content.index(b"stem", content.index(b"udta")))
    description, _ = json.JSONDecoder().raw_decode(content[start:].decode("utf-8", "ignore"))
    assert [stem["name"] for stem in description["stems"]][:2] == ["Vocals", "Instrumental"]
    assert tags_of(path) == ("T.N.T.", [COVER])


def test_what_would_clip_is_turned_down_by_one_amount(separator, tmp_path):
    loud = 12 * music(0.5)
    soundfile.write(tmp_path / "loud.wav", loud.T, 44100, subtype="FLOAT")
    plain = separator.separate(tmp_path / "loud.wav")
    saved = separator.separate_to_files(tmp_path / "loud.wav", tmp_path / "out", output="flac")
    assert saved.gain_db < 0
    gain = 10 ** (saved.gain_db / 20)
    for stem, path in saved.items():
        np.testing.assert_allclose(read(path)[0], plain[stem] * gain, atol=1e-5)
    output = songsplit.OutputFormat("wav", bit_depth="32f")
    kept = separator.separate_to_files(tmp_path / "loud.wav", tmp_path / "float", output=output)
    assert kept.gain_db == 0


@pytest.mark.parametrize("channels", [1, 6])
def test_channels_come_back_where_the_format_has_them(separator, tmp_path, channels):
    soundfile.write(tmp_path / "song.wav", music(0.3, channels=channels).T, 44100)
    for name in ("wav", "flac", "m4a"):
        saved = separator.separate_to_files(tmp_path / "song.wav", tmp_path / name, output=name)
        (samples,), _ = decoded(saved["vocals"])
        assert samples.shape[0] == channels
    if channels > 2:
        with pytest.raises(songsplit.SongsplitError, match="channels"):
            separator.separate_to_files(tmp_path / "song.wav", tmp_path / "mp3", output="mp3")
        assert not (tmp_path / "mp3").exists()


def test_mixes_names_and_results_that_are_there(separator, song, mixture):
    mix = songsplit.Mix("karaoke", {"vocals": -18})
    (path,) = separator.separate_to_files(song, "mixed", mix=mix).values()
    assert path.stem == "karaoke"
    expected = separator.separate(song).karaoke(vocals=-18)
    np.testing.assert_allclose(read(path)[0], expected, atol=2**-14)
    named = separator.separate_to_files(song, "named", filename="{artist}/{title} - {stem}")
    assert named["vocals"].name == "T.N.T. - vocals.wav"
    assert named["vocals"].parent.name == "AC_DC"
    with pytest.raises(songsplit.SongsplitError, match="karaoke"):
        separator.separate_to_files(song, "mixed", mix=mix)
    separator.separate_to_files(song, "mixed", mix=mix, overwrite=True)


def test_mixes_and_formats_that_do_not_exist():
    for options in ({"gains": {"vocals": 300}}, {"tempo": 9}, {"key": 99}):
        with pytest.raises(songsplit.SongsplitError):
            songsplit.Mix("remix", **options)
    for name, options in (("aac", {}), ("mp3", {"bit_depth": "16"}), ("opus", {"bitrate": 9999})):
        with pytest.raises(songsplit.SongsplitError):
            songsplit.OutputFormat(name, **options)


def test_progress_and_an_exception_out_of_it(separator, tmp_path):
    soundfile.write(tmp_path / "song.wav", music(20, channels=1).T, 44100)
    seen = []
    separator.separate(tmp_path / "song.wav", progress=lambda *state: seen.append(state))
    assert seen[0][:2] == (0, 20)
    assert seen[-1][0] == pytest.approx(20)

    def enough(done, total, left):
        if done:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        separator.separate_to_files(tmp_path / "song.wav", tmp_path / "out", progress=enough)
    assert not (tmp_path / "out").exists()
